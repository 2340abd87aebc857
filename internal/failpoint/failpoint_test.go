package failpoint

import (
	"errors"
	"testing"
)

func TestAPointFiresAtItsHit(t *testing.T) {
	boom, stopped := errors.New("boom"), errors.New("stopped")
	s, err := Parse("a.b=kill@3, c=kill,d=pause@2", Actions{
		"kill":  func(string) error { return boom },
		"pause": func(string) error { return stopped },
	})
	if err != nil {
		t.Fatal(err)
	}
	for hit, want := range []error{nil, nil, boom, nil} {
		if got := s.Hit("a.b"); !errors.Is(got, want) {
			t.Errorf("hit %d: %v, want %v", hit+1, got, want)
		}
	}
	if got := s.Hit("c"); !errors.Is(got, boom) {
		t.Errorf("the first hit of c: %v", got)
	}
	for hit, want := range []error{nil, stopped, nil} {
		if got := s.Hit("d"); !errors.Is(got, want) {
			t.Errorf("hit %d of d: %v, want %v", hit+1, got, want)
		}
	}
	if got := s.Hit("not armed"); got != nil {
		t.Errorf("a point that is not armed: %v", got)
	}
	var none *Set
	if got := none.Hit("a.b"); got != nil {
		t.Errorf("no set at all: %v", got)
	}
}

func TestTextThatArmsNothingIsRefused(t *testing.T) {
	for _, text := range []string{"a", "a=", "a=burn", "=kill", "a=kill@x", "a=kill@-1"} {
		if _, err := Parse(text, Actions{"kill": func(string) error { return nil }}); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
