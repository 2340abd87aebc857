package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	// MaxSettingBytes bounds the value of one setting.
	MaxSettingBytes = 256 << 10
	// MaxSettingHistory is how many versions of a setting are kept, the newest included.
	MaxSettingHistory = 100
)

var jsonNull = json.RawMessage("null")

// PutSetting publishes the next version of a datasource's setting; null takes it away. expectVersion is the version that
// the view shows; 0 where it shows none. A mirror is written to the object store first. ErrConflict: another version
// came first; ErrInvalid: the datasource does not exist, or has nothing to take away.
func (c *Catalog) PutSetting(ctx context.Context, kind SettingKind, datasource string, value json.RawMessage,
	expectVersion int64,
) (Setting, error) {
	where := fmt.Sprintf("put %s of %q", kind, datasource)
	if err := checkSettingValue(kind, value); err != nil {
		return Setting{}, fmt.Errorf("%s: %w", where, err)
	}
	old, mod, err := c.readSetting(ctx, kind, datasource)
	if err != nil {
		return Setting{}, fmt.Errorf("%s: %w", where, err)
	}
	shown := old.Version
	if old.none() {
		shown = 0
	}
	next := Setting{Version: old.Version + 1, UpdatedMillis: c.o.Now().UnixMilli(), Value: value}
	switch {
	case shown != expectVersion:
		return Setting{}, fmt.Errorf("%s: %w: it stands at version %d, not at %d", where, ErrConflict, shown, expectVersion)
	case old.none() && next.none():
		return Setting{}, fmt.Errorf("%s: %w", where, invalidf("there is none to take away"))
	}
	next, err = c.putSetting(ctx, kind, datasource, next, mod)
	if err != nil {
		return Setting{}, fmt.Errorf("%s: %w", where, err)
	}
	return next, nil
}

// readSetting reads the newest version and the mod_revision of its key; zero where there is none.
func (c *Catalog) readSetting(ctx context.Context, kind SettingKind, datasource string) (s Setting, mod int64, err error) {
	exists, err := c.get(ctx, datasourceKey(datasource))
	if err != nil {
		return Setting{}, 0, err
	}
	if exists == nil {
		return Setting{}, 0, invalidf("datasource %q does not exist", datasource)
	}
	kv, err := c.get(ctx, settingKey(kind, datasource))
	if err != nil || kv == nil {
		return Setting{}, 0, err
	}
	s, err = decodeSetting(kv.Key, kv.Value)
	return s, kv.ModRevision, err
}

func (c *Catalog) putSetting(ctx context.Context, kind SettingKind, datasource string, next Setting, mod int64) (Setting, error) {
	value, err := encode(next)
	if err != nil {
		return Setting{}, err
	}
	mirror := fmt.Sprintf("settings/%s/%s/%s/%020d-%s.json", c.incarnation, kind, escapePart(datasource), next.Version, randomID(8))
	if _, err := putObject(ctx, c.o.Objects, mirror, value); err != nil {
		return Setting{}, err
	}
	format, err := c.writable()
	if err != nil {
		return Setting{}, err
	}
	key := settingKey(kind, datasource)
	t := Txn{
		If:   []Compare{ifModified(key, mod), format},
		Then: []Op{opPut(key, value), opPut(settingVersionKey(kind, datasource, next.Version), value)},
		Else: opGets(key, keyFormat),
	}
	if oldest := next.Version - MaxSettingHistory; oldest > 0 {
		t.Then = append(t.Then, opDelete(settingVersionKey(kind, datasource, oldest)))
	}
	res, doubtful, err := c.settle(ctx, t)
	kv := res.gets(key)
	switch {
	case err != nil:
		return Setting{}, err
	case res.Succeeded, doubtful && slices.Equal(kv.Value, value):
		return next, nil
	case doubtful && kv.ModRevision != mod:
		return Setting{}, fmt.Errorf("%w: it has changed after an attempt whose reply was lost", ErrUnknown)
	case kv.ModRevision != mod:
		return Setting{}, fmt.Errorf("%w: another version came first", ErrConflict)
	}
	return Setting{}, formatChanged(res)
}

// gets is the key's value in the answer; zero where there is none, or no answer.
func (r *TxnResult) gets(key string) KeyValue {
	if r == nil {
		return KeyValue{}
	}
	return r.Gets[key]
}

// SettingHistory reads the versions of a setting that are kept, newest first; those that took it away have the value
// null.
func (c *Catalog) SettingHistory(ctx context.Context, kind SettingKind, datasource string) ([]Setting, error) {
	if err := checkSettingKind(kind); err != nil {
		return nil, err
	}
	res, err := c.rangeKeys(ctx, settingKey(kind, datasource)+"/", RangeOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s of %q: %w", kind, datasource, err)
	}
	out := make([]Setting, 0, len(res.KVs))
	for _, kv := range slices.Backward(res.KVs) {
		s, err := decodeSetting(kv.Key, kv.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// none says that the setting is not there: never put, or taken away.
func (s *Setting) none() bool { return len(s.Value) == 0 || bytes.Equal(s.Value, jsonNull) }

func checkSettingKind(kind SettingKind) error {
	if kind != SettingAutoCompaction && kind != SettingRules {
		return invalidf("setting %q is not known", kind)
	}
	return nil
}

func checkSettingValue(kind SettingKind, value json.RawMessage) error {
	if err := checkSettingKind(kind); err != nil {
		return err
	}
	if !json.Valid(value) || len(value) > MaxSettingBytes {
		return invalidf("its value must be JSON of at most %d bytes", MaxSettingBytes)
	}
	return nil
}

func decodeSetting(key string, data []byte) (Setting, error) {
	var s Setting
	if err := decode(key, data, &s); err != nil {
		return Setting{}, err
	}
	if s.Version < 1 {
		return Setting{}, corruptf("%s has version %d", key, s.Version)
	}
	return s, nil
}

// settingOf finds the datasource's place for the setting that the key names; nil for a key of its history.
func (s *state) settingOf(key string) (place **Setting, err error) {
	kind, rest, _ := strings.Cut(key, "/")
	if strings.Contains(rest, "/") {
		return nil, nil
	}
	parts, err := splitKey(key, kind+"/", 1)
	if err != nil {
		return nil, err
	}
	d := s.datasource(parts[0])
	d.changed = true
	if SettingKind(kind) == SettingRules {
		return &d.rules, nil
	}
	return &d.autoCompaction, nil
}

// putSetting folds a setting in.
func (s *state) putSetting(kv KeyValue) error {
	place, err := s.settingOf(kv.Key)
	if err != nil || place == nil {
		return err
	}
	v, err := decodeSetting(kv.Key, kv.Value)
	if err != nil {
		return err
	}
	*place = nil
	if !v.none() {
		*place = &v
	}
	return nil
}

func (s *state) removeSetting(key string) error {
	place, err := s.settingOf(key)
	if err == nil && place != nil {
		*place = nil
	}
	return err
}
