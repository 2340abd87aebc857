package segment

import (
	"fmt"
	"strings"
)

// Validate says what is wrong with a schema that was read from outside; every other function takes a valid one.
func (s *Schema) Validate() error {
	if s.ID < 1 {
		return fmt.Errorf("schema has id %d: ids count from 1", s.ID)
	}
	names := make(map[string]bool, len(s.Columns))
	last := FirstUserColumnID - 1
	for _, c := range s.Columns {
		if err := s.validateColumn(c, last); err != nil {
			return fmt.Errorf("schema %d: %w", s.ID, err)
		}
		if folded := strings.ToLower(c.Name); names[folded] {
			return fmt.Errorf("schema %d: column %q occurs twice (names are compared without case)", s.ID, c.Name)
		} else {
			names[folded] = true
		}
		last = c.ID
	}
	return s.validateNames()
}

func (s *Schema) validateColumn(c Column, lastID int32) error {
	switch {
	case c.Name == "" || strings.HasPrefix(c.Name, "__"):
		return fmt.Errorf("column %q: a name may not be empty or begin with two underscores", c.Name)
	case c.ID < FirstUserColumnID:
		return fmt.Errorf("column %q has id %d: the first id of a user's column is %d", c.Name, c.ID, FirstUserColumnID)
	case c.ID <= lastID:
		return fmt.Errorf("column %q has id %d after %d: ids must ascend", c.Name, c.ID, lastID)
	}
	switch c.Type {
	case TypeString, TypeLong, TypeDouble, TypeFloat, TypeJSON:
		return nil
	}
	return fmt.Errorf("column %q: type %q is not one of a user's column", c.Name, c.Type)
}

func (s *Schema) validateNames() error {
	seen := make(map[string]bool, len(s.Dimensions)+len(s.Inputs))
	for _, name := range s.Dimensions {
		if _, ok := s.column(name); !ok && name != TimeColumn {
			return fmt.Errorf("schema %d: dimension %q is not among its columns", s.ID, name)
		}
		if seen[name] {
			return fmt.Errorf("schema %d: dimension %q occurs twice", s.ID, name)
		}
		seen[name] = true
	}
	for _, name := range s.SortBy {
		if !seen[name] && name != TimeColumn {
			return fmt.Errorf("schema %d: rows are sorted by %q, which is not among its dimensions", s.ID, name)
		}
	}
	if err := s.validateInputs(seen); err != nil {
		return err
	}
	if s.KeyColumn == "" {
		return nil
	}
	c, ok := s.column(s.KeyColumn)
	switch {
	case !s.Dedup:
		return fmt.Errorf("schema %d names the key column %q without dedup", s.ID, s.KeyColumn)
	case !ok || !seen[s.KeyColumn] || c.Type != TypeString:
		return fmt.Errorf("schema %d: key column %q is not a string dimension", s.ID, s.KeyColumn)
	}
	return nil
}

// validateInputs checks what a rollup datasource has beside its dimensions. seen are the dimensions.
func (s *Schema) validateInputs(seen map[string]bool) error {
	inputs := make(map[string]bool, len(s.Inputs))
	for _, name := range s.Inputs {
		if _, ok := s.column(name); !ok || seen[name] || inputs[name] {
			return fmt.Errorf("schema %d: input %q is not among its columns, occurs twice, or is a dimension", s.ID, name)
		}
		inputs[name] = true
	}
	ids, names := map[int32]bool{}, map[string]bool{}
	for _, c := range s.Columns {
		ids[c.ID] = true
	}
	for _, c := range s.States {
		if c.ID < FirstUserColumnID || ids[c.ID] || c.Name == "" || names[c.Name] || seen[c.Name] {
			return fmt.Errorf("schema %d: state column %q has id %d, which is taken or too low, or its name is taken", s.ID, c.Name, c.ID)
		}
		if _, err := ArrowType(c.Type); err != nil {
			return fmt.Errorf("schema %d: state column %q: %w", s.ID, c.Name, err)
		}
		ids[c.ID], names[c.Name] = true, true
	}
	return nil
}

func (s *Schema) column(name string) (Column, bool) {
	for _, c := range s.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Validate says what is wrong with a segment's description that was read from outside.
func (m *Meta) Validate() error {
	fail := func(format string, args ...any) error {
		return corrupt(fmt.Sprintf("description of segment %q", m.Object), format, args...)
	}
	switch {
	case m.Object == "":
		return fail("no object")
	case m.Kind != KindData && m.Kind != KindRejects:
		return fail("kind %q is not known", m.Kind)
	case m.Bytes <= 0 || m.Rows <= 0:
		return fail("%d rows in %d bytes", m.Rows, m.Bytes)
	case !isSHA256(m.SHA256):
		return fail("SHA-256 %q is not 64 lower-case hex digits", m.SHA256)
	case m.Bucket.StartMillis >= m.Bucket.EndMillis:
		return fail("its bucket ends at %d and begins at %d", m.Bucket.EndMillis, m.Bucket.StartMillis)
	case m.MinMillis > m.MaxMillis:
		return fail("its smallest time %d is past its largest %d", m.MinMillis, m.MaxMillis)
	case m.Kind == KindData && (m.MinMillis < m.Bucket.StartMillis || m.MaxMillis >= m.Bucket.EndMillis):
		return fail("its times %d to %d lie outside its bucket", m.MinMillis, m.MaxMillis)
	}
	if m.Events < 0 || m.Folded != (m.Events > 0) {
		return fail("folded: %t, with %d events", m.Folded, m.Events)
	}
	for _, s := range m.Sources {
		if s.Topic == "" || s.Partition < 0 || s.From < 0 || s.From >= s.To {
			return fail("source %q partition %d offsets %d to %d", s.Topic, s.Partition, s.From, s.To)
		}
	}
	for _, c := range m.Columns {
		if c.Nulls < 0 || c.Nulls > m.Rows {
			return fail("column %d has %d nulls in %d rows", c.ID, c.Nulls, m.Rows)
		}
	}
	return nil
}

func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
