package failpoint

import (
	"errors"
	"testing"
)

func TestAPointFiresAtItsHit(t *testing.T) {
	boom := errors.New("boom")
	s, err := Parse("a.b=kill@3, c=kill", func(string) error { return boom })
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
		if _, err := Parse(text, func(string) error { return nil }); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
