package hooks_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/webhooks/hooks"
)

// authority is Okta's token endpoint and System Log, as strict as Okta's own: private_key_jwt alone, an assertion is
// good once, and the log goes on where the Link header says.
type authority struct {
	*httptest.Server
	keys    func() []jose.JSONWebKey
	now     func() time.Time
	used    map[string]bool // jti
	granted int
	pages   []string
	refuse  bool
}

func (o *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	say := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	if r.URL.Path == "/oauth2/v1/token" {
		if wrong := o.wrong(r); wrong != "" || o.refuse {
			say(401, map[string]string{"error": "invalid_client", "error_description": wrong})
			return
		}
		o.granted++
		say(200, map[string]any{"access_token": "log-token", "token_type": "Bearer", "expires_in": 3600, "scope": "okta.logs.read"})
		return
	}
	if r.URL.Path != "/api/v1/logs" || r.Header.Get("Authorization") != "Bearer log-token" {
		say(401, map[string]string{"errorCode": "E0000011", "errorSummary": "Invalid token provided"})
		return
	}
	after := r.URL.Query().Get("after")
	o.pages = append(o.pages, after)
	now, events := time.Now(), []json.RawMessage{}
	w.Header().Add("Link", `<`+o.URL+`/api/v1/logs?after=`+after+`>; rel="self"`)
	switch after {
	case "":
		w.Header().Add("Link", `<`+o.URL+`/api/v1/logs?after=two&limit=1000>; rel="next"`)
		events = append(events, json.RawMessage(oktaEvent("l1", "user.session.clear", "00u-ana", "ana@example.com", "00u-x", now)))
	case "two":
		w.Header().Add("Link", `<`+o.URL+`/api/v1/logs?after=three&limit=1000>; rel="next"`)
		events = append(events, json.RawMessage(oktaEvent("l2", "user.lifecycle.deactivate", "00u-ben", "ben@example.com", "00u-x", now)))
	case "three": // Okta ends with a page that is empty
		w.Header().Add("Link", `<`+o.URL+`/api/v1/logs?after=three&limit=1000>; rel="next"`)
	}
	say(200, events)
}

// wrong says what is wrong with a token request; "": nothing.
func (o *authority) wrong(r *http.Request) string {
	if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "okta.logs.read" || r.PostFormValue("client_secret") != "" ||
		r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "not private_key_jwt with okta.logs.read"
	}
	signed, err := jose.ParseSignedCompact(r.PostFormValue("client_assertion"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "the assertion is not signed with RS256"
	}
	found := (&jose.JSONWebKeySet{Keys: o.keys()}).Key(signed.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		return "its kid is not published"
	}
	text, err := signed.Verify(found[0])
	if err != nil {
		return "the signature is wrong"
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Expires  int64  `json:"exp"`
		Issued   int64  `json:"iat"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return "the claims cannot be read"
	}
	now := o.now().Unix()
	switch {
	case claims.Issuer != "0oa-client" || claims.Subject != "0oa-client":
		return "iss and sub are not the client"
	case claims.Audience != o.URL+"/oauth2/v1/token":
		return "aud is not the token endpoint"
	case claims.ID == "" || o.used[claims.ID]:
		return "jti is missing or was used"
	case claims.Expires <= now || claims.Expires > now+3600 || claims.Issued > now+60:
		return "exp is more than an hour away, or over"
	}
	o.used[claims.ID] = true
	return ""
}

// The System Log is read page by page with a token that the workspace's own key is shown for.
func TestTheSystemLogByPrivateKeyJWT(t *testing.T) {
	w := newWorld(t)
	w.service.Sign = w.Signing.Sign
	for _, h := range []house{w.acme, w.globex} {
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			_, err := w.Vault.Prepare(ctx, tx, h.workspace.ID)
			return err
		})
	}
	o := &authority{used: map[string]bool{}, now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }}
	o.keys = func() []jose.JSONWebKey {
		set, err := w.Signing.PublicKeys(t.Context(), w.acme.workspace.ID)
		if err != nil {
			t.Error(err)
		}
		return set
	}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Okta, Settings: hooks.Settings{Access: hooks.Access{Address: o.URL, ClientID: "0oa-client"}}})
	w.work(t)
	hook := w.hook(t, w.acme, made.ID)
	if hook.LastError != "" || hook.Filled == nil || o.granted != 1 || len(o.pages) != 3 {
		t.Fatalf("%+v %+v", hook, o)
	}
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 2 || w.signedIn(t, w.acme, w.acme.ana) || w.signedIn(t, w.acme, w.acme.ben) || !w.signedIn(t, w.globex, w.globex.ana) {
		t.Fatalf("%d receipts", len(got))
	}
	// Each round has an assertion of its own: one is good once. What was read before has no effect again.
	w.ahead.Add(int64(20 * time.Minute))
	w.work(t)
	if hook = w.hook(t, w.acme, made.ID); hook.LastError != "" || o.granted != 2 || len(w.Receipts(t, w.acme.workspace.ID)) != 2 {
		t.Fatalf("%+v, %d grants", hook, o.granted)
	}
	o.refuse = true
	w.ahead.Add(int64(20 * time.Minute))
	w.work(t)
	if hook = w.hook(t, w.acme, made.ID); hook.LastErrorStage != "api" || hook.Due == nil {
		t.Fatalf("%+v", hook)
	}
}
