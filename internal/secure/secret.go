package secure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// hidden stands where a secret would be printed.
const hidden = "(hidden)"

// Secret is a string that is never printed: whatever formats, logs or marshals it shows "(hidden)", or nothing where it
// is empty. It is read from YAML and JSON as any string. Only an unexported field of a struct that is printed as a whole
// escapes this, since fmt does not ask such fields.
type Secret string

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format hides the secret from every verb, also from %d, %x and %#v.
func (s Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, s.String()) //nolint:errcheck // fmt reports its own failures
}

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON hides the secret from JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalYAML hides the secret from YAML.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// maxTokenFileBytes bounds a file that holds one token.
const maxTokenFileBytes = 4 << 10

// ReadTokenFile reads the token that is a file's only content, without the white space around it.
func ReadTokenFile(path string) (Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open the file of the token: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTokenFileBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the token from %s: %w", path, err)
	}
	if len(data) > maxTokenFileBytes {
		return "", fmt.Errorf("read the token from %s: the file is larger than %d bytes; it must hold one token only", path, maxTokenFileBytes)
	}
	token := Secret(strings.TrimSpace(string(data)))
	if err := token.sendable(); err != nil {
		return "", fmt.Errorf("read the token from %s: %w", path, err)
	}
	return token, nil
}

// ParseSecret takes a token from text, without the white space around it; nothing is no token.
func ParseSecret(text string) (Secret, error) {
	token := Secret(strings.TrimSpace(text))
	if token == "" {
		return "", nil
	}
	if err := token.sendable(); err != nil {
		return "", err
	}
	return token, nil
}

// sendable says whether a header can carry the secret.
func (s Secret) sendable() error {
	if s == "" {
		return errors.New("it is empty")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return errors.New("it holds white space or characters other than ASCII, which a header cannot carry")
		}
	}
	return nil
}
