package scim_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

func (h house) cause() core.Cause { return core.NewCause(core.System, time.Now()) }

// client gives the connection an OAuth client.
func (h house) client(t testing.TB, expires *time.Time) (directory.Client, string) {
	t.Helper()
	var made directory.Client
	var secret seal.Secret
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		made, secret, err = h.Directory.CreateConnectionClient(t.Context(), tx, h.cause(), h.workspace, h.connection.ID, expires)
		return err
	}))
	return made, secret.Reveal()
}

// form is parameters in the order they are given.
func form(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

const grant = "grant_type=client_credentials"

// token sends a form to the token endpoint.
func (w *world) token(t testing.TB, body string, header ...string) reply {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/scim/oauth/token", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return w.post(t, request)
}

func (w *world) post(t testing.TB, request *http.Request) reply {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	r := reply{status: recorder.Code, header: recorder.Header(), text: recorder.Body.String()}
	if err := json.Unmarshal([]byte(r.text), &r.body); err != nil {
		t.Fatalf("answered %d %q: %v", r.status, r.text, err)
	}
	if r.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		t.Errorf("answered with %v", r.header)
	}
	return r
}

// wantCode checks an error of RFC 6749 §5.2.
func (r reply) wantCode(t testing.TB, status int, code string) reply {
	t.Helper()
	text, _ := r.body["error_description"].(string)
	if r.want(t, status); r.body["error"] != code || text == "" || len(r.body) != 2 {
		t.Fatalf("answered %s, want %s", r.text, code)
	}
	if challenge := r.header.Get("WWW-Authenticate"); (status == 401) != strings.HasPrefix(challenge, "Basic ") {
		t.Fatalf("WWW-Authenticate is %q", challenge)
	}
	return r
}

// access checks an answer with a token and returns the house as it is with that token.
func (h house) access(t testing.TB, r reply) house {
	t.Helper()
	r.want(t, 200).is(t, "Bearer", "token_type")
	r.is(t, 3600.0, "expires_in")
	r.is(t, "scim", "scope")
	h.token, _ = r.body["access_token"].(string)
	if !strings.HasPrefix(h.token, "pst_at_") {
		t.Fatalf("answered %s", r.text)
	}
	return h
}

func TestClientsAreGivenTokens(t *testing.T) {
	w := open(t, directory.Entra)
	user := w.acme.join(t, "ana")
	first, secret := w.acme.client(t, nil)
	second, another := w.acme.client(t, nil)
	theirs, theirSecret := w.other.client(t, nil)
	var all []house
	for name, r := range map[string]reply{
		"basic":                w.token(t, grant, "Authorization", basic(first.ClientID, secret)),
		"basic, named again":   w.token(t, form("client_id", first.ClientID)+"&"+grant, "Authorization", basic(first.ClientID, secret)),
		"basic, percent":       w.token(t, grant, "Authorization", "basic "+base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(first.ClientID, "_", "%5F")+":"+strings.ReplaceAll(secret, "_", "%5f")))),
		"post":                 w.token(t, form("grant_type", "client_credentials", "client_id", first.ClientID, "client_secret", secret)),
		"with scope":           w.token(t, form("client_id", second.ClientID, "client_secret", another, "scope", "scim")+"&"+grant),
		"with another scope":   w.token(t, form("client_id", second.ClientID, "client_secret", another, "scope", "scim.readwrite openid")+"&"+grant),
		"with empty and extra": w.token(t, form("client_id", second.ClientID, "client_secret", another, "scope", "", "resource", "x", "client_assertion", "")+"&"+grant),
		"with charset":         w.token(t, form("client_id", second.ClientID, "client_secret", another)+"&"+grant, "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),
	} {
		h := w.acme.access(t, r)
		h.call(t, "GET", "/Users/"+user, "").want(t, 200)
		h.call(t, "POST", "/Users", `{"userName":"`+name+`"}`).want(t, 201)
		all = append(all, h)
	}
	stranger := w.other.access(t, w.token(t, form("client_id", theirs.ClientID, "client_secret", theirSecret)+"&"+grant))
	stranger.call(t, "GET", "/Users/"+user, "").want(t, 404)
	stranger.call(t, "GET", "/Users", "").want(t, 200).is(t, 0.0, "totalResults")

	issued := w.acme.events(t, core.ConnectionTokenIssued)
	if len(issued) != len(all) || len(w.other.events(t, core.ConnectionTokenIssued)) != 1 {
		t.Fatalf("%d told", len(issued))
	}
	for _, event := range issued {
		if event.Outcome != core.Success || event.Actor.ID != w.acme.connection.ID || event.Data["method"] == "" || len(event.Targets) != 3 || event.Origin.Address == "" {
			t.Errorf("event %+v", event)
		}
	}
	for _, h := range append(all, stranger) {
		if strings.Contains(w.acme.stored(t)+w.other.stored(t), h.token) {
			t.Error("a token was kept")
		}
	}
	must(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return w.Directory.RevokeConnectionClient(t.Context(), tx, w.acme.cause(), w.acme.workspace, w.acme.connection.ID, first.ID)
	}))
	dead := 0
	for _, h := range all {
		if h.call(t, "GET", "/Users", "").status == 401 {
			dead++
		}
	}
	if dead != 4 {
		t.Errorf("%d tokens died with their client, want 4", dead)
	}
	w.token(t, grant, "Authorization", basic(first.ClientID, secret)).wantCode(t, 401, "invalid_client")
	stranger.call(t, "GET", "/Users", "").want(t, 200)
}

