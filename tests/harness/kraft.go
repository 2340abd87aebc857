package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
)

// The listeners that a broker may have. PLAINTEXT is always there: the tests' own clients use it.
const (
	ListenPlain     = "PLAINTEXT"
	ListenTLS       = "SSL"
	ListenSASLPlain = "SASL_PLAINTEXT"
	ListenSASLTLS   = "SASL_SSL"
)

// kafkaStartBudget is how long a broker may take to its first answer: seconds, but for a machine that has much else to do.
const kafkaStartBudget = 4 * time.Minute

// KafkaUser may log in on the listeners with SASL, by PLAIN and by SCRAM.
type KafkaUser struct{ Name, Password string }

// KafkaOptions say what a broker is like. The zero value is a plain one in a directory of the test.
type KafkaOptions struct {
	Listeners  []string          // beside PLAINTEXT
	Named      map[string]string // further ones in plain text: name → host:port to advertise; each listens on that port of Host
	CA         *testkit.CA       // signs the broker's certificate; needed for listeners with TLS
	ClientAuth bool              // the listener SSL asks for a certificate of CA
	Users      []KafkaUser       // needed for listeners with SASL
	DataDir    string            // "": a directory of the test
	Host       string            // to listen on and to advertise; "": 127.0.0.1
	Properties map[string]string // over the harness's own, in server.properties
	Command    []string          // what the broker's command line is put behind, such as ip netns exec NAME
}

// Kafka is one Apache Kafka in KRaft mode, broker and controller in one, in a process of its own. Its addresses stay the
// same over restarts.
type Kafka struct {
	DataDir   string
	Addresses map[string]string // host:port by listener

	options    KafkaOptions
	libs, java string
	controller string
	cert       testkit.Pair
	log        *tail
	cmd        *exec.Cmd
	exited     chan error
}

// StartKafka starts a broker and waits until it answers. It is killed at the test's end; the last lines of its log are
// shown where the test failed. The test is skipped where Kafka or Java is missing, but fails in CI.
func StartKafka(t testing.TB, o KafkaOptions) *Kafka {
	t.Helper()
	k := &Kafka{
		options: o, libs: testkit.Part(t, "kafka"), java: testkit.Part(t, "java"), log: &tail{}, DataDir: o.DataDir,
		Addresses: map[string]string{},
	}
	if k.DataDir == "" {
		k.DataDir = t.TempDir()
	}
	if k.options.Host == "" {
		k.options.Host = "127.0.0.1"
	}
	for _, name := range append([]string{ListenPlain}, o.Listeners...) {
		k.Addresses[name] = k.address(t)
	}
	for name, advertised := range o.Named {
		_, port, err := net.SplitHostPort(advertised)
		if err != nil {
			t.Fatalf("listener %s: %v", name, err)
		}
		k.Addresses[name] = net.JoinHostPort(k.options.Host, port)
	}
	k.controller = k.address(t)
	if k.hasTLS() {
		if o.CA == nil {
			t.Fatalf("a listener with TLS needs a CA")
		}
		k.cert = o.CA.Server(t, "kafka-"+strings.ReplaceAll(k.controller, ":", "-"))
	}
	k.configure(t)
	t.Cleanup(func() {
		k.Kill(t)
		k.log.show(t, "Kafka")
	})
	k.Start(t)
	return k
}

// address is a free one: the broker must know its ports before it starts.
func (k *Kafka) address(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(testkit.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(k.options.Host, port)
}

// Address is where the tests' own clients connect.
func (k *Kafka) Address() string { return k.Addresses[ListenPlain] }

func (k *Kafka) file(name string) string { return filepath.Join(k.DataDir, name) }

func (k *Kafka) hasTLS() bool {
	for name := range k.Addresses {
		if strings.HasSuffix(name, "SSL") {
			return true
		}
	}
	return false
}

// Start starts the broker and waits for its first answer. It returns how long that took.
func (k *Kafka) Start(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	args := append([]string{}, k.options.Command...)
	args = append(args, k.javaArgs("-Xmx512m", "-Xms64m", "kafka.Kafka", k.file("server.properties"))...)
	k.cmd = exec.Command(args[0], args[1:]...)
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := k.cmd.Start(); err != nil {
		t.Fatalf("start Kafka: %v", err)
	}
	cmd, exited := k.cmd, make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	k.exited = exited
	k.waitReady(t)
	return time.Since(begin)
}

func (k *Kafka) waitReady(t testing.TB) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Address()), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), kafkaStartBudget)
	defer cancel()
	for {
		err := client.Ping(ctx)
		if err == nil {
			return
		}
		select {
		case exit := <-k.exited:
			k.exited <- exit
			t.Fatalf("Kafka ended before it answered: %v\n%s", exit, k.log.lastWords())
		case <-ctx.Done():
			t.Fatalf("Kafka does not answer after %s: %v\n%s", kafkaStartBudget, err, k.log.lastWords())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill ends the broker with SIGKILL, if it runs, and waits for its end.
func (k *Kafka) Kill(t testing.TB) {
	t.Helper()
	k.end(t, syscall.SIGKILL)
}

// Stop ends the broker with SIGTERM, as an administrator does, and waits for its end.
func (k *Kafka) Stop(t testing.TB) {
	t.Helper()
	k.end(t, syscall.SIGTERM)
}

func (k *Kafka) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if k.cmd == nil {
		return
	}
	if err := k.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("end Kafka: %v", err)
	}
	select {
	case <-k.exited:
		k.cmd = nil
	case <-time.After(kafkaStartBudget):
		t.Fatalf("Kafka still runs %s after %s", kafkaStartBudget, signal)
	}
}

