package faulty

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"drumlin/objectstore"
	"drumlin/objectstore/mem"
	"drumlin/objectstore/objectstoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContractWithoutFaults(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store {
		s, err := New(mem.New(), "# nothing")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestFaults(t *testing.T) {
	var s *Store
	datadriven.RunTest(t, "testdata/faults", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "faults" {
			var err error
			if s, err = New(mem.New(), d.Input); err != nil {
				return err.Error()
			}
			return ""
		}
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			out.WriteString(run(t.Context(), s, strings.Fields(line)) + "\n")
		}
		return out.String()
	})
}

func run(ctx context.Context, s *Store, words []string) string {
	words = append(words, "", "")
	verb, key, content := words[0], words[1], words[2]
	got := "ok"
	var err error
	switch verb {
	case "put":
		err = s.Put(ctx, key, strings.NewReader(content), int64(len(content)), objectstoretest.Sum([]byte(content)))
	case "delete":
		err = s.Delete(ctx, key)
	case "head":
		_, err = s.Head(ctx, key)
	case "get":
		var r io.ReadCloser
		if r, err = s.Get(ctx, key, 0, -1); err == nil {
			var all []byte
			all, err = io.ReadAll(r)
			got = string(all)
			err = errors.Join(err, r.Close())
		}
	case "list":
		var keys []string
		err = s.List(ctx, "", func(i objectstore.Info) bool { keys = append(keys, i.Key); return true })
		return fmt.Sprintf("list: %s", orError(strings.Join(keys, " "), err))
	}
	return fmt.Sprintf("%s %s: %s", verb, key, orError(got, err))
}

func orError(text string, err error) string {
	for _, known := range []error{ErrInjected, objectstore.ErrUnknown, objectstore.ErrExists, objectstore.ErrNotFound} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return text
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(mem.New(), "slow any delay=1h times=0")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if got := run(t.Context(), s, []string{"put", "a", "x"}); got != "put a: ok" || time.Since(start) != time.Hour {
			t.Errorf("%s after %v", got, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Head(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("head past its deadline: %v", err)
		}
		if s.Fired() != 2 {
			t.Errorf("%d faults fired", s.Fired())
		}
	})
}
