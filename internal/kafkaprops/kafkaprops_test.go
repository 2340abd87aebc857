package kafkaprops

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTexts runs testdata: properties files, and what becomes of them.
func TestTexts(t *testing.T) {
	store := makeStore(t)
	server := map[string]string{}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			properties, err := Parse(strings.ReplaceAll(d.Input, "$DIR", store))
			if err != nil {
				return "error: " + err.Error()
			}
			switch d.Cmd {
			case "parse":
				return show(properties)
			case "ignored":
				return strings.Join(Ignored(properties), "\n")
			case "server":
				server = properties
				return ""
			case "merge":
				return show(Merge(server, properties))
			case "options":
				return strings.ReplaceAll(outcome(properties, os.ReadFile), store, "$DIR")
			case "spec-options":
				return strings.ReplaceAll(outcome(Merge(server, properties), Lent(server, os.ReadFile)), store, "$DIR")
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

func show(properties map[string]string) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&out, "%q: %q\n", name, properties[name])
	}
	return out.String()
}

// outcome makes a client of the options and tells what it would do.
func outcome(properties map[string]string, read FileReader) string {
	opts, err := Options(properties, read)
	if err != nil {
		return "error: " + err.Error()
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return "client: " + err.Error()
	}
	defer client.Close()
	brokers, err := Brokers(properties)
	if err != nil {
		return "error: " + err.Error()
	}
	out := fmt.Sprintf("brokers %s", strings.Join(brokers, " "))
	protocol := strings.ToUpper(properties[securityProtocol])
	if strings.HasSuffix(protocol, "SSL") {
		config, err := tlsConfig(properties, read)
		if err != nil {
			return "error: " + err.Error()
		}
		out += fmt.Sprintf("\ntls from %x to %x, own roots %t, shows a certificate %t, any host name %t",
			config.MinVersion, config.MaxVersion, config.RootCAs != nil, len(config.Certificates) > 0, config.VerifyConnection != nil)
	}
	if strings.HasPrefix(protocol, "SASL") {
		mechanism, err := mechanismOf(properties[saslMechanism], properties[saslJAAS])
		if err != nil {
			return "error: " + err.Error()
		}
		out += "\nsasl " + mechanism.Name()
	}
	return out
}

// makeStore writes PEM files, and returns their directory.
func makeStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := makePair(t)
	for name, data := range map[string]string{
		"ca.pem": cert, "own.pem": cert + key, "empty.pem": "nothing\n",
		"locked.pem": cert + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPEMInOneLine(t *testing.T) {
	cert, key := makePair(t)
	for name, fold := range map[string]func(string) string{
		"as it is": func(s string) string { return s },
		"blanks":   func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
		"escaped":  func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) },
		"joined":   func(s string) string { return strings.ReplaceAll(s, "\n", "") },
	} {
		config, err := tlsConfig(map[string]string{
			sslTrustType: "PEM", sslTrustCerts: fold(cert + cert), sslKeystoreType: "PEM", sslKeystoreChain: fold(cert + cert), sslKeystoreKey: fold(key),
		}, nil)
		if err != nil || len(config.Certificates) != 1 || len(config.Certificates[0].Certificate) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsAreInNoError(t *testing.T) {
	const secret = "hunter2"
	for _, p := range []map[string]string{
		{saslJAAS: `x required username="u" password="` + secret},
		{saslJAAS: `x required username="u" password="` + secret + `"`},
		{saslJAAS: `x required username="u" word="` + secret + `";`},
		{saslJAAS: `x ` + secret + ` username="u";`},
		{saslJAAS: secret},
		{saslJAAS: `org.apache.kafka.common.security.plain.PlainLoginModule required password="` + secret + `";`},
		{saslJAAS: `org.apache.kafka.common.security.plain.PlainLoginModule required password ` + secret + `;`},
		{sslKeystoreType: "PEM", sslKeystoreKey: secret, sslKeystoreChain: secret},
		{sslKeystoreType: "PEM", sslKeystoreKey: secret},
		{sslKeystoreType: "PEM", sslKeystoreKey: secret, sslKeystoreChain: secret, sslKeyPassword: secret},
		{sslTrustType: "PEM", sslTrustCerts: secret},
		{sslTrustType: "PEM", sslTrustCerts: secret, sslTrustPassword: secret},
		{"sasl.oauthbearer.client.secret": secret},
		{"ssl.keystore.pasword": secret},
	} {
		p = maps.Clone(p)
		p[bootstrapServers], p[securityProtocol], p[saslMechanism] = "a:1", "SASL_SSL", "PLAIN"
		_, err := Options(p, nil)
		if err == nil {
			t.Errorf("%v is accepted", p)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a secret stands in %q", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a=b\n# c\nd : \\\n e\\u0041\\t\n!x\nspaced out")
	f.Fuzz(func(t *testing.T, text string) {
		properties, err := Parse(text)
		if err != nil {
			return
		}
		var again strings.Builder
		escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, " ", `\ `, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`)
		for name, value := range properties {
			fmt.Fprintf(&again, "%s=%s\n", escape.Replace(name), escape.Replace(value))
		}
		back, err := Parse(again.String())
		if err != nil || !maps.Equal(back, properties) {
			if _, empty := properties[""]; empty && len(properties) > 0 {
				return // a name of nothing cannot always be told from a blank line
			}
			t.Errorf("%q became %q: %v", properties, back, err)
		}
	})
}

func FuzzOptions(f *testing.F) {
	f.Add("SASL_SSL", "PLAIN", `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p\"";`, "-----BEGIN X-----\nAA\n-----END X-----", "TLSv1.3")
	f.Fuzz(func(_ *testing.T, protocol, mechanism, jaas, text, versions string) {
		_, _ = Options(map[string]string{ // only a panic is wrong
			bootstrapServers: "a:1", securityProtocol: protocol, saslMechanism: mechanism, saslJAAS: jaas, sslTrustType: "PEM",
			sslTrustCerts: text, sslKeystoreType: "PEM", sslKeystoreChain: text, sslKeystoreKey: text, sslProtocols: versions,
		}, nil)
	})
}
