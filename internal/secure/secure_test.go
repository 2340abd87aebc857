package secure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	readSecret  = "reader-reader-reader"
	writeSecret = "writer-writer-writer"
	adminSecret = "admin-admin-admin-admin"
)

func threeTokens() []Token {
	return []Token{
		{Name: "dash", Role: RoleRead, Secret: readSecret},
		{Name: "ci", Role: RoleWrite, Secret: writeSecret},
		{Name: "ops", Role: RoleAdmin, Secret: adminSecret},
	}
}

func TestAuthorize(t *testing.T) {
	access, err := NewAccess(threeTokens())
	if err != nil {
		t.Fatal(err)
	}
	holders := []struct {
		secret, name string
		has          Role
	}{{readSecret, "dash", RoleRead}, {writeSecret, "ci", RoleWrite}, {adminSecret, "ops", RoleAdmin}}
	for _, h := range holders {
		for need := RoleRead; need <= RoleAdmin; need++ {
			name, err := access.Authorize(h.secret, need)
			if name != h.name {
				t.Errorf("%s: taken for %q", h.name, name)
			}
			var denied *Denied
			switch {
			case need <= h.has && err != nil:
				t.Errorf("%s may not %s: %v", h.name, need, err)
			case need > h.has && (!errors.Is(err, ErrForbidden) || !errors.As(err, &denied) || *denied != (Denied{h.name, h.has, need})):
				t.Errorf("%s may %s: %v", h.name, need, err)
			}
		}
	}
	for _, wrong := range []string{"", " ", readSecret + " ", readSecret[:len(readSecret)-1], strings.ToUpper(readSecret), "(hidden)"} {
		if name, err := access.Authorize(wrong, RoleRead); !errors.Is(err, ErrUnauthenticated) || name != "" {
			t.Errorf("%q is let in as %q: %v", wrong, name, err)
		}
	}
}

func TestOpenAccess(t *testing.T) {
	access, err := NewAccess(nil)
	if err != nil || access != nil {
		t.Fatalf("%v, %v", access, err)
	}
	if name, err := access.Authorize("", RoleAdmin); name != "" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

func TestNewAccessTellsEveryProblemAndNoSecret(t *testing.T) {
	tokens := []Token{
		{Role: RoleRead, Secret: "nameless-nameless"},
		{Name: "a", Secret: "roleless-roleless"},
		{Name: "b", Role: RoleRead},
		{Name: "c", Role: RoleAdmin, Secret: "short"},
		{Name: "d", Role: RoleAdmin, Secret: "with space with space"},
		{Name: "e", Role: RoleAdmin, Secret: "twice-twice-twice"},
		{Name: "f", Role: RoleAdmin, Secret: "twice-twice-twice"},
		{Name: "e", Role: RoleAdmin, Secret: "same-name-same-name"},
		{Name: "g", Role: 9, Secret: "ninth-ninth-ninth"},
	}
	_, err := NewAccess(tokens)
	if err == nil {
		t.Fatal("accepted")
	}
	text := err.Error()
	if n := strings.Count(text, "\n") + 1; n != 8 {
		t.Errorf("%d problems:\n%s", n, text)
	}
	for _, token := range tokens {
		if s := token.Secret.Reveal(); s != "" && s != "short" && strings.Contains(text, s) {
			t.Errorf("the text shows %q", s)
		}
	}
}

// TestSecretsStayHidden prints secrets in every way that could happen by accident.
func TestSecretsStayHidden(t *testing.T) {
	const value = "5ecret-5ecret-5ecret"
	token := Token{Name: "n", Role: RoleRead, Secret: value}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		fmt.Fprintf(&out, verb+"\n", token.Secret)
		fmt.Fprintf(&out, verb+"\n", token)
		fmt.Fprintf(&out, verb+"\n", &token)
		fmt.Fprintf(&out, verb+"\n", []Secret{value})
		fmt.Fprintf(&out, verb+"\n", map[string]Secret{"k": value})
	}
	fmt.Fprintln(&out, token.Secret, token)
	if err := json.NewEncoder(&out).Encode(token); err != nil {
		t.Fatal(err)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "secret", token.Secret, "token", token)
	}
	text := out.String()
	if strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) {
		t.Errorf("shown in:\n%s", text)
	}
	if !strings.Contains(text, hidden) {
		t.Error("nothing says that something is hidden")
	}
	if token.Secret.Reveal() != value || Secret("").String() != "" {
		t.Error("the secret is not what it was")
	}
	yaml, err := token.Secret.MarshalYAML()
	if err != nil || yaml != hidden {
		t.Errorf("%v, %v", yaml, err)
	}
}

func TestRoleText(t *testing.T) {
	for role := RoleRead; role <= RoleAdmin; role++ {
		text, err := role.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Role
		if err := back.UnmarshalText(text); err != nil || back != role || back.String() != string(text) {
			t.Errorf("%s became %s: %v", text, back, err)
		}
	}
	for _, wrong := range []string{"", "none", "Read", "root"} {
		if _, err := ParseRole(wrong); err == nil {
			t.Errorf("%q is a role", wrong)
		}
	}
	if _, err := Role(0).MarshalText(); err == nil || Role(7).String() != "none" {
		t.Error("no role has a name")
	}
}

func TestReadTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("  abc\r\n")
	if token, err := ReadTokenFile(path); err != nil || token.Reveal() != "abc" {
		t.Errorf("%q, %v", token.Reveal(), err)
	}
	for name, text := range map[string]string{"empty": " \n", "two": "abc\ndef\n", "binary": "ab\x00", "long": strings.Repeat("a", maxTokenFileBytes+1)} {
		write(text)
		if _, err := ReadTokenFile(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "def") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadTokenFile(path + "-none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
