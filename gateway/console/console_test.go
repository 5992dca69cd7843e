package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
)

func TestEachPageForEachReader(t *testing.T) {
	w := newWorld(t)
	w.sequence(t)
	wiki, mail, theirs := "/accounts/"+w.wiki.ID.String(), "/accounts/"+w.mail.ID.String(), "/accounts/"+w.theirs.ID.String()
	for _, test := range []struct {
		who, path string
		status    int
		has, not  []string
	}{
		{"zoe", "/", 200, []string{"team-wiki", "press@acme.example", "Acme", "Zoe Adler"}, []string{"globex-wiki"}},
		{"zoe", "/?show=mine", 200, []string{"press@acme.example"}, []string{"team-wiki"}},
		{"ana", "/", 200, []string{"team-wiki"}, []string{"press@acme.example", "globex-wiki", "/users\""}},
		{"eve", "/", 200, []string{"No account is shared with you"}, []string{"team-wiki"}},
		{"ana", wiki, 200, []string{"Rotate now", "Reveal", "Who saw the password", "Ben &lt;b&gt;Okoye&lt;/b&gt;"}, []string{"<b>Okoye", canary}},
		{"ben", wiki, 200, []string{"team-wiki", ">Use<"}, []string{"Rotate now", "Reveal", "Who saw the password", canary}},
		{"zoe", wiki, 200, []string{"Rotate now"}, []string{"/reveal", canary}},
		{"eve", wiki, 404, []string{"not shared with you"}, []string{"team-wiki"}},
		{"ana", mail, 404, nil, []string{"press@"}},
		{"zoe", theirs, 404, nil, []string{"globex-wiki"}},
		{"gus", wiki, 404, nil, []string{"team-wiki"}},
		{"zoe", "/accounts/nonsense", 404, nil, nil},
		{"zoe", "/users", 200, []string{"Ana Ito", "Okta", "Ben &lt;b&gt;Okoye"}, []string{"Gus"}},
		{"zoe", "/users?q=ANA@acme.example", 200, []string{"Ana Ito"}, []string{"Eve"}},
		{"ana", "/users", 403, nil, []string{"Eve"}},
		{"zoe", "/activity", 200, []string{"provisioned", "Ana Ito", "account.created", "data-stream"}, []string{"Gus", "globex"}},
		{"ana", "/activity", 200, []string{"Ana Ito"}, []string{"Zoe Adler"}}, // that Eve was refused Ana's account is Ana's to know
		{"ana", "/activity?target=" + w.wiki.ID.String(), 200, []string{"account.shared"}, nil},
		{"ben", "/activity?target=" + w.wiki.ID.String(), 403, nil, []string{"account.shared"}},
		{"zoe", "/activity?target=nonsense", 400, nil, nil},
		{"zoe", "/activity?before=1", 200, nil, []string{"data-stream"}},
		{"", "/sign-in", 200, []string{"/sso"}, nil},
		{"zoe", "/sign-in", 303, nil, nil},
		{"", "/", 303, nil, nil},
	} {
		answer, body := w.ask(t, test.who, http.MethodGet, test.path, nil)
		if answer.StatusCode != test.status {
			t.Errorf("%s %s: %d, want %d", test.who, test.path, answer.StatusCode, test.status)
		}
		for _, text := range test.has {
			if !strings.Contains(body, text) {
				t.Errorf("%s %s lacks %q", test.who, test.path, text)
			}
		}
		for _, text := range test.not {
			if strings.Contains(body, text) {
				t.Errorf("%s %s shows %q", test.who, test.path, text)
			}
		}
		policy := answer.Header.Get("Content-Security-Policy")
		if test.status == 200 && (strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'nonce-") || answer.Header.Get("Cache-Control") != "no-store") {
			t.Errorf("%s %s: policy %q, cache %q", test.who, test.path, policy, answer.Header.Get("Cache-Control"))
		}
		for _, inline := range []string{" style=", " onclick=", "javascript:", "<style"} {
			if strings.Contains(body, inline) {
				t.Errorf("%s has %q, which the policy forbids", test.path, inline)
			}
		}
	}
}

