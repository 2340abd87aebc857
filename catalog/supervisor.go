package catalog

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"drumlin/segment"
)

// SupervisorChange is a new version of a supervisor, with the datasource and the schema that it brings, where it
// brings them.
type SupervisorChange struct {
	Supervisor    Supervisor      `json:"supervisor"`
	ExpectVersion int64           `json:"expectVersion"` // the version that it replaces; 0: there is none
	NewDatasource *Datasource     `json:"newDatasource,omitempty"`
	NewSchema     *segment.Schema `json:"newSchema,omitempty"`
}

// PutSupervisor publishes a new version of a supervisor in one transaction. A mirror of it is written to the object
// store first, since a rebuild needs specs and schemas. Versions and schemas never change once they are there.
// ErrConflict: another version came first, or the datasource exists already: reload, and decide again.
func (c *Catalog) PutSupervisor(ctx context.Context, change SupervisorChange) (revision int64, err error) {
	id := change.Supervisor.ID
	if err := change.check(); err != nil {
		return 0, fmt.Errorf("put supervisor %q: %w", id, err)
	}
	t, err := c.supervisorTxn(ctx, &change)
	if err != nil {
		return 0, fmt.Errorf("put supervisor %q: %w", id, err)
	}
	res, _, err := c.settle(ctx, *t)
	if err != nil {
		return 0, fmt.Errorf("put supervisor %q: %w", id, err)
	}
	if res.Succeeded {
		return res.Revision, nil
	}
	// The version key tells whether this very change, sent by an attempt whose reply was lost, has been applied.
	key := specVersionKey(id, change.Supervisor.Version)
	if kv, ok := res.Gets[key]; ok && slices.Equal(kv.Value, valueOf(t.Then, key)) {
		return kv.CreateRevision, nil
	}
	return 0, fmt.Errorf("put supervisor %q version %d: %w: it, its datasource or its schema was put by someone else",
		id, change.Supervisor.Version, ErrConflict)
}

func valueOf(ops []Op, key string) []byte {
	for _, op := range ops {
		if op.Key == key {
			return op.Value
		}
	}
	return nil
}

func (s *SupervisorChange) check() error {
	v := &s.Supervisor
	switch {
	case v.ID == "" || len(v.ID) > maxNameBytes || v.Datasource == "" || len(v.Datasource) > maxNameBytes:
		return invalidf("id and datasource must have 1 to %d bytes", maxNameBytes)
	case v.Version != s.ExpectVersion+1:
		return invalidf("version %d does not follow version %d", v.Version, s.ExpectVersion)
	case s.NewDatasource != nil && s.NewDatasource.Name != v.Datasource:
		return invalidf("it is for datasource %q, but brings %q", v.Datasource, s.NewDatasource.Name)
	case s.NewSchema != nil && s.NewSchema.ID != v.SchemaID:
		return invalidf("it names schema %d, but brings %d", v.SchemaID, s.NewSchema.ID)
	case s.NewDatasource != nil && (s.NewSchema == nil || s.NewSchema.ID != 1):
		return invalidf("a new datasource needs its schema 1")
	}
	if s.NewDatasource != nil {
		key, err := hex.DecodeString(s.NewDatasource.HashKey)
		if err != nil || len(key) != 16 {
			return invalidf("datasource %q: the hash key must be 32 hex digits", s.NewDatasource.Name)
		}
	}
	return nil
}

// supervisorTxn writes the mirror and builds the transaction.
func (c *Catalog) supervisorTxn(ctx context.Context, change *SupervisorChange) (*Txn, error) {
	v := &change.Supervisor
	newest, versioned := specKey(v.ID), specVersionKey(v.ID, v.Version)
	t := &Txn{Else: opGets(newest, versioned)}
	format, err := c.writable()
	if err != nil {
		return nil, err
	}
	t.If = append(t.If, format, ifAbsent(versioned))
	was, err := c.get(ctx, newest)
	if err != nil {
		return nil, err
	}
	replaced, err := replacedRevision(was, change)
	if err != nil {
		return nil, err
	}
	t.If = append(t.If, ifModified(newest, replaced))
	if err := c.addDatasource(ctx, t, change); err != nil {
		return nil, err
	}
	value, err := encode(v)
	if err != nil {
		return nil, err
	}
	t.Then = append(t.Then, opPut(newest, value), opPut(versioned, value))
	mirror, err := encode(change)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("specs/%s/%s/%020d-%s.json", c.incarnation, escapePart(v.ID), v.Version, randomID(8))
	if _, err := putObject(ctx, c.o.Objects, name, mirror); err != nil {
		return nil, err
	}
	return t, nil
}

// replacedRevision is the mod_revision of the version that the change replaces; 0: none.
func replacedRevision(was *KeyValue, change *SupervisorChange) (int64, error) {
	if was == nil {
		if change.ExpectVersion != 0 {
			return 0, fmt.Errorf("%w: it replaces version %d, but does not exist", ErrConflict, change.ExpectVersion)
		}
		return 0, nil
	}
	var old Supervisor
	if err := decode(was.Key, was.Value, &old); err != nil {
		return 0, err
	}
	switch {
	case old.Version == change.Supervisor.Version:
		return 0, nil // the transaction fails, and its Else branch tells whose version it is
	case old.Version != change.ExpectVersion:
		return 0, fmt.Errorf("%w: it replaces version %d, but stands at %d", ErrConflict, change.ExpectVersion, old.Version)
	case old.Datasource != change.Supervisor.Datasource:
		return 0, invalidf("its datasource is %q for ever; %q needs another supervisor", old.Datasource, change.Supervisor.Datasource)
	}
	return was.ModRevision, nil
}

