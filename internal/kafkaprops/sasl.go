package kafkaprops

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The login modules of Java's clients.
const (
	plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"
)

func mechanismOf(name, jaas string) (sasl.Mechanism, error) {
	name = strings.ToUpper(name)
	module := scramModule
	switch name {
	case "PLAIN":
		module = plainModule
	case "SCRAM-SHA-256", "SCRAM-SHA-512":
	case "":
		return nil, fmt.Errorf("%s is missing, and Java's default, GSSAPI, is not supported: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", saslMechanism)
	default:
		return nil, fmt.Errorf("%s %q is not supported: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", saslMechanism, name)
	}
	if jaas == "" {
		return nil, fmt.Errorf("%s is missing: %s required username=\"…\" password=\"…\";", saslJAAS, module)
	}
	login, err := parseJAAS(jaas)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", saslJAAS, err)
	}
	if login.module != module {
		return nil, fmt.Errorf("%s: %s needs the login module %s", saslJAAS, name, module)
	}
	user, password := login.options["username"], login.options["password"]
	if user == "" {
		return nil, fmt.Errorf("%s: username=\"…\" password=\"…\" are needed", saslJAAS)
	}
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password, IsToken: login.token}.AsSha256Mechanism(), nil
	}
	return scram.Auth{User: user, Pass: password, IsToken: login.token}.AsSha512Mechanism(), nil
}

// login is one entry of a JAAS configuration.
type login struct {
	module  string
	options map[string]string
	token   bool // the user is a delegation token
}

// parseJAAS reads `Module required key="value" …;`. Its errors hold no values.
func parseJAAS(text string) (login, error) {
	words, err := jaasWords(text)
	if err != nil {
		return login{}, err
	}
	if len(words) < 3 || words[len(words)-1] != (word{text: ";"}) {
		return login{}, errors.New("it must be one login module, its flag and its options, with ; at the end")
	}
	out := login{module: words[0].text, options: map[string]string{}}
	if flag := strings.ToLower(words[1].text); flag != "required" && flag != "requisite" && flag != "sufficient" && flag != "optional" {
		return login{}, errors.New("after the login module stands required")
	}
	rest := words[2 : len(words)-1]
	if len(rest)%3 != 0 {
		return login{}, errors.New("its options must be name=\"value\"")
	}
	for i := 0; i < len(rest); i += 3 {
		name, value := rest[i].text, rest[i+2]
		if rest[i+1] != (word{text: "="}) || rest[i].quoted || (!value.quoted && (value.text == "=" || value.text == ";")) {
			return login{}, errors.New("its options must be name=\"value\"")
		}
		switch name {
		case "username", "password":
			out.options[name] = value.text
		case "tokenauth":
			out.token = strings.EqualFold(value.text, "true")
		default:
			return login{}, errors.New("only the options username, password and tokenauth are supported")
		}
	}
	return out, nil
}

type word struct {
	text   string
	quoted bool
}

// jaasWords splits at blanks, = and ;. Quoted texts keep theirs; a backslash takes the next letter as it is.
func jaasWords(text string) ([]word, error) {
	var out []word
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '=' || c == ';':
			out = append(out, word{text: string(c)})
			i++
		case c == '"' || c == '\'':
			value, n := quoted(text[i:])
			if n < 0 {
				return nil, errors.New("a quote is not closed")
			}
			out = append(out, word{text: value, quoted: true})
			i += n
		default:
			n := strings.IndexAny(text[i:], " \t\r\n=;\"'")
			if n < 0 {
				n = len(text) - i
			}
			out = append(out, word{text: text[i : i+n]})
			i += n
		}
	}
	return out, nil
}

// quoted reads a text that begins with its quote, and returns how long it was; −1: it does not end.
func quoted(text string) (value string, n int) {
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case text[0]:
			return out.String(), i + 1
		case '\\':
			if i++; i == len(text) {
				return "", -1
			}
			out.WriteByte(text[i])
		default:
			out.WriteByte(text[i])
		}
	}
	return "", -1
}
