package kafkaprops

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reason tells in a few words why brokers do not let a client in, and which property to look at; "" where the error is none
// of that kind.
func Reason(err error) string {
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, closed := errors.AsType[*kgo.ErrFirstReadEOF](err)
	alert, isNet := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "Kafka refuses the user or the password of " + saslJAAS
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "Kafka does not know the mechanism of " + saslMechanism
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "Kafka does not allow this to the user of " + saslJAAS
	case badCertificate:
		return "Kafka shows a certificate that is not trusted: see " + sslTrustLocation
	case isNet && alert.Op == "remote error": // crypto/tls says so of an alert that the other side has sent
		return "Kafka refuses the TLS connection: it may want a certificate, see " + sslKeystoreLocation
	case closed:
		return "Kafka closes the connection: " + securityProtocol + " does not fit that port"
	}
	return ""
}
