package kafkaprops

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxFileBytes bounds a properties file.
const maxFileBytes = 1 << 20

// Load reads a Java properties file, in UTF-8.
func Load(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read Kafka properties: %w", err)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read Kafka properties: %s is larger than %d bytes", path, maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read Kafka properties: %w", err)
	}
	out, err := Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("read Kafka properties: %s: %w", path, err)
	}
	return out, nil
}

// Parse reads the text of a Java properties file: name=value, name:value or name value, one a line; # and ! begin
// comments; a backslash at the end continues the line; \t, \n, \r, \f and \uXXXX stand for what they do in Java.
// A name that comes twice is refused. Errors hold no values.
func Parse(text string) (map[string]string, error) {
	out := map[string]string{}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	for i := 0; i < len(lines); i++ {
		number := i + 1
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continues(line) {
			line = line[:len(line)-1]
			if i++; i == len(lines) {
				break
			}
			line += strings.TrimLeft(lines[i], " \t\f")
		}
		name, value := splitPair(line)
		name, err := unescape(name)
		if err == nil {
			value, err = unescape(value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("line %d: %s is given twice", number, name)
		}
		out[name] = value
	}
	return out, nil
}

// continues says whether the line ends in a backslash that is not itself escaped.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func splitPair(line string) (name, value string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':':
			return line[:i], strings.TrimLeft(line[i+1:], " \t\f")
		case ' ', '\t', '\f':
			rest := strings.TrimLeft(line[i:], " \t\f")
			if rest != "" && (rest[0] == '=' || rest[0] == ':') {
				rest = strings.TrimLeft(rest[1:], " \t\f")
			}
			return line[:i], rest
		}
	}
	return line, ""
}

func unescape(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	var out strings.Builder
	var high rune // of a pair of \u that stands for one letter
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		i++
		switch text[i] {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			if i+5 > len(text) {
				return "", fmt.Errorf(`\u needs four hex digits`)
			}
			code, err := strconv.ParseUint(text[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`\u needs four hex digits`)
			}
			i += 4
			r := rune(code)
			switch {
			case high == 0 && utf16.IsSurrogate(r):
				high = r
				continue
			case high != 0:
				r, high = utf16.DecodeRune(high, r), 0
			}
			out.WriteRune(r)
		default:
			out.WriteByte(text[i])
		}
	}
	if high != 0 {
		return "", fmt.Errorf(`half of a pair of \u`)
	}
	return out.String(), nil
}