func TestAccessTokensExpire(t *testing.T) {
	var lock sync.Mutex
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { lock.Lock(); defer lock.Unlock(); return now }
	w := open(t, directory.Entra)
	w.Service.Now, w.Directory.Now = clock, clock
	expires := now.Add(90 * time.Minute)
	client, secret := w.acme.client(t, &expires)
	ask := func() reply { return w.token(t, grant, "Authorization", basic(client.ClientID, secret)) }
	h := w.acme.access(t, ask())
	h.call(t, "GET", "/Users", "").want(t, 200)
	now = now.Add(time.Hour)
	h.call(t, "GET", "/Users", "").wantError(t, 401, "")
	ask().want(t, 200).is(t, 1800.0, "expires_in") // the client has half an hour left
	now = now.Add(30 * time.Minute)
	ask().wantCode(t, 401, "invalid_client")
}

func TestTheLifeOfAccessTokensIsBounded(t *testing.T) {
	for wanted, told := range map[time.Duration]float64{0: 3600, time.Minute: 3600, 2 * time.Hour: 7200, 24 * time.Hour: 21600} {
		w := open(t, directory.Entra)
		w.AccessTokenLife = wanted
		client, secret := w.acme.client(t, nil)
		w.token(t, grant, "Authorization", basic(client.ClientID, secret)).want(t, 200).is(t, told, "expires_in")
	}
}

