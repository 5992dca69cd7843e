package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/core/directory"
)

func (w *world) sessionsOf(t *testing.T, who string) []directory.Session {
	t.Helper()
	found, err := w.directory.Sessions(t.Context(), w.db, w.people[who].Workspace, w.people[who].ID)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPeopleSeeAndEndTheirSessions(t *testing.T) {
	w := newWorld(t)
	form := url.Values{}
	elsewhere := w.cookies["ana"]
	w.signIn(t, "ana")
	w.signIn(t, "ana")
	w.expect(t, "ana", "/sessions", 200, []string{"Your sessions", "This one", "Okta", "End all others"}, []string{"Eve"})
	_, text := w.ask(t, "ana", http.MethodGet, "/sessions", nil, "Accept", "application/json")
	var listed struct {
		Items []struct {
			ID   string `json:"id"`
			This bool   `json:"this"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(text), &listed); err != nil || len(listed.Items) != 3 || !listed.Items[0].This {
		t.Fatalf("%s, %v", text, err)
	}
	eves := w.sessionsOf(t, "eve")[0].ID.String()
	if answer, _ := w.ask(t, "ana", http.MethodPost, "/sessions/"+eves+"/end", form); answer.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's session: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "ana", http.MethodPost, "/sessions/"+listed.Items[1].ID+"/end", form); answer.StatusCode != http.StatusSeeOther || len(w.sessionsOf(t, "ana")) != 2 {
		t.Errorf("one of her own: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "ana", http.MethodPost, "/sessions/end-others", form); answer.StatusCode != http.StatusSeeOther || len(w.sessionsOf(t, "ana")) != 1 {
		t.Errorf("all others: %d", answer.StatusCode)
	}
	w.expect(t, "ana", "/sessions", 200, []string{"This one"}, []string{"End all others"})
	w.cookies["ana elsewhere"] = elsewhere
	if answer, _ := w.ask(t, "ana elsewhere", http.MethodGet, "/", nil); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("an ended session: %d", answer.StatusCode)
	}
	if len(w.sessionsOf(t, "eve")) != 1 {
		t.Error("somebody else's session ended")
	}
}

func TestAdministratorsEndSessionsOfOthers(t *testing.T) {
	w := newWorld(t)
	form, page := url.Values{}, "/users/"+w.people["ana"].ID.String()
	w.signIn(t, "ana")
	w.expect(t, "zoe", page, 200, []string{"Where they are signed in", page + "/sessions/end"}, nil)
	one := page + "/sessions/" + w.sessionsOf(t, "ana")[0].ID.String() + "/end"
	for who, status := range map[string]int{"eve": 403, "gus": 404} {
		if answer, _ := w.ask(t, who, http.MethodPost, one, form); answer.StatusCode != status || len(w.sessionsOf(t, "ana")) != 2 {
			t.Errorf("%s: %d", who, answer.StatusCode)
		}
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, one, form); answer.StatusCode != http.StatusSeeOther || len(w.sessionsOf(t, "ana")) != 1 {
		t.Errorf("one: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, page+"/sessions/end", form); answer.StatusCode != http.StatusSeeOther || len(w.sessionsOf(t, "ana")) != 0 {
		t.Errorf("all: %d", answer.StatusCode)
	}
}

// A proof that is too old leads through the identity provider, and back to where the action is offered
// again; nothing happens meanwhile.
func TestWhatMattersNeedsARecentProof(t *testing.T) {
	w := newWorld(t)
	form := url.Values{}
	if _, err := w.db.Exec(t.Context(), `update sessions set authenticated = authenticated - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	person, wiki := "/users/"+w.people["eve"].ID.String(), "/accounts/"+w.wiki.ID.String()
	for path, back := range map[string]string{
		person + "/deprovision":  person + "?deprovision=1",
		person + "/sessions/end": person,
		"/settings/sessions":     "/settings/sessions",
	} {
		answer, _ := w.ask(t, "zoe", http.MethodPost, path, form)
		want := "/sso/step-up?" + url.Values{"for": {"admin"}, "return_to": {back}}.Encode()
		if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", path, answer.StatusCode, answer.Header.Get("Location"), want)
		}
	}
	if len(w.sessionsOf(t, "eve")) != 1 {
		t.Error("it was done all the same")
	}
	answer, body := w.ask(t, "ana", http.MethodPost, wiki+"/reveal", form, "X-Postern-Console", "1", "Accept", "application/json", "Sec-Fetch-Mode", "cors")
	if challenge := answer.Header.Get("WWW-Authenticate"); answer.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "insufficient_user_authentication") {
		t.Errorf("reveal: %d %q", answer.StatusCode, challenge)
	}
	if !strings.Contains(body, "/sso/step-up?") || strings.Contains(body, canary) {
		t.Errorf("reveal: %s", body)
	}
	answer, _ = w.ask(t, "ana", http.MethodPost, wiki+"/backup-code", form)
	if want := "/sso/step-up?" + (url.Values{"for": {"reveal"}, "return_to": {wiki + "?again=backup-code"}}).Encode(); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != want {
		t.Errorf("backup code: %d to %q, want %q", answer.StatusCode, answer.Header.Get("Location"), want)
	}
	w.expect(t, "ana", wiki+"?again=backup-code", 200, []string{"Choose Backup code again to be given the code"}, nil)
	w.expect(t, "ana", wiki+"?again=reveal", 200, []string{"You have proven that it is you", "autofocus"}, []string{canary})
}

func TestSessionSettingsPage(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "ana", "/settings/sessions", 403, nil, []string{"acr"})
	w.expect(t, "zoe", "/settings/sessions", 200, []string{`name="idle"`, `value="30"`, `value="720"`, `value="15"`}, nil)
	change := func(form url.Values) int {
		answer, _ := w.ask(t, "zoe", http.MethodPost, "/settings/sessions", form)
		return answer.StatusCode
	}
	if status := change(url.Values{"idle": {"10"}, "life": {"60"}, "reveal_age": {"0"}, "reveal_acr": {"a b"}}); status != http.StatusSeeOther {
		t.Errorf("%d", status)
	}
	settings, err := w.directory.SessionSettings(t.Context(), w.db, w.acme.ID)
	if err != nil || settings.Idle != 10*time.Minute || settings.Life != time.Hour || settings.RevealAge != 0 || len(settings.RevealACR) != 2 || settings.AdminAge != directory.DefaultAdminAge {
		t.Errorf("%+v, %v", settings, err)
	}
	if status := change(url.Values{"idle": {"61"}}); status != http.StatusBadRequest {
		t.Errorf("longer idle than it lives: %d", status)
	}
	if settings, err := w.directory.SessionSettings(t.Context(), w.db, w.globex.ID); err != nil || settings.Idle != directory.DefaultSessionIdle {
		t.Errorf("the other workspace: %+v, %v", settings, err)
	}
}
