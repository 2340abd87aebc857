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
	seen := make(map[string]bool, len(s.Dimensions))
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

func (s *Schema) column(name string) (Column, bool) {
	for _, c := range s.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}
