package console_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/receiver"
	"postern/siem/sinks"
)

const sinkToken = "canary-hec-token"

// splunkSink makes a sink in acme, and says where its page is.
func (w *world) splunkSink(t testing.TB, name string) (sinks.Sink, string) {
	t.Helper()
	made, err := receiver.New(receiver.Options{Folder: t.TempDir(), Token: seal.NewSecret(sinkToken), SumoCode: seal.NewSecret("code")})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(made)
	t.Cleanup(func() { server.Close(); _ = made.Close() })
	w.post(t, "zoe", "/destinations/sinks", url.Values{
		"kind": {"splunk"}, "name": {name}, "field-urls": {server.URL}, "field-token": {sinkToken}, "field-search_url": {server.URL},
		"field-search_token": {sinkToken}, "hash": {"src_endpoint.ip"}, "types": {"user.*"},
	}, http.StatusSeeOther)
	all, err := w.sinks.Sinks(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	one := all[len(all)-1]
	letter := audit.DeadLetter{Sink: one.Name, SinkID: one.ID, Workspace: w.acme.ID, Event: core.NewID(), Type: core.UserUpdated, Sequence: 1, Record: "{}", Answer: "code 6", Created: time.Now()}
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.AddDeadLetter(t.Context(), tx, letter) }); err != nil {
		t.Fatal(err)
	}
	return one, "/destinations/sinks/" + one.ID.String()
}

// PopulateSinks has a sink with a dead letter.
func (w *world) PopulateSinks(t testing.TB) { w.splunkSink(t, longName) }

func TestASinkIsMadeWatchedAndMended(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/destinations/sinks/new", 200, []string{"/destinations/sinks/new?kind=splunk"}, nil)
	w.expect(t, "zoe", "/destinations/sinks/new?kind=splunk", 200, []string{`name="field-token"`, `type="password"`, `action="/destinations/sinks"`}, nil)
	w.expect(t, "ana", "/destinations/sinks/new", 403, nil, []string{"<form class"})
	refused := w.post(t, "zoe", "/destinations/sinks", url.Values{"kind": {"splunk"}, "name": {"SIEM"}, "field-urls": {"ftp://x"}, "field-token": {sinkToken}}, 400, "begins with https://", "ftp://x")
	if strings.Contains(refused, sinkToken) {
		t.Error("a token is shown again")
	}
	_, page := w.splunkSink(t, "SIEM <b>")
	w.expect(t, "zoe", "/destinations", 200, []string{page, "SIEM &lt;b&gt;", ">Running<"}, []string{"SIEM <b>", sinkToken})
	w.expect(t, "zoe", page, 200, []string{"hashed", "user.*", "Dead letters", "code 6", page + "/retry", "confirm=delete", page + "/compare", "The receiver can be asked", "nobody confirms that it was kept"}, []string{sinkToken, page + "/delete"})
	w.post(t, "zoe", "/destinations/sinks", url.Values{"kind": {"splunk"}, "name": {"Deaf"}, "field-urls": {"https://splunk.example.com"}, "field-token": {sinkToken}, "field-acknowledge": {"1"}}, 303)
	all, err := w.sinks.Sinks(t.Context(), w.db, w.acme.ID)
	if err != nil {
		t.Fatal(err)
	}
	deaf := "/destinations/sinks/" + all[len(all)-1].ID.String()
	w.expect(t, "zoe", deaf, 200, []string{"The receiver cannot be asked: give it search_url and search_token", "<dd>kept</dd>"}, []string{deaf + "/compare"})
	w.post(t, "zoe", deaf+"/delete", url.Values{}, 303)
	w.changesASink(t, page)
	w.post(t, "zoe", page+"/test", url.Values{}, 200, "The receiver took the test event")
	w.post(t, "zoe", page+"/doctor", url.Values{}, 200, "no process delivers", "Something is at fault")
	w.post(t, "zoe", page+"/compare", url.Values{}, 200, "Nothing is missing")
	w.post(t, "zoe", page+"/replay", url.Values{"from": {"x"}, "to": {"2"}}, 400, "in numbers")
	w.post(t, "zoe", page+"/replay", url.Values{"from": {"1"}, "to": {"2"}}, 409, "Nothing of this was delivered yet")
	w.post(t, "zoe", page+"/pause", url.Values{"reason": {"maintenance"}}, 303)
	w.expect(t, "zoe", page, 200, []string{">Draining<", "maintenance", page + "/resume"}, nil)
	w.post(t, "zoe", page+"/resume", url.Values{}, 303)
	w.post(t, "zoe", page+"/discard", url.Values{"message": {"all"}}, 400, "Say why")
	w.post(t, "zoe", page+"/discard", url.Values{"message": {"all"}, "reason": {"a test"}}, 303)
	w.expect(t, "zoe", page, 200, nil, []string{"code 6"})
	w.forbidden(t, page, map[string]url.Values{
		"/pause": {}, "/resume": {}, "/test": {}, "/doctor": {}, "/compare": {}, "/enable": {"enabled": {"0"}}, "/delete": {}, "/change": {"name": {"mine"}},
		"/replay": {"since": {"1h"}}, "/retry": {"message": {"all"}}, "/discard": {"message": {"all"}, "reason": {"x"}},
	})
	w.post(t, "zoe", page+"/enable", url.Values{"enabled": {"0"}}, 303)
	w.expect(t, "zoe", page, 200, []string{">Disabled<"}, nil)
	w.post(t, "zoe", page+"/delete", url.Values{}, 303)
	w.expect(t, "zoe", page, 404, nil, nil)
}

