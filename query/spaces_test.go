package query

import (
	"strings"
	"testing"

	"drumlin/segment"
)

func TestWideSpacesSeparateWords(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", false, 1, column("s", segment.TypeString))
	tab.partitions[0].add(worldRow{millis: t0, values: []any{"a\u00a0b"}})
	w.commit(tab, tab.partitions[0], 1)
	e := w.engine()
	for _, sql := range []string{
		"SELECT_count(*)_FROM_events_WHERE_s_=_'a\u00a0b'",
		"/*_it's_*/_SELECT_count(*)_FROM_events_WHERE_s_=_$$a\u00a0b$$",
		"SELECT_count(*)_--_it's\n_FROM_events_WHERE_s_=_$x$a\u00a0b$x$",
		"SELECT_count(*)_FROM_druid_._events_\"e\u00a0''x\"_WHERE_\"e\u00a0''x\".s_=_e'a\u00a0b'",
		"SELECT_count(*)_FROM_events_WHERE_s_=_'a\u00a0b'_AND_E'\\'\u00a0''_'_=_'''\u00a0''_'",
	} {
		for _, space := range []string{" ", "\u00a0", "\u3000", "\u2003", "\ufeff", " \u200b"} {
			text := strings.ReplaceAll(sql, "_", space)
			if lines, _, err := ask(e, Request{SQL: text}); err != nil || lines[0] != "1" {
				t.Errorf("%q: %v, %v", text, lines, err)
			}
		}
	}
}

func FuzzPlainSpaces(f *testing.F) {
	for _, sql := range []string{"SELECT\u00a01", "'\u3000' \u3000", "$$ \u2003", "/* \u00a0", "e'\\"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		out := plainSpaces(sql)
		if len(out) != len(sql) {
			t.Fatalf("%d bytes became %d", len(sql), len(out))
		}
		for i := range len(out) {
			if out[i] != sql[i] && (out[i] != ' ' || sql[i] < 0x80) {
				t.Fatalf("byte %d changed from %q to %q", i, sql[i], out[i])
			}
		}
	})
}
