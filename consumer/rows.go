package consumer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/consumer/decode"
	"drumlin/segment"
)

// rowBuilder puts decoded rows of one plan into batches laid out as segment.HotArrowSchema says.
type rowBuilder struct {
	*batchBuilder
	plan    *plan
	time    *column
	offset  *column
	idHigh  *column // with idLow: nil where there is no dedup
	idLow   *column
	keyUUID *column // with key: nil where a user's column holds the key, or where there is no dedup
	key     *column
	fills   []fill
}

// fill says which of the row's values a column takes; −1 means none, always null.
type fill struct {
	column *column
	value  int
	kind   arrow.Type
}

func newRowBuilder(p *plan) (*rowBuilder, error) {
	b, err := newBatchBuilder(p.arrowSchema, p.schema.ID)
	if err != nil {
		return nil, fmt.Errorf("datasource %s: %w", p.datasource.Name, err)
	}
	values := map[string]int{}
	for i, c := range p.decoder.Columns() {
		values[c.Name] = i
	}
	r := &rowBuilder{batchBuilder: b, plan: p}
	for i, f := range p.arrowSchema.Fields() {
		c := b.columns[i]
		switch f.Name {
		case segment.TimeColumn:
			r.time = c
		case segment.OffsetColumn:
			r.offset = c
		case segment.IDHighColumn:
			r.idHigh = c
		case segment.IDLowColumn:
			r.idLow = c
		case segment.KeyUUIDColumn:
			r.keyUUID = c
		case segment.KeyColumn:
			r.key = c
		default:
			value, ok := values[f.Name]
			if !ok {
				value = -1
			}
			r.fills = append(r.fills, fill{column: c, value: value, kind: f.Type.ID()})
		}
	}
	return r, nil
}

func (r *rowBuilder) append(row *decode.Row, offset int64, v verdict) {
	keyed := row.HasKey && !v.keyless
	r.time.appendLong(row.TimeMillis * 1000)
	r.offset.appendLong(offset)
	if r.idHigh != nil {
		r.appendKey(row.Key, keyed, v.bucket)
	}
	for _, f := range r.fills {
		if f.value < 0 {
			f.column.appendNull()
			continue
		}
		f.append(row.Values[f.value])
	}
	r.rowAppended(offset, row.TimeMillis, v.bucket, r.idHigh != nil && !keyed)
}

func (r *rowBuilder) appendKey(key []byte, keyed bool, bucket segment.Bucket) {
	if !keyed {
		for _, c := range []*column{r.idHigh, r.idLow, r.keyUUID, r.key} {
			if c != nil {
				c.appendNull()
			}
		}
		return
	}
	hi, lo := segment.Identity(r.plan.hashKey, bucket.StartMillis, key)
	r.idHigh.appendLong(int64(hi))
	r.idLow.appendLong(int64(lo))
	if r.key == nil {
		return
	}
	if uuid, ok := parseUUID(key); ok {
		r.keyUUID.appendBytes(uuid[:])
		r.key.appendNull()
		return
	}
	r.keyUUID.appendNull()
	r.key.appendBytes(key)
}

func (f fill) append(v decode.Value) {
	switch {
	case v.Kind == decode.Null:
		f.column.appendNull()
	case v.Kind == decode.Long && f.kind == arrow.INT64:
		f.column.appendLong(v.Long)
	case v.Kind == decode.Double && f.kind == arrow.FLOAT64:
		f.column.appendDouble(v.Double)
	case v.Kind == decode.Double && f.kind == arrow.FLOAT32:
		f.column.appendFloat(float32(v.Double))
	case v.Kind == decode.Bytes && f.kind == arrow.STRING:
		f.column.appendBytes(v.Bytes)
	default:
		panic(fmt.Sprintf("consumer: a value of kind %d was decoded for a column of type %s", v.Kind, f.kind))
	}
}

// parseUUID reads a canonical lower-case UUID: the only form whose 16 bytes give back the very same text.
func parseUUID(text []byte) (out [16]byte, ok bool) {
	if len(text) != 36 {
		return out, false
	}
	n := 0
	for i := 0; i < len(text); {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if text[i] != '-' {
				return out, false
			}
			i++
			continue
		}
		hi, lo := hexDigit(text[i]), hexDigit(text[i+1])
		if hi < 0 || lo < 0 {
			return out, false
		}
		out[n] = byte(hi<<4 | lo)
		n, i = n+1, i+2
	}
	return out, true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// rejectBuilder puts rejected records into batches laid out as segment.HotRejectsArrowSchema says.
type rejectBuilder struct {
	*batchBuilder
	time, offset, reason, message, raw, rawBytes *column
}

func newRejectBuilder() (*rejectBuilder, error) {
	b, err := newBatchBuilder(segment.HotRejectsArrowSchema(), segment.RejectsSchemaID)
	if err != nil {
		return nil, err
	}
	r := &rejectBuilder{batchBuilder: b}
	targets := map[string]**column{
		segment.TimeColumn: &r.time, segment.OffsetColumn: &r.offset, segment.RejectReasonColumn: &r.reason,
		segment.RejectMessageColumn: &r.message, segment.RejectRawColumn: &r.raw, segment.RejectRawBytesColumn: &r.rawBytes,
	}
	for i, f := range b.schema.Fields() {
		target := targets[f.Name]
		if target == nil {
			return nil, fmt.Errorf("rejects have no value for the column %s", f.Name)
		}
		*target = b.columns[i]
	}
	return r, nil
}

func (r *rejectBuilder) append(rec *decode.Record, kafkaMillis int64, reject *decode.Reject, bucket segment.Bucket) {
	millis := clampMillis(kafkaMillis)
	r.time.appendLong(millis * 1000)
	r.offset.appendLong(rec.Offset)
	r.reason.appendBytes([]byte(reject.Reason))
	r.message.appendBytes([]byte(strings.ToValidUTF8(reject.Message, "\uFFFD")))
	r.raw.appendBytes(escapeRaw(rec.Value))
	r.rawBytes.appendLong(int64(len(rec.Value)))
	r.rowAppended(rec.Offset, millis, bucket, false)
}

// escapeRaw returns the value as valid UTF-8 of at most segment.MaxRejectRawBytes, each invalid byte written as \xNN.
func escapeRaw(value []byte) []byte {
	if len(value) <= segment.MaxRejectRawBytes && utf8.Valid(value) {
		return value
	}
	out := make([]byte, 0, min(len(value), segment.MaxRejectRawBytes))
	for len(value) > 0 {
		r, size := utf8.DecodeRune(value)
		piece := value[:size]
		if r == utf8.RuneError && size == 1 {
			piece = []byte(`\x00`)
			if value[0] < 16 {
				piece = append(piece[:3], strconv.FormatInt(int64(value[0]), 16)...)
			} else {
				piece = append(piece[:2], strconv.FormatInt(int64(value[0]), 16)...)
			}
		}
		if len(out)+len(piece) > segment.MaxRejectRawBytes {
			break
		}
		out = append(out, piece...)
		value = value[size:]
	}
	return out
}

// builders are the batches still being filled, of one plan.
type builders struct {
	rows    *rowBuilder
	rejects *rejectBuilder
}

func newBuilders(p *plan) (*builders, error) {
	rows, err := newRowBuilder(p)
	if err != nil {
		return nil, err
	}
	rejects, err := newRejectBuilder()
	if err != nil {
		return nil, err
	}
	return &builders{rows: rows, rejects: rejects}, nil
}

func (b *builders) finish(mem memory.Allocator) (data, rejects *hotBatch) {
	return b.rows.finish(mem), b.rejects.finish(mem)
}
