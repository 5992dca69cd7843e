package line

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/deploy/local"
	"postern/deploy/local/demo"
	"postern/deploy/local/visitor"
	"postern/oidc"
	"postern/oidc/devidp/push"
)

// stage is a running world with people in it. Whatever secret passes by on the way is noted, so
// that it can be looked for afterwards where none may be.
type stage struct {
	*world
	secrets *canaries
	owner   core.ID
}

// open starts postern, makes the owner and the sample app with its logins, and notes the secrets
// the world is made with.
func open(t *testing.T, options worldOptions, logins ...demo.Login) *stage {
	t.Helper()
	s := &stage{world: newWorld(t, options), secrets: &canaries{}}
	for _, name := range []string{"key", "audit-key", "hec", "idp-client-okta", "idp-client-entra"} {
		text, err := s.Folder.Secret(name, func() (seal.Secret, error) { return seal.Secret{}, fmt.Errorf("there is no secret %s", name) })
		if err != nil {
			t.Fatal(err)
		}
		s.secrets.plant("the secret "+name, strings.TrimSpace(text.Reveal()))
		if key, err := seal.ParseKey([]byte(text.Reveal())); err == nil {
			s.secrets.plant("the bytes of the secret "+name, key.Reveal())
		}
	}
	database, err := url.Parse(s.Database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := database.User.Password()
	s.secrets.plant("the database's password", password)
	s.secrets.plant("the API token", s.Stack.APIToken)
	for kind, address := range s.Stack.SCIM {
		s.secrets.plant("the SCIM token of "+kind, address.Token)
	}
	for _, login := range logins {
		s.secrets.plant("the first password of "+login.Username, login.Password)
	}
	s.serve()
	s.furnish(logins...)
	s.owner = s.user(t, "okta", local.OwnerName).ID
	s.guard(t, map[string]any{"enabled": false}) // more leave in an hour here than anywhere
	return s
}

// guard sets what may leave through Okta within an hour.
func (s *stage) guard(t *testing.T, guard map[string]any) {
	t.Helper()
	address := "/connections/" + s.connection(t, "okta").String() + "/provisioning"
	if err := s.API.Call(t.Context(), http.MethodPut, address, map[string]any{"guard": guard}, nil); err != nil {
		t.Fatal(err)
	}
}

// person is a user as the API tells of one.
type person struct {
	ID       core.ID `json:"id"`
	UserName string  `json:"user_name"`
	Active   bool    `json:"active"`
	Sessions int     `json:"sessions"`
}

// listed is a page of the API.
type listed[Item any] struct {
	Items []Item `json:"items"`
	Next  string `json:"next"`
}

// ask reads from the API as the owner of a token.
func ask[Answer any](t testing.TB, api demo.API, path string) Answer {
	t.Helper()
	var answer Answer
	if err := api.Call(t.Context(), http.MethodGet, path, nil, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// tell sends to the API.
func tell[Answer any](t testing.TB, api demo.API, path string, body any) Answer {
	t.Helper()
	var answer Answer
	if err := api.Call(t.Context(), http.MethodPost, path, body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func (s *stage) connection(t testing.TB, kind string) core.ID {
	t.Helper()
	for _, one := range ask[listed[struct {
		ID   core.ID `json:"id"`
		Kind string  `json:"kind"`
	}]](t, s.API, "/connections").Items {
		if one.Kind == kind {
			return one.ID
		}
	}
	t.Fatalf("there is no connection of kind %s", kind)
	return core.ID{}
}

func (s *stage) user(t testing.TB, kind, name string) person {
	t.Helper()
	query := url.Values{"connection": {s.connection(t, kind).String()}, "user_name": {name}}
	found := ask[listed[person]](t, s.API, "/users?"+query.Encode())
	if len(found.Items) != 1 {
		t.Fatalf("%d users are called %s", len(found.Items), name)
	}
	return found.Items[0]
}

// account finds a login of the sample app.
func (s *stage) account(t testing.TB, username string) demo.Account {
	t.Helper()
	for _, one := range ask[listed[demo.Account]](t, s.API, "/accounts?limit=500").Items {
		if one.AppName == demo.AppName && one.Username == username {
			return one
		}
	}
	t.Fatalf("there is no account %s", username)
	return demo.Account{}
}

func (s *stage) rotations(t testing.TB, account core.ID) []demo.Rotation {
	t.Helper()
	return ask[listed[demo.Rotation]](t, s.API, "/accounts/"+account.String()+"/rotations").Items
}

// entry is an event as the API lists it.
type entry struct {
	Sequence int64      `json:"sequence"`
	Hash     string     `json:"hash"`
	Event    core.Event `json:"event"`
}

// events lists a workspace's events, all of them that a query narrows to.
func events(t testing.TB, api demo.API, query url.Values) []entry {
	t.Helper()
	var all []entry
	asked := url.Values{"limit": {"1000"}}
	for name, values := range query {
		asked[name] = values
	}
	for {
		page := ask[listed[entry]](t, api, "/events?"+asked.Encode())
		if len(page.Items) == 0 {
			return all
		}
		all = append(all, page.Items...)
		asked.Set("cursor", page.Next)
	}
}

// idp is an identity provider's client at a connection. It notes the story each answer names, and
// the placeholder passwords Okta sends.
type idp struct {
	*push.Client
	mutex   sync.Mutex
	stories []string
	secrets *canaries
}

func (s *stage) idp(connection string, style push.Style) *idp {
	return s.listening(s.scim(connection, style))
}

func (s *stage) listening(client *push.Client) *idp {
	found := &idp{Client: client, secrets: s.secrets}
	client.HTTP = &http.Client{Timeout: time.Minute, Transport: found}
	return found
}

// RoundTrip implements http.RoundTripper.
func (i *idp) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		var sent struct {
			Password string `json:"password"`
		}
		if json.Unmarshal(body, &sent) == nil && sent.Password != "" {
			i.secrets.plant("the placeholder password of a SCIM user", sent.Password)
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		i.mutex.Lock()
		defer i.mutex.Unlock()
		i.stories = append(i.stories, answer.Header.Get("X-Correlation-Id"))
	}
	return answer, err
}

// story is the correlation id of the last answer.
func (i *idp) story(t testing.TB) core.ID {
	t.Helper()
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if len(i.stories) == 0 {
		t.Fatal("nothing was sent")
	}
	id, err := core.ParseID(i.stories[len(i.stories)-1])
	if err != nil {
		t.Fatalf("the answer names no story: %v", err)
	}
	return id
}

// answered checks that the identity provider was answered well, every time.
func answered(t testing.TB, result push.Result, err error) push.Result {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range result.Exchanges {
		if one.Status/100 != 2 {
			t.Fatalf("%s %s was answered %d: %s", one.Method, one.URL, one.Status, one.Response)
		}
	}
	return result
}

// guest is a person at Postern with a browser of their own.
type guest struct {
	*visitor.Visitor
	s      *stage
	name   string
	cookie string // of their session
	landed *visitor.Page
}

// enter has a person sign in through the IdP, and says where that ended; who may not in has no
// cookie afterwards.
func (s *stage) enter(t testing.TB, kind, userName string) *guest {
	t.Helper()
	g := &guest{Visitor: visitor.New(), s: s, name: userName}
	gateway, err := url.Parse(s.Stack.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	g.Watch = func(answer *http.Response) {
		if answer.Request.URL.Host == gateway.Host {
			for _, cookie := range answer.Cookies() {
				if cookie.Name == oidc.SessionCookie {
					g.cookie = cookie.Value
					s.secrets.plant("a session of "+userName, cookie.Value)
				}
			}
		}
		if target, err := answer.Location(); err == nil && target.Host == gateway.Host {
			s.secrets.plant("an authorization code for "+userName, target.Query().Get("code"))
		}
	}
	page, err := g.Get(t.Context(), s.Stack.SignIn[kind]+"?return_to=/")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range page.Forms {
		if form.Fields["username"] == userName && form.Fields["password"] != "" {
			if g.landed, err = g.Submit(t.Context(), page, form, nil); err != nil {
				t.Fatal(err)
			}
			return g
		}
	}
	t.Fatalf("the IdP's page does not offer %s (status %d)", userName, page.Status)
	return nil
}

// inside is enter for somebody who must be let in.
func (s *stage) inside(t testing.TB, kind, userName string) *guest {
	t.Helper()
	g := s.enter(t, kind, userName)
	if g.cookie == "" || g.landed.Status != http.StatusOK {
		t.Fatalf("%s was not let in: status %d at %s", userName, g.landed.Status, g.landed.URL.Path)
	}
	return g
}

// filled asks for an account's password to be typed into the app, as the console's script does.
func (g *guest) filled(t testing.TB, account core.ID) string {
	t.Helper()
	page, err := g.Post(t.Context(), g.s.Stack.Gateway+"/accounts/"+account.String()+"/fill", http.Header{"X-Postern-Console": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	var given struct {
		Password string `json:"password"`
	}
	if err := json.Unmarshal([]byte(page.Text), &given); err != nil || given.Password == "" {
		t.Fatalf("%s was given no password: status %d %s", g.name, page.Status, page.Text)
	}
	g.s.secrets.plant("a password given to "+g.name, given.Password)
	return given.Password
}

// with sends one request with the session's cookie as it was given, and follows no redirect.
func (g *guest) with(t testing.TB, method, path string, header map[string]string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.s.Stack.Gateway+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", oidc.SessionCookie+"="+g.cookie)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// alive reports whether the session still opens a page and still gives out a password. Anything but
// a clear yes or no ends the test.
func (g *guest) alive(t testing.TB, account core.ID) bool {
	t.Helper()
	page, _ := g.with(t, http.MethodGet, "/accounts/"+account.String(), map[string]string{"Accept": "text/html"})
	given, text := g.with(t, http.MethodPost, "/accounts/"+account.String()+"/fill", map[string]string{"X-Postern-Console": "1", "Sec-Fetch-Site": "same-origin"})
	switch {
	case page == http.StatusOK && given == http.StatusOK:
		return true
	case page == http.StatusSeeOther && given == http.StatusUnauthorized && !strings.Contains(text, `"password"`):
		return false
	}
	t.Fatalf("the session of %s opens the page with %d and is given a password with %d %s", g.name, page, given, text)
	return false
}
