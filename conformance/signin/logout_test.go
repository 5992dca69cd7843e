package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"postern/conformance/optest"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/rotation"
	"postern/core/signals"
	"postern/oidc"
	"postern/webhooks/keys"
)

// door is another gateway process over the same database: the one at which providers' logouts arrive.
func (w *world) door(connection directory.Connection) string {
	w.t.Helper()
	people := &directory.Directory{DB: w.db}
	shared := &accounts.Accounts{DB: w.db, Directory: people}
	rotations := &rotation.Rotations{DB: w.db, Accounts: shared}
	engine := gin.New()
	server := httptest.NewServer(engine)
	w.t.Cleanup(server.Close)
	outward := &http.Client{Timeout: 20 * time.Second}
	service := &oidc.Service{
		DB: w.db, Directory: people, HTTP: outward, Keys: &keys.Cache{HTTP: outward}, PublicURL: server.URL,
		Signals: &signals.Signals{
			DB: w.db, Directory: people, Accounts: shared, Rotations: rotations, PublicURL: server.URL,
			Lifecycle: &lifecycle.Lifecycle{DB: w.db, Directory: people, Accounts: shared, Rotations: rotations},
		},
	}
	service.Mount(engine)
	return server.URL + "/sso/" + connection.ID.String() + "/backchannel-logout"
}

// signedOut waits until a person is signed out, for as long as the test may.
func (w *world) signedOut(b *optest.Browser) bool {
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if w.signedInAs(b) == "" {
			return true
		}
	}
	return false
}

// received is how many logouts came through the back channel, and how many live sessions they ended.
func (w *world) received() (signals, sessions int) {
	w.t.Helper()
	check(w.t, w.db.QueryRow(w.t.Context(), `select count(*), coalesce(sum(sessions), 0) from signals where door = 'back_channel_logout' and sid <> ''`).
		Scan(&signals, &sessions))
	return signals, sessions
}

// logsOut: a person who signs out at a provider is signed out of Postern, at every process at once; a proof that is
// too old is renewed there.
func logsOut(t *testing.T, w *world, op provider, logOut func()) {
	t.Helper()
	b, other := optest.NewBrowser(t), optest.NewBrowser(t)
	for _, browser := range []*optest.Browser{b, other} {
		if done := browser.Get(op.signIn(browser, w.begin(browser, w.acme))); done.Status != http.StatusSeeOther || w.signedInAs(browser) == "" {
			t.Fatalf("sign-in: %d\n%s", done.Status, done.Body)
		}
	}
	stepsUp(t, w, op, b)
	signsOut(t, w, op)
	logOut()
	for _, browser := range []*optest.Browser{b, other} {
		if !w.signedOut(browser) {
			t.Error("the session lives on")
		}
	}
	if came, ended := w.received(); came < 2 || ended != 2 {
		t.Errorf("%d logouts came and ended %d sessions", came, ended)
	}
	fresh := optest.NewBrowser(t)
	if done := fresh.Get(op.signIn(fresh, w.begin(fresh, w.acme))); done.Status != http.StatusSeeOther || w.signedInAs(fresh) == "" {
		t.Errorf("a sign-in after it: %d\n%s", done.Status, done.Body)
	}
}

// signsOut: the provider takes its ID token back, ends its own session and sends the browser home, with nothing
// but a yes of the person. The others go on.
func signsOut(t *testing.T, w *world, op provider) {
	t.Helper()
	b := optest.NewBrowser(t)
	if b.Get(op.signIn(b, w.begin(b, w.acme))); w.signedInAs(b) == "" {
		t.Fatal("not signed in")
	}
	out := b.Post(w.url+"/sso/sign-out", url.Values{})
	asked, err := url.Parse(out.Location)
	if err != nil || asked.Query().Get("id_token_hint") == "" || asked.Query().Get("state") == "" {
		t.Fatalf("sign-out: %d to %q", out.Status, out.Location)
	}
	back := b.SignOut(out.Location)
	if back.Location != w.url+"/sso/signed-out?state="+asked.Query().Get("state") {
		t.Fatalf("the provider's sign-out: %d to %q\n%.2000s", back.Status, back.Location, back.Body)
	}
	if landed := b.Get(back.Location); !strings.Contains(landed.Body, "neither with Postern nor with your identity provider") || w.signedInAs(b) != "" {
		t.Errorf("%d\n%s", landed.Status, landed.Body)
	}
}

func stepsUp(t *testing.T, w *world, op provider, b *optest.Browser) {
	t.Helper()
	if _, err := w.db.Exec(t.Context(), `update sessions set authenticated = authenticated - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	begun := b.Get(w.url + oidc.StepUpPath + "?" + url.Values{"for": {"reveal"}, "return_to": {"/private"}}.Encode())
	if begun.Status != http.StatusSeeOther || begun.Location == w.url+"/private" {
		t.Fatalf("step-up: %d to %q", begun.Status, begun.Location)
	}
	if done := b.Get(op.signIn(b, begun.Location)); done.Location != w.url+"/private" || w.signedInAs(b) == "" {
		t.Fatalf("after the step-up: %d to %q\n%s", done.Status, done.Location, done.Body)
	}
	var stepped int
	check(t, w.db.QueryRow(t.Context(), `select count(*) from sessions where stepped_up is not null and ended is null and authenticated > now() - interval '15 minutes'`).Scan(&stepped))
	if stepped != 1 {
		t.Errorf("%d sessions were stepped up", stepped)
	}
	again := b.Get(w.url + oidc.StepUpPath + "?for=reveal&return_to=/private")
	if again.Location != w.url+"/private" {
		t.Errorf("asked again for a fresh proof: %q", again.Location)
	}
}

func TestLogoutAtKeycloak(t *testing.T) {
	w := open(t)
	realm := optest.StartKeycloak(t).Realm(t)
	ana := realm.AddPerson(optest.Person{UserName: "ana@acme.example", Password: "a", Email: "ana@acme.example", GivenName: "Ana", FamilyName: "Lima"})
	client := w.client(w.acme, false)
	client.BackChannelLogoutURI = w.door(w.acme)
	realm.AddClient(client)
	w.provision(w.acme, "ana", ana.ID)
	w.connect(&w.acme, realm.Issuer, directory.SignIn{Preset: directory.Keycloak})
	logsOut(t, w, keycloak{realm, ana}, func() { realm.LogOut(ana.ID) })
}

func TestLogoutAtCertified(t *testing.T) {
	w := open(t)
	client := w.client(w.acme, false)
	client.BackChannelLogoutURI = w.door(w.acme)
	w.provision(w.acme, "ana@acme.example", "17")
	op := certified{optest.StartCertified(t, optest.CertifiedOptions{Clients: []optest.Client{client}})}
	w.connect(&w.acme, op.Issuer, directory.SignIn{})
	logsOut(t, w, op, func() { op.LogOut(t, "ana@acme.example") })
}
