package readme

import (
	"fmt"
	"strings"
)

// The languages of fenced blocks. Blocks of other languages are refused, so that nothing is left unrun unseen.
const (
	langScript  = "sh"      // run as one script
	langConsole = "console" // lines after "$ " are commands, the others what they print
	langText    = "text"    // not run
)

// section is what stands below one heading of the second level.
type section struct {
	title  string
	blocks []block
}

// block is one fenced block. Line is that of its opening fence.
type block struct {
	lang, body string
	line       int
}

// step is one command of a console block, and what it prints.
type step struct {
	command, output string
	line            int
}

// parse splits a document into its sections. The first one, before any heading, has no title.
func parse(text string) ([]section, error) {
	sections := []section{{}}
	var open *block
	var body []string
	for i, line := range strings.Split(text, "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			if lang != langScript && lang != langConsole && lang != langText {
				return nil, fmt.Errorf("line %d: a block of language %q: use %s, %s, or %s for what is not run",
					i+1, lang, langScript, langConsole, langText)
			}
			open, body = &block{lang: lang, line: i + 1}, nil
		case fence:
			open.body = strings.Join(body, "\n")
			last := &sections[len(sections)-1]
			last.blocks, open = append(last.blocks, *open), nil
		case open != nil:
			body = append(body, line)
		case strings.HasPrefix(line, "## "):
			sections = append(sections, section{title: strings.TrimPrefix(line, "## ")})
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block has no end", open.line)
	}
	return sections, nil
}

// steps splits a console block. A command goes on over lines for as long as a quote or a backslash leaves it open.
func steps(b block) ([]step, error) {
	var out []step
	var printed []string
	open := false
	finish := func() {
		if len(out) > 0 {
			out[len(out)-1].output = strings.Join(printed, "\n")
		}
		printed = nil
	}
	for i, line := range strings.Split(b.body, "\n") {
		command, prompt := strings.CutPrefix(line, "$ ")
		switch {
		case open:
			last := &out[len(out)-1]
			last.command += "\n" + line
			open = unfinished(last.command)
		case prompt:
			finish()
			out = append(out, step{command: command, line: b.line + 1 + i})
			open = unfinished(command)
		case len(out) == 0:
			return nil, fmt.Errorf("line %d: a console block begins with a command", b.line)
		default:
			printed = append(printed, line)
		}
	}
	if open {
		return nil, fmt.Errorf("line %d: the command has no end", out[len(out)-1].line)
	}
	finish()
	return out, nil
}

// unfinished says whether a shell would read on: within quotes, or after a backslash at the end.
func unfinished(command string) bool {
	quote := byte(0)
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\\' && quote != '\'':
			if i+1 == len(command) {
				return true
			}
			i++
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return quote != 0
}
