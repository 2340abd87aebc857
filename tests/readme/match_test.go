package readme

import "testing"

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		name, documented, printed string
		want                      bool
	}{
		{"equal", "a\nb", "a\nb\n", true},
		{"another number", "n\n─\n7\n1 row in 4ms", "n\n─\n8\n1 row in 4ms", false},
		{"times differ", "1 row in 4ms", "1 row in 1.62s", true},
		{"rates differ, progress goes", "done: events written: 5 in 3s, 12/s", "events written: 2 of 5 (40 %), 1/s\ndone: events written: 5 in 1m3.2s, 9/s", true},
		{"progress of a task goes", "t1\ndone in 3s", "t1\ntime chunks: 7 of 8 (88 %), 1/s\ndone in 9s", true},
		{"a count is no rate", "done: events written: 5 in 3s, 12/s", "done: events written: 6 in 3s, 12/s", false},
		{"widths differ", "a    b\n───  ─\n1    2", "a b\n─ ─\n1 2", true},
		{"a line too many", "a", "a\nb", false},
		{"a line too few", "a\nb", "a", false},
		{"lines cut", "a\n…\nz", "a\nb\nc\nz", true},
		{"no lines cut", "a\n…\nz", "a\nz", true},
		{"lines cut, another end", "a\n…\nz", "a\nb\ny", false},
		{"text cut", "x …, y … z", "x 1, y 2 z", true},
		{"text cut, the middle is missing", "x …, y … z", "x 1, 2 z", false},
		{
			"owner and commit time", "events  events  0  21f2be7f  running  7  2026-11-22T01:37:22.613Z",
			"events  events  0  ffffffff  running  7  2027-01-01T00:00:00.000Z", true,
		},
		{
			"times of rows", "2026-01-01T10:00:00.000Z  a1", "2026-01-01T10:00:00.001Z  a1", false,
		},
	} {
		if got := matches(c.documented, c.printed); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	sections, err := parse("# T\n## One\n```sh\na\nb\n```\n## Two\n```console\n$ c 'x\ny'\nout\n\n$ d \\\n  e\n$ f\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(sections) != 3 || sections[1].title != "One" || sections[1].blocks[0].body != "a\nb" {
		t.Fatalf("sections: %+v", sections)
	}
	got, err := steps(sections[2].blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	want := []step{{"c 'x\ny'", "out\n", 9}, {"d \\\n  e", "", 13}, {"f", "", 15}}
	if len(got) != len(want) {
		t.Fatalf("steps: %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("step %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	for _, bad := range []string{"```yaml\n```", "```\nx\n```", "```sh\nx"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q must be refused", bad)
		}
	}
	if _, err := steps(block{lang: langConsole, body: "out\n$ a"}); err == nil {
		t.Error("a console block that begins with output must be refused")
	}
	if _, err := steps(block{lang: langConsole, body: "$ a 'x"}); err == nil {
		t.Error("a command without an end must be refused")
	}
}