// changesASink changes what its form can say, and keeps what it cannot.
func (w *world) changesASink(t *testing.T, page string) {
	t.Helper()
	shown := w.expect(t, "zoe", page+"/change", 200, []string{`name="field-search_url"`, ">user.*</textarea>", `value="SIEM &lt;b&gt;"`, "Leave it empty to keep", "forget-search_token"}, []string{sinkToken, `name="everything"`})
	_, rest, _ := strings.Cut(shown, `name="updated" value="`)
	updated, _, _ := strings.Cut(rest, `"`)
	one := w.onlySink(t)
	var settings struct {
		URLs []string `json:"urls"`
	}
	if err := json.Unmarshal(one.Settings, &settings); err != nil {
		t.Fatal(err)
	}
	address := settings.URLs[0]
	changed := url.Values{
		"updated": {html.UnescapeString(updated)}, "name": {"SIEM <b>"}, "field-urls": {address}, "field-index": {"security"}, "field-search_url": {address}, "types": {"user.* account.*"},
		"hash": {"src_endpoint.ip"}, "remove": {"actor.user.email_addr"}, "severity": {"low"}, "outcome": {"failure"},
	}
	refused := w.post(t, "zoe", page+"/change", url.Values{"updated": changed["updated"], "name": {"x"}, "field-urls": {"https://elsewhere.example.com"}, "field-token": {sinkToken + "2"}}, 400, "give search_token again", "https://elsewhere.example.com")
	if strings.Contains(refused, sinkToken) {
		t.Error("a token is shown again")
	}
	w.post(t, "zoe", page+"/change", changed, 303)
	if now := w.onlySink(t); len(now.Filter.Types) != 2 || len(now.Redaction) != 2 || !slices.Equal(now.Credentials, one.Credentials) || !strings.Contains(string(now.Settings), "security") || now.Filter.Severity != "low" || !slices.Equal(now.Filter.Outcomes, []core.Outcome{core.Failure}) {
		t.Fatalf("%+v", now)
	}
	w.expect(t, "zoe", page, 200, []string{"low and above, failure only"}, nil)
	w.expect(t, "zoe", page+"/change", 200, []string{`<option value="low" selected>`, "<option selected>failure"}, nil)
	w.post(t, "zoe", page+"/change", changed, 412, "changed meanwhile")
}

func (w *world) onlySink(t *testing.T) sinks.Sink {
	t.Helper()
	all, err := w.sinks.Sinks(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}
