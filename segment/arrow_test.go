package segment

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

func testSchema() *Schema {
	return &Schema{
		ID: 3,
		Columns: []Column{
			{100, "event", TypeString},
			{101, "n", TypeLong},
			{102, "price", TypeDouble},
			{103, "ratio", TypeFloat},
			{104, "extra", TypeJSON},
			{105, "old", TypeString},
		},
		Dimensions: []string{"extra", "event", "__time", "n", "price", "ratio"},
		SortBy:     []string{"event", "__time"},
		Dedup:      true,
	}
}

func layout(s *arrow.Schema) string {
	var names []string
	for _, f := range s.Fields() {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func TestArrowSchemas(t *testing.T) {
	s := testSchema()
	keyed := testSchema()
	keyed.KeyColumn = "event"
	plain := testSchema()
	plain.Dedup = false
	for _, test := range []struct {
		name      string
		schema    *Schema
		hot, file string
	}{
		{
			"dedup", s, "__time __id_hi __id_lo __key_uuid __key __offset extra event n price ratio",
			"__time __id_hi __id_lo __key_uuid __key __topic __generation __partition __offset extra event n price ratio",
		},
		{
			"key in a column", keyed, "__time __id_hi __id_lo __offset extra event n price ratio",
			"__time __id_hi __id_lo __topic __generation __partition __offset extra event n price ratio",
		},
		{
			"no dedup", plain, "__time __offset extra event n price ratio",
			"__time __topic __generation __partition __offset extra event n price ratio",
		},
	} {
		hot, file := HotArrowSchema(test.schema), FileArrowSchema(test.schema)
		if got := layout(hot); got != test.hot {
			t.Errorf("%s: hot columns\n%s, want\n%s", test.name, got, test.hot)
		}
		if got := layout(file); got != test.file {
			t.Errorf("%s: file columns\n%s, want\n%s", test.name, got, test.file)
		}
		for _, f := range file.Fields() {
			if id, ok := FieldID(f); !ok || id <= 0 {
				t.Errorf("%s: column %s has field id %d, %v", test.name, f.Name, id, ok)
			}
		}
	}
	hidden := "__time __id_hi __id_lo __key_uuid __key __topic __generation __partition __offset "
	read := testSchema()
	read.Dimensions, read.Inputs = []string{"event", "price"}, []string{"n"}
	if got := layout(KeptArrowSchema(read, read.AllColumns())); got != hidden+"event price n ratio extra old" {
		t.Errorf("all columns: %s", got)
	}
	if got := layout(KeptArrowSchema(s, s.Columns[1:2])); got != hidden+"n" {
		t.Errorf("one column kept: %s", got)
	}
	if got := layout(FileRejectsArrowSchema()); got != "__time __topic __generation __partition __offset reason message raw raw_bytes" {
		t.Errorf("rejects columns: %s", got)
	}
	if got := layout(HotRejectsArrowSchema()); got != "__time __offset reason message raw raw_bytes" {
		t.Errorf("hot rejects columns: %s", got)
	}
}

func TestSchemaValidate(t *testing.T) {
	for _, test := range []struct {
		change func(*Schema)
		want   string
	}{
		{func(*Schema) {}, ""},
		{func(s *Schema) { s.ID = 0 }, "id 0"},
		{func(s *Schema) { s.Dimensions = append(s.Dimensions, "nowhere") }, `"nowhere"`},
		{func(s *Schema) { s.Dimensions = append(s.Dimensions, "n") }, `"n"`},
		{func(s *Schema) { s.SortBy = []string{"nowhere"} }, `"nowhere"`},
		{func(s *Schema) { s.Columns[1].Type = "blob" }, `"blob"`},
		{func(s *Schema) { s.Columns[1].Type = TypeUUID }, `"uuid"`},
		{func(s *Schema) { s.Columns[1].ID = 100 }, "ascend"},
		{func(s *Schema) { s.Columns[0].ID = 7 }, "first"},
		{func(s *Schema) { s.Columns[0].Name = "__offset" }, `"__offset"`},
		{func(s *Schema) { s.Columns[1].Name = "EVENT" }, `"EVENT"`},
		{func(s *Schema) { s.KeyColumn = "n" }, `"n"`},
		{func(s *Schema) { s.KeyColumn = "event"; s.Dedup = false }, "dedup"},
	} {
		s := testSchema()
		test.change(s)
		err := s.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("want %q, got %v", test.want, err)
		}
	}
}
