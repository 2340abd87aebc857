package query

import (
	"sort"
	"strings"

	"drumlin/catalog"
)

// datasourcePrefix begins the resolver's name of a datasource; the other tables are named as sys.segments.
const datasourcePrefix = "druid."

// tableNames resolves names against one view. Names are compared exactly first, then whatever their case.
type tableNames struct{ view *catalog.View }

func (t tableNames) resolve(ref tableRef) (string, *Error) {
	switch schema := strings.ToLower(ref.schema); schema {
	case "", "druid":
		if name, ok := t.datasource(ref.name); ok {
			return datasourcePrefix + name, nil
		}
		return "", t.unknown(ref)
	case "sys", "information_schema":
		full := schema + "." + strings.ToLower(ref.name)
		if _, ok := systemTables[full]; ok {
			return full, nil
		}
		return "", t.unknown(ref)
	}
	near := nearestNames(ref.schema, []string{"druid", "sys", "INFORMATION_SCHEMA"})
	e := newError(NotFound, didYouMean(near), "the schema %s is not known", ref.schema)
	e.Names = near
	return "", e
}

func (t tableNames) datasource(name string) (string, bool) {
	if _, ok := t.view.Datasources[name]; ok {
		return name, true
	}
	found := ""
	for n := range t.view.Datasources {
		if strings.EqualFold(n, name) {
			if found != "" { // two differ in case only, and neither is meant exactly
				return "", false
			}
			found = n
		}
	}
	return found, found != ""
}

func (t tableNames) unknown(ref tableRef) *Error {
	written := ref.name
	if ref.schema != "" {
		written = ref.schema + "." + ref.name
	}
	near := nearestNames(written, t.all())
	hint := didYouMean(near)
	if hint == "" {
		hint = "SELECT table_name FROM INFORMATION_SCHEMA.TABLES lists the tables"
	}
	e := newError(NotFound, hint, "the table %s is not known", written)
	e.Names = near
	return e
}

// all lists what can be written after FROM.
func (t tableNames) all() []string {
	var out []string
	for name := range t.view.Datasources {
		out = append(out, name)
		out = append(out, datasourcePrefix+name)
	}
	for name := range systemTables {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// onlyInternal resolves the names of the statement as it is run: the views made for it and nothing else.
func onlyInternal(internal map[string]string) resolver {
	known := map[string]bool{}
	for _, name := range internal {
		known[name] = true
	}
	return func(ref tableRef) (string, *Error) {
		if ref.schema != "" || !known[ref.name] {
			return "", newError(Invalid, "write table names in double quotes", "the table %s could not be found again in the query", ref.name)
		}
		return ref.name, nil
	}
}

// picked are the datasources whose rows the tables need, at any view.
func picked(tables map[string]bool, view *catalog.View) ([]string, *Error) {
	var out []string
	for name := range view.Datasources {
		if tables["sys.segments"] || tables["sys.rejects"] || tables[datasourcePrefix+name] {
			out = append(out, name)
		}
	}
	for table := range tables {
		name, ok := strings.CutPrefix(table, datasourcePrefix)
		if _, there := view.Datasources[name]; ok && !there {
			return nil, newError(NotFound, "", "the table %s is gone", name)
		}
	}
	return out, nil
}
