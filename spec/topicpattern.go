package spec

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// CompileTopicPattern compiles a topicPattern so that it matches whole topic names only.
func CompileTopicPattern(pattern string) (*regexp.Regexp, error) {
	// Compiled alone first: the wrapping group must not lend a stray parenthesis its pair.
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return nil, fmt.Errorf("the pattern cannot be read: %s", patternReason(pattern, err))
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// ReadsTopic says whether a topic of this name is one that the spec reads.
func (io *IOConfig) ReadsTopic(name string) bool {
	if io.TopicPattern == "" {
		return name == io.Topic
	}
	re, err := CompileTopicPattern(io.TopicPattern)
	return err != nil || re.MatchString(name) // a parsed spec's pattern compiles
}

// javaOnly are forms that Java's regular expressions have and RE2 has not.
var javaOnly = []struct{ form, reason string }{
	{`(?=`, "lookahead (?=…)"},
	{`(?!`, "negative lookahead (?!…)"},
	{`(?<=`, "lookbehind (?<=…)"},
	{`(?<!`, "negative lookbehind (?<!…)"},
	{`(?>`, "atomic group (?>…)"},
	{`++`, "possessive quantifier ++"},
	{`*+`, "possessive quantifier *+"},
	{`?+`, "possessive quantifier ?+"},
	{`&&`, "class intersection &&"},
	{`\p{java`, `Java class \p{java…}`},
	{`\h`, `horizontal white space \h`},
	{`\R`, `line break \R`},
}

func patternReason(pattern string, err error) string {
	for _, j := range javaOnly {
		if strings.Contains(pattern, j.form) {
			return j.reason + " exists in Java's regular expressions only; the pattern must be RE2 syntax"
		}
	}
	return err.Error()
}
