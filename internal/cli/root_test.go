package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"drumlin/api"
)

// TestServerFlagsAreForTheServersClients gives the flags that name a server before and behind the command, and to one that
// talks to none: there they would have no effect.
func TestServerFlagsAreForTheServersClients(t *testing.T) {
	url := (&server{list: []api.Supervisor{}}).start(t)
	run(t, "http://127.0.0.1:1", "", 0, "--server", url, "status").want(t, 0, "", "there is no supervisor yet")
	run(t, "http://127.0.0.1:1", "", 0, "task", "status", "x", "--server", "ftp://y").want(t, 2, "", "ftp://y")
	run(t, url, "", 0, "topic", "list", "--cert-file", "a.pem").want(t, 2, "", "unknown flag: --cert-file", "--help")
}

func TestNoArguments(t *testing.T) {
	cmd := &cobra.Command{Use: "serve"}
	if err := NoArguments("")(cmd, nil); err != nil {
		t.Error(err)
	}
	for instead, want := range map[string]string{
		"":              "drumlin: serve takes no arguments: \"query\" is too much\nhint: add --help to the command to see how it is used\n",
		"name it so":    "drumlin: serve takes no arguments: \"query\" is too much\nhint: name it so\n",
		"or\tbe silent": "drumlin: serve takes no arguments: \"query\" is too much\nhint: or  be silent\n",
	} {
		var text strings.Builder
		if code := Report(&text, NoArguments(instead)(cmd, []string{"query"})); code != exitUsage || text.String() != want {
			t.Errorf("%q: %d, %q, want %q", instead, code, text.String(), want)
		}
	}
}
