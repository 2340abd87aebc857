package deploy

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// startGateway runs the service "s3" as the compose file does, but for its port and directory, waits until its health check's
// path answers, and returns its host:port.
func startGateway(t *testing.T, key, secret string) string {
	t.Helper()
	gateway := testkit.Part(t, "versitygw")
	service := project(t).Services["s3"]
	address := testkit.FreeAddress(t)
	args := slices.Clone(service.Command)
	args[slices.Index(args, "--port")+1] = address
	args[len(args)-1] = t.TempDir()
	cmd := exec.Command(gateway, args...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+key, "ROOT_SECRET_ACCESS_KEY="+secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
	check := service.HealthCheck.Test
	_, path, ok := strings.Cut(strings.TrimPrefix(check[len(check)-1], "http://"), "/")
	if !ok {
		t.Fatalf("the health check is %q", check)
	}
	waitOK(t, "http://"+address+"/"+path)
	return address
}

// waitOK waits until a URL answers 200.
func waitOK(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not answer 200: %v", url, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
