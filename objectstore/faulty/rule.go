package faulty

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rule is one line; its matches are counted under the Store's lock.
type rule struct {
	action, verb string
	key          *regexp.Regexp // nil: every key
	nth, times   int
	bytes        int64
	delay        time.Duration
	last         int
	matches      int
}

var verbsOf = map[string][]string{
	"fail":       {"put", "get", "head", "list", "delete", "any"},
	"unknown":    {"put", "delete"},
	"lose-reply": {"put", "delete"},
	"truncate":   {"get"},
	"flip":       {"get"},
	"slow":       {"put", "get", "head", "list", "delete", "any"},
	"stale":      {"list"},
}

func parseRules(text string) ([]*rule, error) {
	var rules []*rule
	for number, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		r, err := parseRule(words)
		if err != nil {
			return nil, fmt.Errorf("fault in line %d: %w", number+1, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(words []string) (*rule, error) {
	if len(words) < 2 {
		return nil, fmt.Errorf("%q: write ACTION VERB", words[0])
	}
	r := &rule{action: words[0], verb: words[1], nth: 1, times: 1, last: 1}
	if !slices.Contains(verbsOf[r.action], r.verb) {
		return nil, fmt.Errorf("%q cannot happen at %q", r.action, r.verb)
	}
	for _, word := range words[2:] {
		if err := r.option(word); err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
	}
	return r, nil
}

func (r *rule) option(word string) (err error) {
	if pattern, ok := strings.CutPrefix(word, "key~"); ok {
		r.key, err = regexp.Compile(pattern)
		return err
	}
	name, value, _ := strings.Cut(word, "=")
	if name == "delay" {
		r.delay, err = time.ParseDuration(value)
		return err
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a number, 0 or more", value)
	}
	switch name {
	case "nth":
		r.nth = max(n, 1)
	case "times":
		r.times = n
	case "bytes":
		r.bytes = int64(n)
	case "last":
		r.last = n
	default:
		return fmt.Errorf("unknown option")
	}
	return nil
}

// fires counts a call and says whether the rule applies to it.
func (r *rule) fires(verb, key string) bool {
	if r.verb != verb && r.verb != "any" || r.key != nil && !r.key.MatchString(key) {
		return false
	}
	r.matches++
	return r.matches >= r.nth && (r.times == 0 || r.matches < r.nth+r.times)
}
