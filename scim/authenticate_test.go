package scim_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// Every way a credential can be bad has the same end: 401, a SCIM Error, a challenge, and not a trace
// of what was sent.
func TestBadCredentials(t *testing.T) {
	w := open(t, directory.Okta)
	var log bytes.Buffer
	w.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := w.acme
	h.call(t, "GET", "/Users", "").want(t, 200)
	make := func(expires *time.Time) (token seal.Secret) {
		must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			token, err = h.Directory.CreateConnectionToken(t.Context(), tx, h.cause(), h.workspace, h.connection.ID, expires)
			return err
		}))
		return token
	}
	revoked := make(nil)
	list, err := h.Directory.ConnectionTokens(t.Context(), h.DB, h.workspace, h.connection.ID)
	must(t, err)
	spare := h
	spare.token = revoked.Reveal()
	spare.call(t, "GET", "/Users", "").want(t, 200) // a token that is known
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return h.Directory.RevokeConnectionToken(t.Context(), tx, h.cause(), h.workspace, h.connection.ID, list[1].ID)
	}))
	expired := make(new(time.Now().Add(-time.Second)))
	const bearer, challenge = "Bearer ", `Bearer realm="Postern SCIM", error="invalid_token"`
	for name, test := range map[string]struct {
		headers   []string
		challenge string
		detail    string
	}{
		"none":          {nil, `Bearer realm="Postern SCIM"`, "Authorization: Bearer"},
		"Basic":         {[]string{"Basic cG9zdGVybjpjYW5hcnk="}, `Bearer realm="Postern SCIM"`, "Basic"},
		"another":       {[]string{`Digest username="canary"`}, `Bearer realm="Postern SCIM"`, "Authorization: Bearer"},
		"nothing in it": {[]string{bearer}, `Bearer realm="Postern SCIM"`, "Authorization: Bearer"},
		"revoked":       {[]string{bearer + revoked.Reveal()}, challenge, "not valid"},
		"revoked again": {[]string{bearer + revoked.Reveal()}, challenge, "not valid"},
		"expired":       {[]string{bearer + expired.Reveal()}, challenge, "not valid"},
		"unknown":       {[]string{bearer + "pst_scim_" + strings.Repeat("c", 43)}, challenge, "not valid"},
		"very long":     {[]string{bearer + strings.Repeat("canary", 100_000)}, challenge, "not valid"},
		"binary":        {[]string{bearer + "canary\xff\x01\x02"}, challenge, "not valid"},
		"two words":     {[]string{bearer + h.token + " canary"}, challenge, "not valid"},
		"a tab":         {[]string{bearer + "\t" + h.token}, challenge, "not valid"},
		"twice":         {[]string{bearer + h.token, bearer + h.token}, challenge, "not valid"},
		"good and bad":  {[]string{bearer + h.token, bearer + "canary"}, challenge, "not valid"},
		"in a list":     {[]string{bearer + h.token + ", Bearer canary"}, challenge, "not valid"},
		"in capitals":   {[]string{bearer + strings.ToUpper(h.token)}, challenge, "not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} {
				request := h.request(t, method, "/Users", `{"userName":"canary"}`)
				request.Header["Authorization"] = test.headers
				got := h.send(t, request).wantError(t, 401, "")
				if got.header.Get("WWW-Authenticate") != test.challenge || !strings.Contains(got.body["detail"].(string), test.detail) {
					t.Errorf("answered %s with %q", got.text, got.header.Get("WWW-Authenticate"))
				}
				for _, secret := range []string{"canary", h.token, revoked.Reveal(), expired.Reveal()} {
					if strings.Contains(got.text, secret) {
						t.Errorf("repeats %q", secret)
					}
				}
			}
		})
	}
	for _, secret := range []string{"canary", h.token, revoked.Reveal(), expired.Reveal()} {
		if strings.Contains(log.String(), secret) || strings.Contains(h.stored(t), secret) {
			t.Errorf("%q was kept", secret)
		}
	}
	lower := h.request(t, "GET", "/Users", "")
	lower.Header.Set("Authorization", "bearer   "+h.token+" ")
	h.send(t, lower).want(t, 200)
	if len(h.events(t, core.RequestRefused)) != 0 {
		t.Error("a stranger's request was told as the connection's")
	}
}