// ClientProperties are those of a Java client for a listener, with the user where it asks for one.
func (k *Kafka) ClientProperties(listener string, user KafkaUser, mechanism string) map[string]string {
	out := map[string]string{"bootstrap.servers": k.Addresses[listener], "security.protocol": listener}
	if strings.HasSuffix(listener, "SSL") {
		out["ssl.truststore.type"], out["ssl.truststore.location"] = "PEM", k.options.CA.File
	}
	if strings.HasPrefix(listener, "SASL") {
		out["sasl.mechanism"] = mechanism
		out["sasl.jaas.config"] = loginOf(mechanism, user)
	}
	return out
}

// loginOf is a sasl.jaas.config for a user.
func loginOf(mechanism string, user KafkaUser) string {
	module := "org.apache.kafka.common.security.scram.ScramLoginModule"
	if mechanism == "PLAIN" {
		module = "org.apache.kafka.common.security.plain.PlainLoginModule"
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	return fmt.Sprintf(`%s required username="%s" password="%s";`, module, escape.Replace(user.Name), escape.Replace(user.Password))
}

// JavaTool runs one of Kafka's own tools against the broker, such as
// org.apache.kafka.tools.consumer.group.ConsumerGroupCommand, and returns what it printed. The tool must succeed.
func (k *Kafka) JavaTool(t testing.TB, class string, args ...string) string {
	t.Helper()
	out, err := k.runTool(class, append([]string{"--bootstrap-server", k.Address()}, args...)...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", class, args, err, out)
	}
	return out
}

var slf4jLines = regexp.MustCompile(`(?m)^SLF4J.*\n`)

func (k *Kafka) runTool(class string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kafkaStartBudget)
	defer cancel()
	command := append(append([]string{}, k.options.Command...), k.javaArgs("-Xmx128m", "-Xms32m", class, args...)...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return slf4jLines.ReplaceAllString(out.String(), ""), err
}

// javaArgs keep a virtual machine small and quick to start.
func (k *Kafka) javaArgs(maxHeap, heap, class string, args ...string) []string {
	out := []string{
		k.java, maxHeap, heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dlog4j2.configurationFile=" + k.file("log4j2.yaml"), "-cp", filepath.Join(k.libs, "*"), class,
	}
	return append(out, args...)
}

func randomClusterID(t testing.TB) string {
	t.Helper()
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	id[0] = 'M' // an id that began with - would be read as an option
	return base64.RawURLEncoding.EncodeToString(id)
}

// configure writes the broker's files and formats its storage.
func (k *Kafka) configure(t testing.TB) {
	t.Helper()
	write := func(name, text string) {
		if err := os.WriteFile(k.file(name), []byte(text), 0o600); err != nil {
			t.Fatalf("configure Kafka: %v", err)
		}
	}
	write("log4j2.yaml", kafkaLogging)
	write("server.properties", k.serverProperties(t))
	if _, err := os.Stat(k.file("log")); err == nil {
		return // it has been formatted before
	}
	args := []string{"format", "--standalone", "-t", randomClusterID(t), "-c", k.file("server.properties")}
	for _, u := range k.options.Users {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, u.Name, u.Password))
		}
	}
	if out, err := k.runTool("kafka.tools.StorageTool", args...); err != nil {
		t.Fatalf("format Kafka's storage: %v\n%s", err, out)
	}
}