func TestTokenRequestsAreRefused(t *testing.T) {
	w := open(t, directory.Entra)
	client, secret := w.acme.client(t, nil)
	theirs, theirSecret := w.other.client(t, nil)
	good := form("client_id", client.ClientID, "client_secret", secret)
	header := func(value string) []string { return []string{"Authorization", value} }
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
		code   string
	}{
		"nothing":                     {"", nil, 401, "invalid_client"},
		"no grant type":               {good, nil, 400, "invalid_request"},
		"empty grant type":            {good + "&grant_type=", nil, 400, "invalid_request"},
		"password grant":              {good + "&grant_type=password&username=a&password=b", nil, 400, "unsupported_grant_type"},
		"refresh token":               {good + "&grant_type=refresh_token", nil, 400, "unsupported_grant_type"},
		"a parameter twice":           {good + "&" + grant + "&" + grant, nil, 400, "invalid_request"},
		"client_id twice":             {good + "&client_id=x&" + grant, nil, 400, "invalid_request"},
		"JSON":                        {`{"grant_type":"client_credentials"}`, []string{"Content-Type", "application/json"}, 400, "invalid_request"},
		"no content type":             {good + "&" + grant, []string{"Content-Type", ""}, 400, "invalid_request"},
		"multipart":                   {good + "&" + grant, []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, "invalid_request"},
		"another charset":             {good + "&" + grant, []string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-16"}, 400, "invalid_request"},
		"compressed":                  {good + "&" + grant, []string{"Content-Encoding", "gzip"}, 400, "invalid_request"},
		"bad escape":                  {good + "&" + grant + "&x=%zz", nil, 400, "invalid_request"},
		"semicolons":                  {good + "&" + grant + ";x=1", nil, 400, "invalid_request"},
		"invalid UTF-8":               {good + "&" + grant + "&x=%ff", nil, 400, "invalid_request"},
		"zero character":              {form("client_id", client.ClientID+"\x00", "client_secret", secret) + "&" + grant, nil, 400, "invalid_request"},
		"too many parameters":         {good + "&" + grant + strings.Repeat("&a=1", 40), nil, 400, "invalid_request"},
		"too long":                    {good + "&" + grant + "&x=" + strings.Repeat("a", 64<<10), nil, 413, "invalid_request"},
		"two ways":                    {good + "&" + grant, header(basic(client.ClientID, secret)), 400, "invalid_request"},
		"two names":                   {grant + "&client_id=x", header(basic(client.ClientID, secret)), 400, "invalid_request"},
		"secret and assertion":        {good + "&" + grant + "&client_assertion=x", nil, 400, "invalid_request"},
		"Bearer":                      {grant, header("Bearer " + w.acme.token), 401, "invalid_client"},
		"Basic that is no base64":     {grant, header("Basic %%%"), 401, "invalid_client"},
		"Basic without a colon":       {grant, header("Basic " + base64.StdEncoding.EncodeToString([]byte(client.ClientID))), 401, "invalid_client"},
		"Basic with a bad escape":     {grant, header("Basic " + base64.StdEncoding.EncodeToString([]byte("%zz:x"))), 401, "invalid_client"},
		"Basic with a zero character": {grant, header(basic("a\x00", secret)), 401, "invalid_client"},
		"no secret":                   {grant + "&" + form("client_id", client.ClientID), nil, 401, "invalid_client"},
		"wrong secret":                {grant, header(basic(client.ClientID, secret+"x")), 401, "invalid_client"},
		"another's secret":            {grant, header(basic(client.ClientID, theirSecret)), 401, "invalid_client"},
		"another's name":              {grant, header(basic(theirs.ClientID, secret)), 401, "invalid_client"},
		"unknown client":              {grant, header(basic("pst_client_0", secret)), 401, "invalid_client"},
		"the connection's id":         {grant, header(basic(w.acme.connection.ID.String(), secret)), 401, "invalid_client"},
		"a static token as secret":    {grant, header(basic(client.ClientID, w.acme.token)), 401, "invalid_client"},
		"unknown assertion type":      {grant + "&client_assertion=x&client_assertion_type=saml", nil, 401, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			answered := w.token(t, test.body, test.header...).wantCode(t, test.status, test.code)
			for _, text := range []string{secret, theirSecret, w.acme.token} {
				if strings.Contains(answered.text, text) {
					t.Error("a secret is repeated")
				}
			}
		})
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/scim/oauth/token", strings.NewReader(grant))
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic(client.ClientID, secret), basic(client.ClientID, secret)}}
	w.post(t, request).wantCode(t, 400, "invalid_request")

	// One and the same answer, whether the client exists or not.
	wrong, unknown := w.token(t, grant, "Authorization", basic(client.ClientID, "x")), w.token(t, grant, "Authorization", basic("pst_client_0", "x"))
	if wrong.text != unknown.text {
		t.Errorf("told apart: %s %s", wrong.text, unknown.text)
	}
	if n := len(w.acme.events(t, core.ConnectionTokenIssued)); n < 3 || n > 5 {
		t.Errorf("%d failures told", n)
	}
	for _, event := range w.acme.events(t, core.ConnectionTokenIssued) {
		if event.Outcome != core.Failure || event.Reason == "" {
			t.Errorf("event %+v", event)
		}
	}
	w.acme.access(t, w.token(t, good+"&"+grant))
}

// A revocation and a client asking for tokens meanwhile: no token outlives the revocation.
func TestNoTokenIsIssuedPastARevocation(t *testing.T) {
	w := open(t, directory.Entra)
	client, secret := w.acme.client(t, nil)
	var all sync.WaitGroup
	var lock sync.Mutex
	var given []string
	for range 8 {
		all.Go(func() {
			for range 10 {
				r := w.token(t, grant, "Authorization", basic(client.ClientID, secret))
				if token, ok := r.body["access_token"].(string); ok {
					lock.Lock()
					given = append(given, token)
					lock.Unlock()
				}
			}
		})
	}
	must(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return w.Directory.RevokeConnectionClient(t.Context(), tx, w.acme.cause(), w.acme.workspace, w.acme.connection.ID, client.ID)
	}))
	all.Wait()
	for _, token := range given {
		if _, err := w.Directory.AuthenticateConnection(t.Context(), seal.NewSecret(token)); core.KindOf(err) != core.KindUnauthenticated {
			t.Fatalf("a token outlived its client: %v", err)
		}
	}
	w.acme.call(t, "GET", "/Users", "").want(t, 200) // the static one lives
}
