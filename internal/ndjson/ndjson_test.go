package ndjson

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"drumlin/internal/testkit"
)

// lines reads everything and writes "number:line" for each.
func lines(t testing.TB, r *Reader) (out []string, err error) {
	t.Helper()
	for {
		line, number, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			return out, err
		}
		out = append(out, fmt.Sprintf("%d:%s", number, line))
	}
}

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLines(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		blank            int64
	}{
		{"empty", "", "", 0},
		{"one", "a\n", "1:a", 0},
		{"no last end", "a\nb", "1:a 2:b", 0},
		{"carriage returns", "a\r\nb\r\n", "1:a 2:b", 0},
		{"blank lines", "\n a\n\r\n \t\n{}\n\n", "2: a 5:{}", 4},
		{"blank last line", "a\n  ", "1:a", 1},
		{"byte order mark", "\ufeffa\n\ufeffb\n", "1:a 2:\ufeffb", 0},
		{"no JSON", "\xff\x00\n", "1:\xff\x00", 0},
	} {
		gz := filepath.Join(t.TempDir(), "records.json.gz")
		if err := os.WriteFile(gz, append(zip(t, test.text), zip(t, "")...), 0o600); err != nil {
			t.Fatal(err)
		}
		for path, stdin := range map[string]io.Reader{"-": iotest.OneByteReader(strings.NewReader(test.text)), gz: nil} {
			r, err := Open(path, stdin)
			if err != nil {
				t.Fatal(err)
			}
			got, err := lines(t, r)
			if err != nil || strings.Join(got, " ") != test.want || r.Blank() != test.blank {
				t.Errorf("%s from %s: got %q, %d blank, %v, want %q, %d blank", test.name, path, got, r.Blank(), err, test.want, test.blank)
			}
			if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: after the end: %v", test.name, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLongLines(t *testing.T) {
	const limit = 2*bufferBytes + 100
	longest := strings.Repeat("x", limit)
	read := func(text string) (first int, number int64, err error) {
		r, err := newReader("records", strings.NewReader(text), nil, limit)
		if err != nil {
			t.Fatal(err)
		}
		line, number, err := r.Next()
		return len(line), number, err
	}
	for _, end := range []string{"", "\n", "\r\n", "\nnext\n"} {
		if n, number, err := read(longest + end); n != limit || number != 1 || err != nil {
			t.Errorf("the longest line, then %q: %d bytes, line %d, %v", end, n, number, err)
		}
	}
	for _, end := range []string{"x", "x\n", "xx\r\n", longest} {
		if _, _, err := read("\n" + longest + end); !errors.Is(err, errLineTooLong) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("a longer line: %v", err)
		}
	}
	long := strings.Repeat("y", bufferBytes+1)
	r, err := Open("-", strings.NewReader(long+"\n"+long+"z\nend\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := lines(t, r)
	if err != nil || len(got) != 3 || got[0] != "1:"+long || got[1] != "2:"+long+"z" || got[2] != "3:end" {
		t.Errorf("lines longer than the buffer: %d lines, %v", len(got), err)
	}
}

func TestErrorsNameTheInput(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "absent.json"), nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "absent.json") {
		t.Errorf("absent file: %v", err)
	}
	if _, err := Open("-", bytes.NewReader([]byte{0x1f, 0x8b, 0xff})); err == nil {
		t.Error("a damaged gzip header was accepted")
	}
	if _, err := Open("-", iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a failing source: %v", err)
	}
	whole := zip(t, "a\nb\n"+strings.Repeat("c", 5000)+"\n")
	r, err := Open("-", bytes.NewReader(whole[:len(whole)-6]))
	if err != nil {
		t.Fatal(err)
	}
	_, err = lines(t, r)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "standard input, line") {
		t.Errorf("gzip that breaks off: %v", err)
	}
	if _, _, again := r.Next(); !errors.Is(again, io.ErrUnexpectedEOF) {
		t.Errorf("the error is not final: %v", again)
	}
}

func TestRealFiles(t *testing.T) {
	for name, want := range map[string]int{
		"wikiticker-2015-09-12-sampled.json.gz": 39244,
		"github-events-2021-07-21.ndjson":       800,
	} {
		path := testkit.SharedData(t, name)
		r, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := lines(t, r)
		if err != nil || len(got) != want {
			t.Errorf("%s: %d lines, %v, want %d", name, len(got), err, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte("a\n\nb\r\nc"))
	f.Add([]byte("\ufeff{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			return
		}
		r, err := Open("-", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		got, err := lines(t, r)
		if err != nil {
			t.Fatal(err)
		}
		want := []string(nil)
		for i, line := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
			if line = strings.TrimSuffix(line, "\r"); strings.Trim(line, " \t\r") != "" {
				want = append(want, fmt.Sprintf("%d:%s", i+1, line))
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
