package etcdkv_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/catalog/catalogtest"
	"drumlin/internal/secure"
	"drumlin/internal/testkit"
)

func clientTLS(t testing.TB, ca *testkit.CA, pair testkit.Pair) *tls.Config {
	t.Helper()
	config, err := secure.ClientTLS{CAFile: ca.File, CertFile: pair.CertFile, KeyFile: pair.KeyFile}.Config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// putIn puts one key blindly.
func putIn(ctx context.Context, kv catalog.KV) error {
	_, err := kv.Txn(ctx, catalog.Txn{Then: []catalog.Op{{Kind: catalog.OpPut, Key: "k", Value: []byte("v")}}})
	return err
}

// TestContractSecured: a user with readwrite below the prefix may do everything that the catalog does.
func TestContractSecured(t *testing.T) {
	if testing.Short() {
		t.Skip("the contract runs once with -short, without TLS and users")
	}
	t.Parallel()
	s := startSecured(t, 300)
	catalogtest.Run(t, func(t testing.TB) catalogtest.Fixture {
		return catalogtest.Fixture{KV: openAt(t, s.options), Compact: func(t testing.TB, revision int64) {
			if _, err := s.root.Compact(t.Context(), revision); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

func TestWhoIsNotAdmitted(t *testing.T) {
	t.Parallel()
	s := startSecured(t, 300)
	good := s.options
	wrong, anonymous, elsewhere, stranger := good, good, good, good
	wrong.Password = "a-wrong-password"
	anonymous.Username, anonymous.Password = "", ""
	elsewhere.Prefix = "elsewhere"
	stranger.TLS = clientTLS(t, testkit.NewCA(t), testkit.NewCA(t).Client(t, "stranger"))
	stranger.RequestTimeout = 2 * time.Second // time for the handshake that is refused
	if err := putIn(t.Context(), openAt(t, good)); err != nil {
		t.Fatalf("the right user: %v", err)
	}
	for _, o := range []struct {
		what string
		want error
		part string
	}{
		{"wrong", catalog.ErrKVRefused, `the password of user "drumlin"`},
		{"anonymous", catalog.ErrKVRefused, "certificate names"},
		{"elsewhere", catalog.ErrKVRefused, "readwrite on the prefix elsewhere/"},
		{"stranger", catalog.ErrKVUnavailable, "certificate"},
	} {
		options := good
		switch o.what {
		case "wrong":
			options = wrong
		case "anonymous":
			// Without a user a client's certificate is one: the one here names nobody that etcd knows.
			options = anonymous
		case "elsewhere":
			options = elsewhere
		case "stranger":
			options = stranger
		}
		store := openAt(t, options)
		_, rangeErr := store.Range(t.Context(), "", catalog.RangeOptions{})
		_, grantErr := store.Grant(t.Context(), time.Second)
		for _, err := range []error{putIn(t.Context(), store), rangeErr} {
			if !errors.Is(err, o.want) || errors.Is(err, catalog.ErrKVUnknown) || !strings.Contains(err.Error(), o.part) {
				t.Errorf("%s: %v", o.what, err)
			}
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "a-wrong-password")) {
				t.Errorf("%s: the password is shown: %v", o.what, err)
			}
		}
		if o.what == "wrong" && !errors.Is(grantErr, catalog.ErrKVRefused) {
			t.Errorf("%s: a lease: %v", o.what, grantErr)
		}
		w := store.Watch(t.Context(), "", 1)
		select {
		case b, ok := <-w.Batches:
			if ok && b.Err == nil {
				t.Errorf("%s: the watch delivers %+v", o.what, b)
			}
		case <-time.After(50 * time.Millisecond): // it has delivered nothing
		}
	}
}

// TestTokensAreRenewed: by a change of users, which ends all tokens, by their age, and by a restart of the server that
// has given them.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	s := startSecured(t, 1)
	store := openAt(t, s.options)
	ctx := t.Context()
	lease, err := store.Grant(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	everything := func(when string) {
		t.Helper()
		if err := putIn(ctx, store); err != nil {
			t.Errorf("%s: put: %v", when, err)
		}
		if _, err := store.Range(ctx, "", catalog.RangeOptions{}); err != nil {
			t.Errorf("%s: range: %v", when, err)
		}
		if err := store.KeepAlive(ctx, lease); err != nil {
			t.Errorf("%s: keepalive: %v", when, err)
		}
	}
	everything("at first")
	if _, err := s.root.UserAdd(ctx, "another", "another-password"); err != nil {
		t.Fatal(err)
	}
	everything("after a change of users")
	timer := time.NewTimer(3 * time.Second) // the server's clock, which a token that is asked for would start anew
	<-timer.C
	everything("after a token's life")
	s.kill()
	s.begin(t)
	s.wait(t)
	// The client may still be connecting: what it cannot send it says so of.
	for deadline := time.Now().Add(time.Minute); ; {
		err := putIn(ctx, store)
		if err == nil {
			break
		}
		if errors.Is(err, catalog.ErrKVRefused) || time.Now().After(deadline) {
			t.Fatalf("after a restart: %v", err)
		}
	}
	everything("after a restart")
}

// TestOpenNeedsNoServer: a process may start before etcd does, also where it has a password to show.
func TestOpenNeedsNoServer(t *testing.T) {
	t.Parallel()
	options := startSecured(t, 300).options
	options.Endpoints = []string{"127.0.0.1:1"}
	options.RequestTimeout = 100 * time.Millisecond
	store := openAt(t, options)
	if err := putIn(t.Context(), store); !errors.Is(err, catalog.ErrKVUnavailable) || errors.Is(err, catalog.ErrKVUnknown) {
		t.Errorf("%v", err)
	}
}
