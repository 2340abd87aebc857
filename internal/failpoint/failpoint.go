package failpoint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Set holds the armed points of one process.
type Set struct {
	mu    sync.Mutex
	armed map[string]*point
}

type point struct {
	nth    int // fires at this hit, counted from 1; 0: at every hit
	hits   int
	action func(name string) error
}

// New returns a set with nothing armed.
func New() *Set { return &Set{armed: map[string]*point{}} }

// Arm makes the nth hit (counted from 1; 0: every hit) of the named point run the action, whose error Hit returns.
func (s *Set) Arm(name string, nth int, action func(name string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed[name] = &point{nth: nth, action: action}
}

// Hit reports that the process passes the named point. It returns nil unless the point is armed and its action fails.
func (s *Set) Hit(name string) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	p, ok := s.armed[name]
	if !ok {
		s.mu.Unlock()
		return nil
	}
	p.hits++
	fire := p.nth == 0 || p.hits == p.nth
	s.mu.Unlock()
	if !fire {
		return nil
	}
	return p.action(name)
}

// Actions are what a test can ask for at a point, by their names.
type Actions map[string]func(name string) error

// Parse arms points from text such as "handoff.after_upload=kill@2,commit.before=pause": the named action runs at the given
// hit (the first, where no number is given).
func Parse(text string, actions Actions) (*Set, error) {
	s := New()
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		name, what, ok := strings.Cut(strings.TrimSpace(item), "=")
		nth := 1
		verb, count, counted := strings.Cut(what, "@")
		if counted {
			if _, err := fmt.Sscanf(count, "%d", &nth); err != nil || nth < 0 {
				return nil, fmt.Errorf("failpoint %q: the hit after @ must be a number, 0 or more", item)
			}
		}
		action := actions[verb]
		if !ok || name == "" || action == nil {
			return nil, fmt.Errorf("failpoint %q: write name=ACTION or name=ACTION@N; actions are %s", item,
				strings.Join(slices.Sorted(maps.Keys(actions)), ", "))
		}
		s.Arm(name, nth, action)
	}
	return s, nil
}
