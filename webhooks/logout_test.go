package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/conformance/signals/vectors"
	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
)

// vector is one request and what must come of it, and what follows it.
type vector struct {
	Name        string                  `json:"name"`
	Description string                  `json:"description"`
	At          string                  `json:"at"`     // whose door: other (connection), theirs (workspace), none; default: the right one
	Quirks      []directory.LogoutQuirk `json:"quirks"` // that the connection allows
	Query       string                  `json:"query"`
	tokenSpec
	ContentType *string `json:"content_type"`
	Body        string  `json:"body"`
	Expect      struct {
		Status int      `json:"status"`
		Error  string   `json:"error"`
		Stage  string   `json:"stage"` // the check that fails
		Ends   []string `json:"ends"`  // whose sessions end; everybody else's live on
	} `json:"expect"`
	Then []vector `json:"then"`
}

func TestVectors(t *testing.T) {
	var all []vector
	decoder := json.NewDecoder(bytes.NewReader(vectors.UniversalLogout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 130 {
		t.Fatalf("only %d vectors", len(all))
	}
	w := newWorld(t)
	for _, one := range all {
		t.Run(one.Name, func(t *testing.T) {
			w.token = ""
			w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
				return w.Directory.AllowLogoutQuirks(ctx, tx, core.NewCause(core.System, time.Now()), w.acme.ID, w.okta.ID, one.Quirks)
			})
			w.play(t, one)
			for _, next := range one.Then {
				w.play(t, next)
			}
		})
	}
}

func (w *world) play(t *testing.T, one vector) {
	t.Helper()
	w.signIn(t)
	w.ahead += 11 * time.Second // events of refusals are limited to one in ten seconds
	connection := map[string]core.ID{"": w.okta.ID, "other": w.other.ID, "theirs": w.theirs.ID, "none": core.NewID()}[one.At]
	workspace := w.acme.ID
	if one.At == "theirs" {
		workspace = w.globex.ID
	}
	accepted, refused := len(w.events(t, workspace, core.SignalAccepted)), len(w.events(t, workspace, core.SignalRefused))
	switch {
	case one.Authorization != nil:
		w.token = strings.TrimPrefix(*one.Authorization, "Bearer ")
	case !one.Same:
		w.token = w.mint(t, one.tokenSpec)
	}
	contentType := "application/json"
	if one.ContentType != nil {
		contentType = *one.ContentType
	}
	answer, text := w.send(t, connection, one.Query, contentType, w.token, w.expand(one.Body))
	want := one.Expect
	if answer.StatusCode != want.Status {
		t.Fatalf("%d %s, want %d", answer.StatusCode, text, want.Status)
	}
	if _, err := core.ParseID(answer.Header.Get("X-Correlation-Id")); err != nil || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", answer.Header)
	}
	var got struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if want.Status == 204 {
		if text != "" {
			t.Errorf("a body with 204: %s", text)
		}
	} else if err := json.Unmarshal([]byte(text), &got); err != nil || got.Error != want.Error || got.Description == "" {
		t.Errorf("%s, %v; want error %q", text, err, want.Error)
	}
	if challenge := answer.Header.Get("WWW-Authenticate"); (want.Status == 401) != strings.HasPrefix(challenge, "Bearer ") {
		t.Errorf("%d with WWW-Authenticate %q", want.Status, challenge)
	}
	for key := range w.people {
		if ends := slices.Contains(want.Ends, key); w.signedIn(t, key) == ends {
			t.Errorf("session of %s alive: %v", key, !ends)
		}
	}
	// Nobody is an outcome: it has its receipt. A replay is told of no more.
	outcomes := min(1, len(want.Ends))
	if want.Status == 404 && !one.Same {
		outcomes = 1
	}
	if got := len(w.events(t, workspace, core.SignalAccepted)) - accepted; got != outcomes {
		t.Errorf("%d signals accepted, want %d", got, outcomes)
	}
	told := w.events(t, workspace, core.SignalRefused)[refused:]
	switch {
	case want.Status == 204, want.Status == 404, one.At == "none", one.Same && want.Stage != "replayed":
		if len(told) != 0 {
			t.Errorf("told %v", told)
		}
	case len(told) != 1:
		t.Errorf("%d refusals told", len(told))
	case want.Stage != "" && told[0].Data["code"] != want.Stage:
		t.Errorf("refused by %q, want %q", told[0].Data["code"], want.Stage)
	case told[0].Outcome != core.Failure || told[0].Reason == "":
		t.Errorf("told %+v", told[0])
	}
}

