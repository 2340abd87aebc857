package config

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"drumlin/internal/kafkaprops"
	"drumlin/internal/secure"
)

// testEnvironment is what ${NAME} finds in the tests.
func testEnvironment(name string) string {
	return map[string]string{
		"BUCKET": "events", "THREADS": "3", "ADMIN_TOKEN": "s3cret-s3cret-s3cret", "KAFKA": "a:9092, b:9092", "SHORT": "swordfish",
	}[name]
}

// TestConfigurations reads texts and says what is wrong with them, what is warned of, or what differs from the defaults.
func TestConfigurations(t *testing.T) {
	datadriven.Walk(t, "testdata/config", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			server := Default()
			switch d.Cmd {
			case "parse":
				var err error
				if server, err = Parse([]byte(d.Input), testEnvironment); err != nil {
					return err.Error() + "\n"
				}
			case "set":
				if err := server.SetAll(strings.Split(d.Input, "\n")); err != nil {
					return err.Error() + "\n"
				}
			default:
				d.Fatalf(t, "there is no command %s", d.Cmd)
			}
			if err := server.Validate(); err != nil {
				return err.Error() + "\n"
			}
			for _, w := range server.Warnings() {
				fmt.Fprintf(&out, "warning: %s\n", w)
			}
			out.WriteString(differences(t, server))
			if strings.Contains(out.String(), "s3cret") {
				t.Errorf("a secret is shown:\n%s", out.String())
			}
			return out.String()
		})
	})
}

// differences prints the lines of a configuration that the defaults do not have, with the sections they are in.
func differences(t *testing.T, s Server) string {
	t.Helper()
	var out strings.Builder
	defaults, chosen := printed(t, Default()), printed(t, s)
	for path, line := range chosen.lines {
		if defaults.lines[path] != line {
			continue
		}
		delete(chosen.lines, path)
	}
	for _, path := range chosen.order {
		if line, ok := chosen.lines[path]; ok {
			fmt.Fprintf(&out, "%s\n", line)
		}
	}
	if out.Len() == 0 {
		return "the defaults\n"
	}
	return out.String()
}

type lines struct {
	order []string
	lines map[string]string
}

// printed reads what Print writes: each line by its path.
func printed(t *testing.T, s Server) lines {
	t.Helper()
	var buffer bytes.Buffer
	if err := Print(&buffer, s); err != nil {
		t.Fatal(err)
	}
	out := lines{lines: map[string]string{}}
	var parents []string
	for text := range strings.SplitSeq(buffer.String(), "\n") {
		trimmed := strings.TrimSpace(text)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		depth := (len(text) - len(strings.TrimLeft(text, " "))) / 2
		name, value, _ := strings.Cut(trimmed, ":")
		parents = append(parents[:min(depth, len(parents))], name)
		path := strings.Join(parents, ".")
		if value == "" {
			continue
		}
		out.order = append(out.order, path)
		out.lines[path] = path + ":" + value
	}
	return out
}

func TestDefaultsAreValid(t *testing.T) {
	server, err := Parse(nil, testEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(server, Default()) {
		t.Errorf("an empty text gives %+v", server)
	}
	if err := server.Validate(); err != nil {
		t.Error(err)
	}
	if warnings := server.Warnings(); len(warnings) > 0 {
		t.Errorf("the defaults warn: %q", warnings)
	}
}

// TestPrintedConfigurationsReadBack: what drumlin config prints can be a file, whatever the values are.
func TestPrintedConfigurationsReadBack(t *testing.T) {
	const seed, cases = 7, 500
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range cases {
		server := randomServer(random)
		var text bytes.Buffer
		if err := Print(&text, server); err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text.Bytes(), testEnvironment)
		if err != nil {
			t.Fatalf("case %d: %v\n%s", i, err, text.String())
		}
		if !reflect.DeepEqual(again, server) {
			t.Fatalf("case %d: read back differently:\n%s%s", i, differences(t, server), differences(t, again))
		}
	}
}