func TestPasswordsAreHandedOutOnRecord(t *testing.T) {
	w := newWorld(t)
	path := "/accounts/" + w.wiki.ID.String()
	script := []string{"X-Postern-Console", "1", "Accept", "application/json"}
	for _, test := range []struct {
		name, who, path string
		headers         []string
		status          int
	}{
		{"a collaborator uses", "ben", path + "/fill", script, 200},
		{"a collaborator does not see", "ben", path + "/reveal", script, 403},
		{"an owner sees", "ana", path + "/reveal", script, 200},
		{"somebody else", "eve", path + "/fill", script, 403},
		{"an administrator without a grant", "zoe", path + "/fill", script, 403},
		{"another workspace", "gus", path + "/fill", script, 403},
		{"nobody", "", path + "/fill", script, 401},
		{"a form", "ben", path + "/fill", nil, 403},
		{"another site's page", "ben", path + "/fill", append([]string{"Sec-Fetch-Site", "cross-site"}, script...), 403},
	} {
		before := w.exposures(t)
		answer, body := w.ask(t, test.who, http.MethodPost, test.path, nil, test.headers...)
		if answer.StatusCode != test.status {
			t.Errorf("%s: %d %s", test.name, answer.StatusCode, body)
		}
		if given := strings.Contains(body, canary); given != (test.status == 200) {
			t.Errorf("%s: password given: %v", test.name, given)
		}
		want := before
		if test.status == 200 {
			want++
			var got struct{ Username, Password string }
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Username != "team-wiki" || got.Password != canary {
				t.Errorf("%s: %s, %v", test.name, body, err)
			}
			if answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: may be stored", test.name)
			}
		}
		if got := w.exposures(t); got != want {
			t.Errorf("%s: %d exposures, want %d", test.name, got, want)
		}
	}
	if _, body := w.ask(t, "ana", http.MethodGet, path, nil); !strings.Contains(body, "used it · version 1") || !strings.Contains(body, "saw it · version 1") || strings.Contains(body, canary) {
		t.Error("the page does not tell who saw the password, or tells the password")
	}
}