// TestLogoutHasItsWholeEffect looks behind the 204: sessions, epoch, rotations and events, under one
// correlation.
func TestLogoutHasItsWholeEffect(t *testing.T) {
	w := newWorld(t)
	w.signIn(t)
	ana := w.people["ana"]
	var account accounts.Account
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		app, err := w.Accounts.CreateApp(ctx, tx, cause, w.acme.ID, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/login", Connector: "browser",
		})
		if err != nil {
			return err
		}
		account, err = w.Accounts.CreateAccount(ctx, tx, cause, w.acme.ID, accounts.NewAccount{
			App: app.ID, Username: "team", Password: seal.NewSecret("canary-password"), Owner: ana.ID,
		})
		return err
	})
	answer, text := w.send(t, w.okta.ID, "", "application/json", w.mint(t, tokenSpec{}), emailBody("ana.ito@example.com"))
	if answer.StatusCode != 204 {
		t.Fatal(answer.StatusCode, text)
	}
	accepted := w.events(t, w.acme.ID, core.SignalAccepted)
	loggedOut := w.events(t, w.acme.ID, core.UserLoggedOut)
	ended := w.events(t, w.acme.ID, core.SessionEnded)
	planned := w.events(t, w.acme.ID, core.RotationPlanned)
	if len(accepted) != 1 || len(loggedOut) != 1 || len(ended) != 1 || len(planned) != 1 {
		t.Fatalf("events: %d %d %d %d", len(accepted), len(loggedOut), len(ended), len(planned))
	}
	for _, event := range []core.Event{loggedOut[0], ended[0], planned[0]} {
		if event.Correlation != accepted[0].Correlation || event.Actor != w.okta.Actor() {
			t.Errorf("%s: correlation %v, actor %v", event.Type, event.Correlation, event.Actor)
		}
	}
	if diff := cmp.Diff([]core.Target{ana.Target(), {Kind: "connection", ID: w.okta.ID, Name: "Okta"}}, accepted[0].Targets); diff != "" {
		t.Error(diff)
	}
	rotations := &rotation.Rotations{DB: w.DB}
	found, err := rotations.List(t.Context(), w.DB, w.acme.ID, account.ID, 10)
	if err != nil || len(found) != 1 || found[0].Reason != rotation.ReasonLogout {
		t.Errorf("rotations: %+v, %v", found, err)
	}
}

// TestASignalIsOneTransaction lets the logout of the second of two people fail: nothing is done, and
// nothing is told of a signal that had no effect. The same request comes again and does it all.
func TestASignalIsOneTransaction(t *testing.T) {
	w := newWorld(t)
	w.signIn(t)
	for _, statement := range []string{
		`create function fail() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`,
		`create trigger fail before update of epoch on users for each row when (old.user_name = 'bea') execute function fail()`,
	} {
		if _, err := w.DB.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	token := w.mint(t, tokenSpec{})
	answer, text := w.send(t, w.okta.ID, "", "application/json", token, emailBody("shared@example.com"))
	if answer.StatusCode != 500 || !w.signedIn(t, "ben") || !w.signedIn(t, "bea") {
		t.Errorf("%d %s, ben signed in %v, bea signed in %v", answer.StatusCode, text, w.signedIn(t, "ben"), w.signedIn(t, "bea"))
	}
	if accepted, out := len(w.events(t, w.acme.ID, core.SignalAccepted)), len(w.events(t, w.acme.ID, core.UserLoggedOut)); accepted+out != 0 {
		t.Errorf("%d signals accepted, %d people logged out", accepted, out)
	}
	if _, err := w.DB.Exec(t.Context(), `drop trigger fail on users`); err != nil {
		t.Fatal(err)
	}
	answer, text = w.send(t, w.okta.ID, "", "application/json", token, emailBody("shared@example.com"))
	if answer.StatusCode != 204 || w.signedIn(t, "ben") || w.signedIn(t, "bea") || !w.signedIn(t, "ana") {
		t.Errorf("%d %s, ben signed in %v, bea signed in %v", answer.StatusCode, text, w.signedIn(t, "ben"), w.signedIn(t, "bea"))
	}
	if accepted, out := len(w.events(t, w.acme.ID, core.SignalAccepted)), len(w.events(t, w.acme.ID, core.UserLoggedOut)); accepted != 1 || out != 2 {
		t.Errorf("%d signals accepted, %d people logged out", accepted, out)
	}
}

// TestSameTokenAtOnce sends one request many times in parallel: one effect, one answer.
func TestSameTokenAtOnce(t *testing.T) {
	w := newWorld(t)
	w.signIn(t)
	token := w.mint(t, tokenSpec{})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if answer, text := w.send(t, w.okta.ID, "", "application/json", token, emailBody("ana.ito@example.com")); answer.StatusCode != 204 {
				t.Errorf("%d %s", answer.StatusCode, text)
			}
		})
	}
	wait.Wait()
	for _, kind := range []core.EventType{core.SignalAccepted, core.UserLoggedOut} {
		if told := len(w.events(t, w.acme.ID, kind)); told != 1 {
			t.Errorf("%s is told %d times", kind, told)
		}
	}
}

