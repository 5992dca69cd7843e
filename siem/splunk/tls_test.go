package splunk

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/siem/sink"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

// secure is a collector with a certificate for a name, which asks for one itself if clients is set.
func secure(t testing.TB, authority *transporttest.Authority, name string, clients *transporttest.Authority) string {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Pair(t, name)}}
	if clients != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(clients.PEM))
		server.TLS.ClientCAs, server.TLS.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestCertificates(t *testing.T) {
	ours, theirs := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	certificate, key := ours.Sign(t, "postern")
	stranger, strangersKey := theirs.Sign(t, "postern")
	plain, mutual := secure(t, ours, "SplunkServerDefaultCert", nil), secure(t, ours, "splunk", ours)
	for name, test := range map[string]struct {
		url  string
		tls  transport.TLS
		key  string
		want sink.Verdict
		says string
	}{
		"an authority of ours":            {plain, transport.TLS{CA: ours.PEM}, "", sink.Accepted, ""},
		"and the name in the certificate": {plain, transport.TLS{CA: ours.PEM, ServerName: "SplunkServerDefaultCert"}, "", sink.Accepted, ""},
		"another name":                    {plain, transport.TLS{CA: ours.PEM, ServerName: "splunk.example.com"}, "", sink.Misconfigured, "certificate is not trusted"},
		"the system's authorities":        {plain, transport.TLS{}, "", sink.Misconfigured, "certificate is not trusted"},
		"another authority":               {plain, transport.TLS{CA: theirs.PEM}, "", sink.Misconfigured, "certificate is not trusted"},
		"mutual":                          {mutual, transport.TLS{CA: ours.PEM, Certificate: certificate}, key, sink.Accepted, ""},
		"mutual, no key":                  {mutual, transport.TLS{CA: ours.PEM, Certificate: certificate}, "", sink.Misconfigured, "key of the client certificate is empty"},
		"mutual, another key":             {mutual, transport.TLS{CA: ours.PEM, Certificate: certificate}, strangersKey, sink.Misconfigured, "of another certificate"},
		"mutual, a stranger":              {mutual, transport.TLS{CA: ours.PEM, Certificate: stranger}, strangersKey, sink.Misconfigured, "client certificate"},
		"mutual, none":                    {mutual, transport.TLS{CA: ours.PEM}, "", sink.Misconfigured, "client certificate"},
	} {
		collector := made(t, Settings{URLs: []string{test.url}, TLS: test.tls}, Secrets{Token: transporttest.Secret(canary), Key: transporttest.Secret(test.key)})
		got := collector.Send(t.Context(), transporttest.Small(1))
		if got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || strings.Contains(got.Reason, "PRIVATE") || strings.Contains(got.Reason, "canary") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