func (w *world) exposures(t *testing.T) int {
	t.Helper()
	found, err := w.accounts.Exposures(t.Context(), w.db, w.acme.ID, w.wiki.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestActions(t *testing.T) {
	w := newWorld(t)
	path := "/accounts/" + w.wiki.ID.String()
	for _, test := range []struct {
		name, who, path string
		form            url.Values
		status          int
		has             string
	}{
		{"an owner rotates", "ana", "/rotate", nil, 303, ""},
		{"an administrator has it checked", "zoe", "/check", nil, 303, ""},
		{"a collaborator does not", "ben", "/rotate", nil, 403, "Only an owner"},
		{"somebody else", "eve", "/rotate", nil, 404, "not shared with you"},
		{"another workspace", "gus", "/rotate", nil, 404, ""},
		{"share with a user", "ana", "/share", url.Values{"subject": {"EVE@acme.example"}, "role": {"collaborator"}, "days": {"7"}}, 303, ""},
		{"share with nobody", "ana", "/share", url.Values{"subject": {"nobody"}, "role": {"collaborator"}}, 400, "There is no user or team named"},
		{"share with another workspace's user", "ana", "/share", url.Values{"subject": {"gus@globex.example"}, "role": {"collaborator"}}, 400, "There is no user or team named"},
		{"share as a king", "ana", "/share", url.Values{"subject": {"eve@acme.example"}, "role": {"king"}}, 400, "banner bad"},
		{"share for three days", "ana", "/share", url.Values{"subject": {"eve@acme.example"}, "role": {"owner"}, "days": {"3"}}, 400, "1, 7 or 30"},
		{"a collaborator shares", "ben", "/share", url.Values{"subject": {"eve@acme.example"}, "role": {"owner"}}, 403, ""},
		{"unshare nothing", "ana", "/unshare", url.Values{"grant": {core.NewID().String()}}, 404, "banner bad"},
	} {
		form := test.form
		if form == nil {
			form = url.Values{}
		}
		answer, body := w.ask(t, test.who, http.MethodPost, path+test.path, form)
		if answer.StatusCode != test.status || !strings.Contains(body, test.has) {
			t.Errorf("%s: %d, %v", test.name, answer.StatusCode, strings.Contains(body, test.has))
		}
	}
	if answer, _ := w.ask(t, "ana", http.MethodPost, path+"/rotate", url.Values{}, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
		t.Errorf("another site's form: %d", answer.StatusCode)
	}
	grants, err := w.accounts.Grants(t.Context(), w.db, w.acme.ID, w.wiki.ID)
	if err != nil || len(grants) != 3 {
		t.Fatalf("%+v, %v", grants, err)
	}
	for _, grant := range grants {
		if grant.User == w.people["eve"].ID {
			if grant.Expires == nil || time.Until(*grant.Expires) > 7*24*time.Hour {
				t.Errorf("expires %v", grant.Expires)
			}
			if answer, _ := w.ask(t, "ana", http.MethodPost, path+"/unshare", url.Values{"grant": {grant.ID.String()}}); answer.StatusCode != 303 {
				t.Errorf("unshare: %d", answer.StatusCode)
			}
		}
	}
	if answer, _ := w.ask(t, "eve", http.MethodGet, path, nil); answer.StatusCode != 404 {
		t.Errorf("still shown after unsharing: %d", answer.StatusCode)
	}
	if found, err := w.rotations.List(t.Context(), w.db, w.acme.ID, w.wiki.ID, 10); err != nil || len(found) != 1 {
		t.Errorf("%d rotations, %v", len(found), err)
	}
}

// listen opens a stream as somebody, and gives what comes up to a text.
func (w *world) listen(t testing.TB, who, path string) func(text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", w.cookies[who])
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	stream := bufio.NewReader(answer.Body)
	return func(text string) string {
		t.Helper()
		var all strings.Builder
		for {
			line, err := stream.ReadString('\n')
			all.WriteString(line)
			if err != nil {
				t.Fatalf("%s ended before %q: %s", path, text, all.String())
			}
			if strings.Contains(line, text) {
				return all.String()
			}
		}
	}
}

func TestStreamTellsEventsAsTheyHappen(t *testing.T) {
	w := newWorld(t)
	w.sequence(t)
	open := func(who string) (*http.Response, *bufio.Reader) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/activity/stream?after=999999", nil)
		if err != nil {
			t.Fatal(err)
		}
		// What the header says wins: a browser that comes back.
		request.Header.Set("Last-Event-ID", "4")
		request.Header.Set("Cookie", w.cookies[who])
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer, bufio.NewReader(answer.Body)
	}
	answer, stream := open("zoe")
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatal(answer.StatusCode, kind)
	}
	until := func(text string) string {
		var all strings.Builder
		for {
			line, err := stream.ReadString('\n')
			all.WriteString(line)
			if err != nil || text != "" && strings.Contains(line, text) {
				return all.String()
			}
		}
	}
	if got := until("account.shared"); !strings.Contains(got, "id: 5\n") || strings.Contains(got, "id: 4\n") || strings.Contains(got, "Globex") {
		t.Errorf("backlog: %s", got)
	}
	if answer, _ := w.ask(t, "ben", http.MethodPost, "/accounts/"+w.wiki.ID.String()+"/fill", nil, "X-Postern-Console", "1"); answer.StatusCode != 200 {
		t.Fatal(answer.StatusCode)
	}
	if got := until("account.password_filled"); !strings.Contains(got, "Ben &lt;b&gt;Okoye") {
		t.Errorf("live: %s", got)
	}
	// A logout ends the stream: the reader may see nothing more.
	if _, err := w.signals.LogOut(t.Context(), core.NewCause(core.System, time.Now()), w.acme.ID, w.people["zoe"].ID); err != nil {
		t.Fatal(err)
	}
	until("")
	// So does the end of the process.
	_, stream = open("eve")
	until("retry")
	w.console.Close()
	until("")
}