// TestForgedKeyIDsCostNothing counts what a stranger can make us do: fetches and events.
func TestForgedKeyIDsCostNothing(t *testing.T) {
	w := newWorld(t)
	for number := range 25 {
		answer, text := w.send(t, w.okta.ID, "", "application/json",
			w.mint(t, tokenSpec{Signing: "other-key", Header: map[string]any{"kid": fmt.Sprint("forged-", number)}}), emailBody("ana.ito@example.com"))
		if answer.StatusCode != 401 {
			t.Fatal(answer.StatusCode, text)
		}
	}
	if fetches := w.idp.fetches.Load(); fetches != 1 {
		t.Errorf("%d fetches", fetches)
	}
	if told := w.events(t, w.acme.ID, core.SignalRefused); len(told) != 5 {
		t.Errorf("%d events", len(told))
	}
	w.ahead = 11 * time.Second
	w.send(t, w.okta.ID, "", "application/json", "forged", "")
	told := w.events(t, w.acme.ID, core.SignalRefused)
	if len(told) != 6 || told[5].Data["suppressed"] != "20" {
		t.Errorf("the suppressed ones are not told: %+v", told[len(told)-1])
	}
	// And the one who is right is served all the same.
	w.signIn(t)
	if answer, text := w.send(t, w.okta.ID, "", "application/json", w.mint(t, tokenSpec{}), emailBody("ana.ito@example.com")); answer.StatusCode != 204 {
		t.Error(answer.StatusCode, text)
	}
}

// TestIdentityProviderDown: a token nobody can judge is neither accepted nor refused.
func TestIdentityProviderDown(t *testing.T) {
	w := newWorld(t)
	w.signIn(t)
	token := w.mint(t, tokenSpec{})
	w.idp.Close()
	answer, text := w.send(t, w.okta.ID, "", "application/json", token, emailBody("ana.ito@example.com"))
	if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || !strings.Contains(text, "temporarily_unavailable") {
		t.Errorf("%d %q %s", answer.StatusCode, answer.Header.Get("Retry-After"), text)
	}
	if told := len(w.events(t, w.acme.ID, core.SignalRefused)); told != 0 || !w.signedIn(t, "ana") {
		t.Errorf("%d refusals, signed in %v", told, w.signedIn(t, "ana"))
	}
}

// TestDatabaseDown stops PostgreSQL under a request: 503, and the very same request works later.
func TestDatabaseDown(t *testing.T) {
	server := postgrestest.Server(t, nil)
	db := postgrestest.Database(t, server, "postern", jobs.Migrate)
	w := newWorldOn(t, db)
	w.signIn(t)
	token := w.mint(t, tokenSpec{})
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	answer, text := w.send(t, w.okta.ID, "", "application/json", token, emailBody("ana.ito@example.com"))
	if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%d %q %s", answer.StatusCode, answer.Header.Get("Retry-After"), text)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Reset() // connections the old server closed
	if !w.signedIn(t, "ana") {
		t.Fatal("signed out by a request that failed")
	}
	answer, text = w.send(t, w.okta.ID, "", "application/json", token, emailBody("ana.ito@example.com"))
	if answer.StatusCode != 204 || w.signedIn(t, "ana") {
		t.Errorf("%d %s, signed in %v", answer.StatusCode, text, w.signedIn(t, "ana"))
	}
}

func emailBody(address string) string {
	return `{"sub_id":{"format":"email","email":"` + address + `"}}`
}