// addDatasource adds the datasource and the schema that the change brings, or compares those that it relies on.
func (c *Catalog) addDatasource(ctx context.Context, t *Txn, change *SupervisorChange) error {
	name := change.Supervisor.Datasource
	key := datasourceKey(name)
	if change.NewDatasource != nil {
		value, err := encode(change.NewDatasource)
		if err != nil {
			return err
		}
		t.If = append(t.If, ifAbsent(key))
		t.Then = append(t.Then, opPut(key, value))
	} else {
		kv, err := c.get(ctx, key)
		if err != nil {
			return err
		}
		if kv == nil {
			return invalidf("datasource %q does not exist and is not brought along", name)
		}
		t.If = append(t.If, ifModified(key, kv.ModRevision))
	}
	return c.addSchema(ctx, t, change)
}

func (c *Catalog) addSchema(ctx context.Context, t *Txn, change *SupervisorChange) error {
	name, id := change.Supervisor.Datasource, change.Supervisor.SchemaID
	key := schemaKey(name, id)
	if change.NewSchema == nil {
		kv, err := c.get(ctx, key)
		if err != nil {
			return err
		}
		if kv == nil {
			return invalidf("schema %d of datasource %q does not exist and is not brought along", id, name)
		}
		return nil // it never changes
	}
	value, err := encode(change.NewSchema)
	if err != nil {
		return err
	}
	t.If = append(t.If, ifAbsent(key))
	t.Then = append(t.Then, opPut(key, value))
	if id == 1 {
		return checkSchema(nil, change.NewSchema)
	}
	kv, err := c.get(ctx, schemaKey(name, id-1))
	if err != nil {
		return err
	}
	if kv == nil {
		return invalidf("schema %d of datasource %q does not follow an existing one", id, name)
	}
	old, err := decodeSchema(kv.Key, kv.Value)
	if err != nil {
		return err
	}
	return checkSchema(old, change.NewSchema)
}

// checkSchema: columns are only ever added, at the end, with ids that were never used.
func checkSchema(old, next *segment.Schema) error {
	last := segment.FirstUserColumnID - 1
	for _, col := range next.Columns {
		if col.ID <= last {
			return invalidf("schema %d: column %q has id %d, after %d", next.ID, col.Name, col.ID, last)
		}
		last = col.ID
	}
	if old == nil {
		return nil
	}
	if len(next.Columns) < len(old.Columns) || !slices.Equal(old.Columns, next.Columns[:len(old.Columns)]) {
		return invalidf("schema %d does not begin with the columns of schema %d", next.ID, old.ID)
	}
	if old.Dedup != next.Dedup {
		return invalidf("schema %d changes whether rows carry an identity: that needs a new datasource", next.ID)
	}
	return nil
}

// RaiseFloors raises a datasource's floors; 0 leaves one as it is. They take effect at a partition when it acknowledges
// them. A mirror is written first.
func (c *Catalog) RaiseFloors(ctx context.Context, datasource string, to Floors) (revision int64, err error) {
	was, err := c.readFloors(ctx, datasource)
	if err != nil {
		return 0, fmt.Errorf("raise floors of %q: %w", datasource, err)
	}
	next := Floors{
		RetentionMillis: max(to.RetentionMillis, was.RetentionMillis), DedupMillis: max(to.DedupMillis, was.DedupMillis),
	}
	if next != to && to.RetentionMillis != 0 && to.DedupMillis != 0 || next == was.Floors {
		return 0, invalidf("raise floors of %q from %+v to %+v: floors only rise", datasource, was.Floors, to)
	}
	value, err := encode(next)
	if err != nil {
		return 0, err
	}
	mirror := fmt.Sprintf("floors/%s/%s/%020d-%020d-%s.json", c.incarnation, escapePart(datasource), next.RetentionMillis,
		next.DedupMillis, randomID(8))
	if _, err := putObject(ctx, c.o.Objects, mirror, value); err != nil {
		return 0, fmt.Errorf("raise floors of %q: %w", datasource, err)
	}
	format, err := c.writable()
	if err != nil {
		return 0, fmt.Errorf("raise floors of %q: %w", datasource, err)
	}
	key := floorKey(datasource)
	res, _, err := c.settle(ctx, Txn{
		If: []Compare{ifModified(key, was.mod), format}, Then: []Op{opPut(key, value)}, Else: opGets(key),
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("raise floors of %q: %w", datasource, err)
	case res.Succeeded:
		return res.Revision, nil
	case slices.Equal(res.Gets[key].Value, value):
		return res.Gets[key].ModRevision, nil
	}
	return 0, fmt.Errorf("raise floors of %q: %w: someone else moved them", datasource, ErrConflict)
}
