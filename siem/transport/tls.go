package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"postern/core"
)

// TLS says which certificate a receiver must show, and which one it is shown.
type TLS struct {
	// CA holds the authorities to trust instead of the system's: one or more certificates in PEM.
	CA string `json:"ca,omitempty"`
	// ServerName is the name in the receiver's certificate, if it is not the address's host.
	ServerName string `json:"server_name,omitempty"`
	// Certificate is shown to a receiver that asks for one (mutual TLS): PEM, with its chain. Its private key is
	// a secret beside the settings.
	Certificate string `json:"certificate,omitempty"`
}

// Validate names the first field that is wrong, below prefix.
func (t TLS) Validate(prefix string) error {
	if _, err := t.authorities(); err != nil {
		return core.Invalid(prefix+".ca", "%s", core.AsError(err).Message)
	}
	if len(t.ServerName) > 253 || strings.ContainsAny(t.ServerName, " /:\t\r\n") {
		return core.Invalid(prefix+".server_name", "a host name is needed, such as splunk.example.com, without a port")
	}
	if t.Certificate != "" {
		if _, err := certificates(t.Certificate); err != nil {
			return core.Invalid(prefix+".certificate", "%s", core.AsError(err).Message)
		}
	}
	return nil
}

func (t TLS) authorities() (*x509.CertPool, error) {
	if t.CA == "" {
		return nil, nil
	}
	found, err := certificates(t.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, one := range found {
		pool.AddCert(one)
	}
	return pool, nil
}

func certificates(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return nil, core.Invalid("", "that holds a private key: only certificates belong here, the key is a secret")
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, core.Invalid("", "a certificate in it cannot be read")
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return nil, core.Invalid("", "certificates in PEM are needed, which begin with -----BEGIN CERTIFICATE-----")
	}
	return found, nil
}

// Config is what connections are made with. The key of the client certificate is read at each handshake that
// asks for it.
func (t TLS) Config(key Secret) (*tls.Config, error) {
	pool, err := t.authorities()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: t.ServerName}
	if t.Certificate != "" {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			secret, err := Open(key, "the key of the client certificate")
			if err != nil {
				return nil, err
			}
			pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(secret.Reveal()))
			if err != nil {
				return nil, core.Invalid("key", "the key of the client certificate cannot be read, or is of another certificate")
			}
			return &pair, nil
		}
	}
	return config, nil
}