// TestStreamEndsWithTheRightToIt: who is no administrator any more, or owns the account no more, is
// not told on.
func TestStreamEndsWithTheRightToIt(t *testing.T) {
	partstest.Long(t, "a stream asks anew every ten seconds")
	w := newWorld(t)
	ctx := t.Context()
	system := core.NewCause(core.System, time.Now())
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Share(ctx, tx, system, w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{User: w.people["zoe"].ID}, Role: accounts.Owner})
		return err
	})
	for _, reader := range []struct {
		who, query string
		lose       func()
	}{
		{"zoe", "", func() {
			for _, change := range []struct {
				who  string
				role directory.Role
			}{{"eve", directory.RoleOwner}, {"zoe", directory.RoleUser}} {
				_, err := w.lifecycle.Change(ctx, system, w.acme.ID, w.people[change.who].ID, func(u *directory.User) error { u.Role = change.role; return nil })
				if err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"ana", "?target=" + w.wiki.ID.String(), func() {
			w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
				_, err := w.accounts.Share(ctx, tx, system, w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{User: w.people["ana"].ID}, Role: accounts.Collaborator})
				return err
			})
		}},
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/activity/stream"+reader.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", w.cookies[reader.who])
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != 200 {
			t.Fatalf("%s: %d", reader.who, answer.StatusCode)
		}
		reader.lose()
		ended := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, answer.Body)
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Errorf("%s is still told", reader.who)
		}
		_ = answer.Body.Close()
	}
}

// TestAnOpenPageIsNoActivity: what a page asks by itself does not keep a session from falling idle.
func TestAnOpenPageIsNoActivity(t *testing.T) {
	w := newWorld(t)
	long := time.Now().Add(-20 * time.Minute).Truncate(time.Microsecond)
	seen := func() time.Time {
		t.Helper()
		sessions, err := w.directory.Sessions(t.Context(), w.db, w.acme.ID, w.people["ana"].ID)
		if err != nil || len(sessions) != 1 {
			t.Fatal(sessions, err)
		}
		return sessions[0].LastSeen
	}
	if _, err := w.db.Exec(t.Context(), `update sessions set last_seen = $1`, long); err != nil {
		t.Fatal(err)
	}
	if answer, _ := w.ask(t, "ana", http.MethodGet, "/accounts/"+w.wiki.ID.String(), nil, "X-Postern-Background", "1"); answer.StatusCode != 200 || !seen().Equal(long) {
		t.Errorf("%d, a page that looks again counts as activity: %v", answer.StatusCode, seen())
	}
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/activity/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", w.cookies["ana"])
	request.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = answer.Body.Close()
	if answer.StatusCode != 200 || !seen().Equal(long) {
		t.Errorf("%d, a stream counts as activity: %v", answer.StatusCode, seen())
	}
	if answer, _ := w.ask(t, "ana", http.MethodGet, "/", nil); answer.StatusCode != 200 || !seen().After(long) {
		t.Errorf("%d, a person does not count: %v", answer.StatusCode, seen())
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t)
	var last int
	for range 7 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/activity/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", w.cookies["eve"])
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		last = answer.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the seventh stream of one person: %d", last)
	}
}

func TestAssetsAreKeptForEver(t *testing.T) {
	w := newWorld(t)
	_, body := w.ask(t, "", http.MethodGet, "/sign-in", nil)
	_, after, _ := strings.Cut(body, `<link rel="stylesheet" href="`)
	address, _, _ := strings.Cut(after, `"`)
	answer, style := w.ask(t, "", http.MethodGet, address, nil)
	if answer.StatusCode != 200 || !strings.Contains(answer.Header.Get("Cache-Control"), "immutable") || !strings.Contains(style, "prefers-color-scheme: dark") {
		t.Errorf("%s: %d %q", address, answer.StatusCode, answer.Header.Get("Cache-Control"))
	}
	if answer, _ := w.ask(t, "", http.MethodGet, "/console/style.css", nil); answer.StatusCode != 404 {
		t.Errorf("an address without its content's name: %d", answer.StatusCode)
	}
}
