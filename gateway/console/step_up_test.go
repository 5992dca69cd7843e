package console_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/core"
)

// withoutProof are the forms that a session may send however old its proof is, and why. The API is not among them: it
// is asked with a service account's token, which nobody signs in with.
var withoutProof = map[string]string{
	"/l/:token/code":        "somebody outside, who has no session: a mailed code is their proof",
	"/l/:token/open":        "the same",
	"/l/:token/otp":         "the same, with the code they gave",
	"/guest":                "before a session",
	"/guest/:slug/code":     "before a session: asks for the mailed code",
	"/guest/:slug/enter":    "before a session: gives it",
	"/accounts/:id/rotate":  "nobody is given the new password, and the old one is dead the sooner",
	"/accounts/:id/check":   "tries the password that is kept",
	"/accounts/:id/resync":  "tries the password that is kept",
	"/accounts/:id/report":  "says that a fill did not work",
	"/accounts/:id/tags":    "a name on an account",
	"/accounts/:id/unshare": "takes away",
	"/links/:id/end":        "takes away",
	"/imports/:id/drop":     "erases what was brought in",
	"/sessions/end-others":  "one's own sessions: whoever lost one ends it at once",
	"/sessions/:id/end":     "one's own session",
	"/reviews/:id/decide":   "keeps or takes away what somebody has; gives nothing",
	"/reviews/:id/hand-on":  "asks somebody else, who answers for themselves",
}

var parameter = regexp.MustCompile(`[:*][a-z]+`)

// TestEveryFormThatMattersNeedsARecentProof: revealing a secret and changing what belongs to others is done by nobody
// whose proof is old. Every form of the console is asked; those that need none are named.
func TestEveryFormThatMattersNeedsARecentProof(t *testing.T) {
	w := newWorld(t)
	if _, err := w.db.Exec(t.Context(), `update sessions set authenticated = authenticated - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if len(w.posts) < 100 {
		t.Fatalf("%d forms: the routes are not all there", len(w.posts))
	}
	for _, route := range w.posts {
		path := parameter.ReplaceAllString(route, core.NewID().String())
		answer, _ := w.ask(t, "zoe", http.MethodPost, path, url.Values{})
		asks := answer.StatusCode == http.StatusSeeOther && strings.HasPrefix(answer.Header.Get("Location"), "/sso/step-up?")
		if reason := withoutProof[route]; asks == (reason != "") {
			t.Errorf("%s asks for a recent proof: %t (%d); to need none: %q", route, asks, answer.StatusCode, reason)
		}
	}
	for _, route := range slices.Sorted(maps.Keys(withoutProof)) {
		if !slices.Contains(w.posts, route) {
			t.Errorf("there is no form %s any more", route)
		}
	}
}

// Whoever invites a guest with an old proof finds the address there when they come back.
func TestAnInvitationIsKeptOverTheProof(t *testing.T) {
	w := newWorld(t)
	if _, err := w.db.Exec(t.Context(), `update sessions set authenticated = authenticated - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	answer, _ := w.ask(t, "zoe", http.MethodPost, "/guests", url.Values{"email": {"ada@example.com"}, "name": {"Ada"}, "days": {"7"}})
	if back := "/sso/step-up?" + (url.Values{"for": {"admin"}, "return_to": {"/guests"}}).Encode(); answer.Header.Get("Location") != back || len(answer.Cookies()) != 1 {
		t.Fatal(answer.Header)
	}
	kept := answer.Cookies()[0]
	_, page := w.ask(t, "zoe", http.MethodGet, "/guests", nil, "Cookie", w.cookies["zoe"]+"; "+kept.Name+"="+kept.Value)
	if !strings.Contains(page, `value="ada@example.com"`) || !strings.Contains(page, `value="Ada"`) {
		t.Error(page)
	}
}
