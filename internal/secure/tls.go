package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// recheckEvery is how often at most a handshake looks whether files have changed.
const recheckEvery = time.Second

// ServerTLS names the PEM files of a server. The zero value is a server without TLS.
type ServerTLS struct {
	CertFile, KeyFile string
	// ClientCAFile, where set, makes every client show a certificate of one of its authorities.
	ClientCAFile string
}

// Config returns the server's configuration, nil where there is none. Certificates are read again when their files
// change; files that cannot be read then leave the old ones in use, see ConfigReporting.
func (s ServerTLS) Config() (*tls.Config, error) { return s.ConfigReporting(nil) }

// ConfigReporting is Config for an owner who wants to know of each failure to read changed files, in order to log it. A
// failure is reported once, until another follows or reading succeeds; handshakes call report, which must not block.
func (s ServerTLS) ConfigReporting(report func(error)) (*tls.Config, error) {
	switch {
	case s == ServerTLS{}:
		return nil, nil
	case s.CertFile == "" || s.KeyFile == "":
		return nil, errors.New("TLS of a server needs a certificate file and a key file, also where it has a client CA file")
	}
	pair := newReloaded(func() (*tls.Certificate, error) { return loadPair(s.CertFile, s.KeyFile) }, report, s.CertFile, s.KeyFile)
	if err := pair.load(); err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil },
	}
	if s.ClientCAFile == "" {
		return c, nil
	}
	pool := newReloaded(func() (*x509.CertPool, error) { return loadPool(s.ClientCAFile) }, report, s.ClientCAFile)
	if err := pool.load(); err != nil {
		return nil, err
	}
	// The package tls would verify against the authorities of the start for ever. VerifyConnection does it against the
	// newest, also for a resumed session.
	c.ClientCAs = pool.get()
	c.ClientAuth = tls.RequireAnyClientCert
	c.VerifyConnection = func(state tls.ConnectionState) error { return verifyClient(state.PeerCertificates, pool.get()) }
	return c, nil
}

// verifyClient checks a client's chain against the authorities.
func verifyClient(chain []*x509.Certificate, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("the client shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("the client's certificate is not accepted: %w", err)
	}
	return nil
}

// ClientTLS names the PEM files of a client. The zero value is a client that does not ask for TLS.
type ClientTLS struct {
	CAFile string // authorities of servers; empty: those of the system
	// CertFile and KeyFile are what the client shows of itself; both or neither.
	CertFile, KeyFile string
	ServerName        string // the name that the server's certificate must have; empty: that of the address
	// InsecureSkipVerify accepts any server: for trials only, since anyone in between can then read along.
	InsecureSkipVerify bool
}

// Config returns the client's configuration, nil for the zero value. The client's own certificate is read again when
// its files change, the authorities are not.
func (c ClientTLS) Config() (*tls.Config, error) { return c.ConfigReporting(nil) }

// ConfigReporting is Config for an owner who wants to know of failures to read changed files, as with ServerTLS.
func (c ClientTLS) ConfigReporting(report func(error)) (*tls.Config, error) {
	switch {
	case c == ClientTLS{}:
		return nil, nil
	case (c.CertFile == "") != (c.KeyFile == ""):
		return nil, errors.New("TLS of a client needs both a certificate file and a key file, or neither")
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify}
	if c.CAFile != "" {
		pool, err := loadPool(c.CAFile)
		if err != nil {
			return nil, err
		}
		out.RootCAs = pool
	}
	if c.CertFile == "" {
		return out, nil
	}
	pair := newReloaded(func() (*tls.Certificate, error) { return loadPair(c.CertFile, c.KeyFile) }, report, c.CertFile, c.KeyFile)
	if err := pair.load(); err != nil {
		return nil, err
	}
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.get(), nil }
	return out, nil
}

func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s with the key %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

func loadPool(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read the authorities: %s holds no certificate in PEM", file)
	}
	return pool, nil
}