// randomServer has values of every kind, and no secrets.
func randomServer(random *rand.Rand) Server {
	server := Default()
	var fill func(section reflect.Value)
	fill = func(section reflect.Value) {
		for _, s := range slots(section) {
			if s.section.IsValid() {
				fill(s.section)
				continue
			}
			if random.IntN(2) == 0 {
				continue
			}
			switch field := s.field.(type) {
			case *string:
				*field = randomText(random)
			case *[]string:
				*field = []string{randomText(random), randomText(random)}
			case *bool:
				*field = true
			case *int:
				*field = random.IntN(1000)
			case *Bytes:
				*field = Bytes(random.Int64N(1 << (1 + random.IntN(50))))
			case *time.Duration:
				*field = time.Duration(random.Int64N(1 << (1 + random.IntN(50))))
			case *map[string]secure.Secret:
				*field = map[string]secure.Secret{"client.id": secure.Secret(randomText(random)), "client.rack": "null"}
			case *[]Token:
				*field = []Token{{Name: randomText(random), Role: "read"}}
			}
		}
	}
	fill(reflect.ValueOf(&server).Elem())
	return server
}

func randomText(random *rand.Rand) string {
	letters := []rune("abzAZ019 ._-/:#'\"\\${}[],&*!|>%@`~\t\né€\u2028\x7f<>=")
	out := make([]rune, 1+random.IntN(12))
	for i := range out {
		out[i] = letters[random.IntN(len(letters))]
	}
	return string(out)
}

func TestClientPropertiesNameTheBrokers(t *testing.T) {
	k := Kafka{BootstrapServers: []string{"a:1", "b:2"}, Properties: map[string]secure.Secret{"client.id": "x"}}
	want := map[string]string{"bootstrap.servers": "a:1,b:2", "client.id": "x"}
	if got := k.ClientProperties(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAdvertisedAddresses(t *testing.T) {
	server := Default()
	if got := server.AdvertisedHTTP("127.0.0.1:5"); got != "127.0.0.1:5" {
		t.Errorf("an address that can be reached is advertised as %s", got)
	}
	if got := server.AdvertisedFlight("[::]:5"); strings.HasPrefix(got, "[::]") || !strings.HasSuffix(got, ":5") {
		t.Errorf("every interface is advertised as %s", got)
	}
	server.Flight.Advertise = "ingest-1:8889"
	if got := server.AdvertisedFlight("[::]:5"); got != "ingest-1:8889" {
		t.Errorf("what is chosen is advertised as %s", got)
	}
	id, err := server.NodeID("127.0.0.1:5")
	if err != nil || !strings.HasSuffix(id, "-5") {
		t.Errorf("node %q, %v", id, err)
	}
}

func TestAccessIsOpenWithoutTokens(t *testing.T) {
	for _, make := range []func() (*secure.Access, error){Access{}.HTTPAccess, Access{}.PeerAccess} {
		if access, err := make(); access != nil || err != nil {
			t.Errorf("%v, %v", access, err)
		}
	}
	access, err := Access{Tokens: []Token{{Name: "ops", Role: "write", Secret: "0123456789abcdef"}}}.HTTPAccess()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := access.Authorize("0123456789abcdef", secure.RoleWrite); name != "ops" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

// FuzzParse: no text ends the process, shows a secret, or is read differently from what is printed of it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("roles: [query]\nquery: {maxBytes: 1GiB}\n"))
	f.Add([]byte("access:\n  tokens:\n    - {name: a, role: read, secret: '${ADMIN_TOKEN}'}\n"))
	f.Add([]byte("kafka:\n  properties:\n    sasl.jaas.config: |\n      x\n"))
	f.Add([]byte("a: [{b: &c d}, *c]\n<<: {}\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		server, err := Parse(data, testEnvironment)
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") && !bytes.Contains(data, []byte("s3cret")) {
				t.Fatalf("a secret is shown: %v", err)
			}
			return
		}
		var text bytes.Buffer
		if err := Print(&text, server); err != nil {
			t.Fatal(err)
		}
		if err := server.Validate(); err != nil && err.Error() == "" {
			t.Fatal("an error without a text")
		}
		if hasSecrets(server) {
			return
		}
		again, err := Parse(text.Bytes(), testEnvironment)
		if err != nil {
			t.Fatalf("what was printed cannot be read: %v\n%s", err, text.String())
		}
		var second bytes.Buffer
		if err := Print(&second, again); err != nil {
			t.Fatal(err)
		}
		if text.String() != second.String() {
			t.Fatalf("read back differently:\n%s\n%s", text.String(), second.String())
		}
	})
}

func hasSecrets(s Server) bool {
	for name := range s.Kafka.Properties {
		if kafkaprops.MayBeSecret(name) {
			return true
		}
	}
	for _, token := range s.Access.Tokens {
		if token.Secret != "" {
			return true
		}
	}
	return s.Access.PeerToken != "" || s.Etcd.Password != "" || s.Objects.S3.SecretAccessKey != "" || s.Objects.S3.SessionToken != ""
}
