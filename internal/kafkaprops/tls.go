package kafkaprops

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

var errNotLent = errors.New("a spec cannot name files of the server: give the PEM text itself, or set the file in the " +
	"server's own Kafka properties")

func tlsConfig(properties map[string]string, read FileReader) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := versions(out, properties[sslProtocols]); err != nil {
		return nil, err
	}
	roots, err := trusted(properties, read)
	if err != nil {
		return nil, err
	}
	out.RootCAs = roots
	own, err := ownCertificate(properties, read)
	if err != nil {
		return nil, err
	}
	if own != nil {
		out.Certificates = []tls.Certificate{*own}
	}
	algorithm, given := properties[sslIdentification]
	switch {
	case !given || strings.EqualFold(algorithm, "https"):
	case algorithm == "":
		out.InsecureSkipVerify = true // replaced by the check below, which leaves out the host name alone
		out.VerifyConnection = verifyChain(roots)
	default:
		return nil, fmt.Errorf("%s must be https, or empty: then host names are not checked", sslIdentification)
	}
	return out, nil
}

// verifyChain checks everything that crypto/tls checks but the host name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the broker shows no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}

// versions reads a list such as TLSv1.2,TLSv1.3. Older versions are left out, as Java does by default.
func versions(c *tls.Config, list string) error {
	if list == "" {
		return nil
	}
	var low, high uint16
	for name := range strings.SplitSeq(list, ",") {
		var v uint16
		switch strings.TrimSpace(name) {
		case "TLSv1.2":
			v = tls.VersionTLS12
		case "TLSv1.3":
			v = tls.VersionTLS13
		default:
			return fmt.Errorf("%s: only TLSv1.2 and TLSv1.3 are supported", sslProtocols)
		}
		if low == 0 || v < low {
			low = v
		}
		high = max(high, v)
	}
	c.MinVersion, c.MaxVersion = low, high
	return nil
}

// trusted returns whom to believe; nil means the roots of the system.
func trusted(properties map[string]string, read FileReader) (*x509.CertPool, error) {
	location, text := properties[sslTrustLocation], properties[sslTrustCerts]
	if location == "" && text == "" {
		return nil, nil
	}
	if err := checkPEM(properties, sslTrustType, sslTrustPassword, "keytool -exportcert -rfc -keystore STORE -alias ALIAS"); err != nil {
		return nil, err
	}
	if location != "" && text != "" {
		return nil, fmt.Errorf("%s and %s are both given: give one of them", sslTrustLocation, sslTrustCerts)
	}
	data, where, err := pemText(read, sslTrustLocation, location, sslTrustCerts, text)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", where)
	}
	return pool, nil
}

// ownCertificate is what this client shows the brokers; nil: none.
func ownCertificate(properties map[string]string, read FileReader) (*tls.Certificate, error) {
	location, chain, key := properties[sslKeystoreLocation], properties[sslKeystoreChain], properties[sslKeystoreKey]
	if location == "" && chain == "" && key == "" {
		return nil, nil
	}
	if err := checkPEM(properties, sslKeystoreType, sslKeystorePassword, "openssl pkcs12 -nodes -in STORE.p12"); err != nil {
		return nil, err
	}
	if _, given := properties[sslKeyPassword]; given {
		return nil, fmt.Errorf("%s is refused: encrypted keys are not supported. Write the key in the clear, into a file that "+
			"only the server can read: openssl pkcs8 -in KEY -out KEY.pem", sslKeyPassword)
	}
	if location != "" && (chain != "" || key != "") {
		return nil, fmt.Errorf("%s is given beside %s or %s: give the file, or the texts", sslKeystoreLocation, sslKeystoreChain, sslKeystoreKey)
	}
	if location == "" && (chain == "" || key == "") {
		return nil, fmt.Errorf("%s and %s must be given together", sslKeystoreChain, sslKeystoreKey)
	}
	certs, where, err := pemText(read, sslKeystoreLocation, location, sslKeystoreChain, chain)
	if err != nil {
		return nil, err
	}
	private := certs
	if location == "" {
		private = []byte(unfold(key))
	}
	if encrypted(private) {
		return nil, fmt.Errorf("the key in %s is encrypted, which is not supported: openssl pkcs8 -in KEY -out KEY.pem", where)
	}
	pair, err := tls.X509KeyPair(certs, private)
	if err != nil {
		return nil, fmt.Errorf("%s: certificate and key cannot be used: %w", where, err) // names what is missing, never the key
	}
	return &pair, nil
}

// checkPEM refuses Java's binary stores.
func checkPEM(properties map[string]string, typeName, passwordName, convert string) error {
	if kind := properties[typeName]; !strings.EqualFold(kind, "PEM") {
		if kind == "" {
			kind = "JKS, Java's default"
		}
		return fmt.Errorf("%s is %s: only PEM is supported. Convert the store (%s) and set %s to PEM", typeName, kind, convert, typeName)
	}
	if _, given := properties[passwordName]; given {
		return fmt.Errorf("%s is refused: PEM stores have no password", passwordName)
	}
	return nil
}

// pemText returns the text itself or what the file holds, and the name of the property that it came from.
func pemText(read FileReader, locationName, location, textName, text string) (data []byte, where string, err error) {
	if location == "" {
		return []byte(unfold(text)), textName, nil
	}
	if read == nil {
		return nil, locationName, fmt.Errorf("%s: %w", locationName, errNotLent)
	}
	data, err = read(location)
	if err != nil {
		return nil, locationName, fmt.Errorf("%s: %w", locationName, err)
	}
	return data, locationName, nil
}

// unfold brings line breaks back where a PEM text was written in one line, with blanks or \n in their place.
func unfold(text string) string {
	text = strings.ReplaceAll(text, `\n`, "\n")
	var out strings.Builder
	for {
		begin := strings.Index(text, "-----BEGIN ")
		if begin < 0 {
			return out.String()
		}
		text = text[begin:]
		headEnd := strings.Index(text[len("-----BEGIN "):], "-----")
		foot := strings.Index(text, "-----END ")
		if headEnd < 0 || foot < 0 {
			return out.String() + text
		}
		head := text[:len("-----BEGIN ")+headEnd+len("-----")]
		footEnd := strings.Index(text[foot+len("-----END "):], "-----")
		if footEnd < 0 || foot < len(head) {
			return out.String() + text
		}
		end := foot + len("-----END ") + footEnd + len("-----")
		body := strings.Join(strings.Fields(text[len(head):foot]), "\n")
		if strings.Contains(body, ":") {
			body = strings.TrimSpace(text[len(head):foot]) // it has headers, which only whole lines keep
		}
		out.WriteString(head + "\n" + body + "\n" + text[foot:end] + "\n")
		text = text[end:]
	}
}

func encrypted(data []byte) bool {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return false
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
}
