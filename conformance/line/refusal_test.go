package line

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/deploy/local/demo"
)

// What a refusal looks like at each door. Every one names its request; none is an internal error.

func (a answer) isRefusal(t testing.TB, status int, kind string) {
	t.Helper()
	got, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if a.status != status || got != kind {
		t.Fatalf("answered %d as %q, want %d as %q: %s", a.status, got, status, kind, a.text)
	}
	if a.header.Get("X-Request-Id") == "" {
		t.Error("the answer names no request")
	}
	challenge := a.header.Get("WWW-Authenticate")
	if (status == http.StatusUnauthorized) != strings.HasPrefix(challenge, "Bearer ") {
		t.Errorf("%d with WWW-Authenticate %q", status, challenge)
	}
	if allow := a.header.Get("Allow"); (status == http.StatusMethodNotAllowed) != (allow != "") {
		t.Errorf("%d with Allow %q", status, allow)
	}
}

// scimError checks an error of RFC 7644, section 3.12, and returns its detail.
func (a answer) scimError(t testing.TB, status int, kind string) string {
	t.Helper()
	a.isRefusal(t, status, "application/scim+json")
	var body struct {
		Schemas  []string `json:"schemas"`
		Status   string   `json:"status"`
		ScimType string   `json:"scimType"`
		Detail   string   `json:"detail"`
	}
	if err := json.Unmarshal([]byte(a.text), &body); err != nil {
		t.Fatalf("%v: %s", err, a.text)
	}
	if !slices.Equal(body.Schemas, []string{"urn:ietf:params:scim:api:messages:2.0:Error"}) || body.Status != strconv.Itoa(status) || body.ScimType != kind || body.Detail == "" {
		t.Errorf("the error is %s, want %d %s", a.text, status, kind)
	}
	return body.Detail
}

// problem checks an error of RFC 9457 and returns where it points.
func (a answer) problem(t testing.TB, status int, code string) []string {
	t.Helper()
	a.isRefusal(t, status, "application/problem+json")
	var body struct {
		Type, Title, Detail, Code string
		Status                    int
		RequestID                 string `json:"request_id"`
		Errors                    []struct{ Detail, Pointer, Parameter string }
	}
	if err := json.Unmarshal([]byte(a.text), &body); err != nil {
		t.Fatalf("%v: %s", err, a.text)
	}
	if body.Type != "about:blank" || body.Title != http.StatusText(status) || body.Status != status || body.Detail == "" || body.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("the problem is %s", a.text)
	}
	if body.Code != code {
		t.Errorf("the code is %s, want %s: %s", body.Code, code, a.text)
	}
	var places []string
	for _, one := range body.Errors {
		if one.Detail == "" {
			t.Errorf("a fault without words: %s", a.text)
		}
		places = append(places, one.Pointer+one.Parameter)
	}
	return places
}

// oauthError checks an error as Universal Logout answers it.
func (a answer) oauthError(t testing.TB, status int, kind string) {
	t.Helper()
	a.isRefusal(t, status, "application/json")
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.text), &body); err != nil {
		t.Fatalf("%v: %s", err, a.text)
	}
	if body.Error != kind || body.Description == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the error is %s, want %s", a.text, kind)
	}
}

// facts is everything a workspace holds that a refused request might have touched, and every event
// that is not a refusal. What was done before it is asked is told in it.
func (s *stage) facts(t testing.TB, api demo.API) string {
	t.Helper()
	s.eventually(time.Minute, "every event to be in the log", func() bool {
		waiting := true
		if err := s.DB.QueryRow(t.Context(), `select exists (select from audit_outbox)`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return !waiting
	})
	var all strings.Builder
	paths := []string{"/users?limit=200", "/teams?limit=200", "/apps", "/accounts?limit=500", "/connections"}
	for _, user := range ask[listed[person]](t, api, "/users?limit=200").Items {
		paths = append(paths, "/users/"+user.ID.String())
	}
	for _, account := range ask[listed[demo.Account]](t, api, "/accounts?limit=500").Items {
		for _, part := range []string{"grants", "exposures", "rotations"} {
			paths = append(paths, "/accounts/"+account.ID.String()+"/"+part)
		}
	}
	for _, path := range paths {
		fmt.Fprintf(&all, "%s %s\n", path, ask[json.RawMessage](t, api, path))
	}
	for _, one := range events(t, api, nil) {
		switch one.Event.Type {
		case core.RequestRefused, core.SignalRefused, core.AccessDenied, core.CheckpointSigned:
			continue
		}
		if one.Event.Type != core.SignalAccepted || one.Event.Data["outcome"] != nobody {
			fmt.Fprintf(&all, "%d %s %s\n", one.Sequence, one.Event.Type, one.Event.ID)
		}
	}
	return all.String()
}

// unchanged checks that a refusal left nothing behind.
func (s *stage) unchanged(t testing.TB, api demo.API, before string) {
	t.Helper()
	after := s.facts(t, api)
	if after == before {
		return
	}
	at := 0
	for at < min(len(before), len(after)) && before[at] == after[at] {
		at++
	}
	around := func(text string) string { return text[max(0, at-200):min(len(text), at+300)] }
	t.Fatalf("a refused request changed something:\nwas %s\nis  %s", around(before), around(after))
}

// toldSince waits until the log holds so many events of a type after a sequence.
func (s *stage) toldSince(t testing.TB, api demo.API, kind core.EventType, since int64, count int) []core.Event {
	t.Helper()
	var found []core.Event
	s.eventually(time.Minute, fmt.Sprintf("%d events %s in the log", count, kind), func() bool {
		found = nil
		for _, one := range events(t, api, url.Values{"type": {string(kind)}}) {
			if one.Sequence > since {
				found = append(found, one.Event)
			}
		}
		return len(found) >= count
	})
	return found
}

// last is the latest sequence of a workspace's log.
func last(t testing.TB, api demo.API) int64 {
	t.Helper()
	page := ask[listed[entry]](t, api, "/events?order=desc&limit=1").Items
	if len(page) == 0 {
		return 0
	}
	return page[0].Sequence
}
