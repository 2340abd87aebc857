package segment

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/file"
)

const (
	// fieldsKey is the file's key-value entry that holds what its columns say of themselves beside their ids.
	fieldsKey = "drumlin.fields"
	// ownPrefix begins the keys of Arrow fields' metadata that files keep: what states are states of.
	ownPrefix = "drumlin:"
)

// fieldMeta is what one column says of itself.
type fieldMeta struct {
	ID       int32             `json:"id"`
	Metadata map[string]string `json:"metadata"`
}

// ownMetadata is the part of a field's metadata that files keep.
func ownMetadata(f arrow.Field) map[string]string {
	out := map[string]string{}
	for i, key := range f.Metadata.Keys() {
		if strings.HasPrefix(key, ownPrefix) {
			out[key] = f.Metadata.Values()[i]
		}
	}
	return out
}

// writeFieldMeta keeps the fields' own metadata in the file; where there is none, it leaves no trace.
func writeFieldMeta(w *file.Writer, s *arrow.Schema) error {
	var list []fieldMeta
	for _, f := range s.Fields() {
		if own := ownMetadata(f); len(own) > 0 {
			id, _ := FieldID(f) // parquetSchema has seen it
			list = append(list, fieldMeta{ID: id, Metadata: own})
		}
	}
	if len(list) == 0 {
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	return w.AppendKeyValueMetadata(fieldsKey, string(text))
}

// readFieldMeta gives fields the metadata that the file keeps for them. text is nil where it keeps none.
func readFieldMeta(text *string, fields []arrow.Field) error {
	if text == nil {
		return nil
	}
	var list []fieldMeta
	if err := json.Unmarshal([]byte(*text), &list); err != nil {
		return fmt.Errorf("%s: %w", fieldsKey, err)
	}
	for _, m := range list {
		at := slices.IndexFunc(fields, func(f arrow.Field) bool {
			id, ok := FieldID(f)
			return ok && id == m.ID
		})
		if at < 0 {
			return fmt.Errorf("%s: the file has no column with the id %d", fieldsKey, m.ID)
		}
		if len(ownMetadata(fields[at])) > 0 {
			return fmt.Errorf("%s: describes the column with the id %d twice", fieldsKey, m.ID)
		}
		keys, values := []string{FieldIDKey}, []string{strconv.Itoa(int(m.ID))}
		for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
			if !strings.HasPrefix(key, ownPrefix) {
				return fmt.Errorf("%s: the key %q of column %d does not begin with %s", fieldsKey, key, m.ID, ownPrefix)
			}
			keys, values = append(keys, key), append(values, m.Metadata[key])
		}
		fields[at].Metadata = arrow.NewMetadata(keys, values)
	}
	return nil
}
