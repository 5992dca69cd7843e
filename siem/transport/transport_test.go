package transport_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

// identity is a certificate that signs itself, good for 127.0.0.1 and as a client's, with its key, in PEM.
func identity(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postern"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return block("CERTIFICATE", signed), block("PRIVATE KEY", encoded)
}

func reading(text string) transport.Secret {
	return func() (seal.Secret, error) { return seal.NewSecret(text), nil }
}

func TestAClientTrustsWhomItIsTold(t *testing.T) {
	theirs, theirKey := identity(t)
	ours, ourKey := identity(t)
	pair, err := tls.X509KeyPair([]byte(theirs), []byte(theirKey))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(ours))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	server.StartTLS()
	t.Cleanup(server.Close)

	for name, test := range map[string]struct {
		tls  transport.TLS
		key  transport.Secret
		says string // empty: it is answered
	}{
		"both known":           {transport.TLS{CA: theirs, Certificate: ours}, reading(ourKey), ""},
		"its authority is not": {transport.TLS{Certificate: ours}, reading(ourKey), "certificate"},
		"no certificate":       {transport.TLS{CA: theirs}, nil, "refuses the connection"},
		"another's key":        {transport.TLS{CA: theirs, Certificate: ours}, reading(theirKey), "is of another certificate"},
		"no key":               {transport.TLS{CA: theirs, Certificate: ours}, nil, "the key of the client certificate is needed"},
		"another name":         {transport.TLS{CA: theirs, Certificate: ours, ServerName: "splunk.example.com"}, reading(ourKey), "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := transport.Client(transport.Options{Dial: new(net.Dialer).DialContext, TLS: test.tls, Key: test.key})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.CloseIdleConnections)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := transport.Ask(client, request)
			if test.says == "" {
				if err != nil || reply.Status != http.StatusFound {
					t.Fatalf("%d %v: a redirect is followed, or nothing came", reply.Status, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("answered with %d", reply.Status)
			}
			answer := transport.Failed(err)
			if answer.Verdict == sink.Accepted || !strings.Contains(answer.Reason+err.Error(), test.says) || strings.Contains(answer.Reason, "PRIVATE KEY") {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
}

func TestTLSSettingsAreChecked(t *testing.T) {
	certificate, key := identity(t)
	for field, settings := range map[string]transport.TLS{
		"":                {CA: certificate, ServerName: "splunk.example.com", Certificate: certificate},
		"tls.ca":          {CA: "x"},
		"tls.server_name": {ServerName: "splunk.example.com:8088"},
		"tls.certificate": {Certificate: certificate + key},
	} {
		err := settings.Validate("tls")
		if field == "" && err != nil || field != "" && (err == nil || core.AsError(err).Field != field || strings.Contains(err.Error(), "MII")) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestAddress(t *testing.T) {
	for text, good := range map[string]bool{
		"https://splunk.example.com:8088": true, "http://127.0.0.1:9200/path": true, "": false, "splunk": false, "ftp://x": false, "https://": false,
		"https://ana:secret@x": false, "https://x?token=secret": false, "https://x#secret": false, "https://" + strings.Repeat("x", 2000): false,
	} {
		err := transport.Address("url", text)
		if (err == nil) != good || err != nil && (core.AsError(err).Field != "url" || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	failing := func() (seal.Secret, error) { return seal.Secret{}, errors.New("/run/secrets/token: canary") }
	for says, read := range map[string]transport.Secret{
		"is needed": nil, "cannot be read": failing, "is empty": reading(" \n"), "holds a character that cannot be sent": reading("canary\nb"),
	} {
		if _, err := transport.Token(read, "the token"); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "the token "+says) || strings.Contains(core.AsError(err).Message, "canary") {
			t.Errorf("%s: %v", says, err)
		}
	}
	if secret, err := transport.Token(reading(" token\n"), "the token"); err != nil || secret.Reveal() != "token" {
		t.Error(secret.Reveal(), err)
	}
	said := transport.Clean("bad\n token: canary-1 and canary-12,\xff spaced  out", seal.NewSecret("canary-1"), seal.NewSecret("canary-12"), seal.NewSecret("spaced  out"), seal.Secret{})
	if said != "bad token: [redacted] and [redacted], [redacted]" {
		t.Error(said)
	}
	if long := transport.Clean(strings.Repeat("x ", 1000)); len(long) > 310 {
		t.Error(len(long))
	}
}

func TestSplit(t *testing.T) {
	sized := func(sizes ...int) []stream.Event {
		var events []stream.Event
		for _, size := range sizes {
			events = append(events, stream.Event{Value: make([]byte, size)})
		}
		return events
	}
	for _, test := range []struct {
		events []stream.Event
		want   []int
	}{{nil, nil}, {sized(8, 8, 8), []int{2, 1}}, {sized(100), []int{1}}, {sized(1, 100, 1), []int{1, 1, 1}}, {sized(18), []int{1}}, {sized(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), []int{10, 1}}} {
		var got []int
		for _, part := range transport.Split(test.events, 20, 2) {
			got = append(got, len(part))
		}
		if len(got) != len(test.want) {
			t.Errorf("%v, want %v", got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%v, want %v", got, test.want)
			}
		}
	}
}

func TestGzip(t *testing.T) {
	failed := errors.New("failed")
	if _, err := transport.Gzip(func(*gzip.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	for _, text := range []string{"one", "another, from the same pool"} {
		compressed, err := transport.Gzip(func(writer *gzip.Writer) error {
			_, err := io.WriteString(writer, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		reader, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(reader); err != nil || string(got) != text {
			t.Errorf("%q %v", got, err)
		}
	}
}

func TestAnAnswerIsReadUpToItsLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	}))
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := transport.AskFor(http.DefaultClient, request, 10); err != nil || len(reply.Text) != 10 || !reply.HTML() || reply.Answer().Event != -1 {
		t.Errorf("%+v %v", reply, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := (transport.System{}).Sleep(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
