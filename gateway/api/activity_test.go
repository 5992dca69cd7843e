package api_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/gateway/activity"
)

// sequenced has the log written until the test ends, and waits until it holds what was done so far.
func (w *world) sequenced(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&audit.Sequencer{DB: w.db, Key: w.key}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.settled(t)
}

func (w *world) settled(t *testing.T) {
	t.Helper()
	for {
		backlog, err := audit.ReadBacklog(t.Context(), w.db, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if backlog.Unsequenced == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestEventsAreFound(t *testing.T) {
	w := newWorld(t)
	w.must(t, 201, "POST", "/apps", strings.Replace(newApp, "Wiki", "=cmd|' /C calc'!A0", 1))
	_, account, _ := w.account(t)
	w.must(t, 400, "POST", "/accounts/"+account+"/grants", `{"user":"`+core.NewID().String()+`","role":"owner"}`)
	w.sequenced(t)
	all := items(w.must(t, 200, "GET", "/events", ""))
	actor := ""
	for _, one := range all {
		if event := one["event"].(map[string]any); event["type"] == "account.created" {
			actor = event["actor"].(map[string]any)["id"].(string)
		}
	}
	for path, want := range map[string]int{
		"actor=" + actor: 4, "actor=" + actor + "&type=app.*": 2, "text=WIKI": 3, "text=wiki&type=account.*": 2, "text=nobody": 0,
		"outcome=failure": 0, "until=2020-01-01T00:00:00Z": 0, "since=2020-01-01T00:00:00Z": len(all), "since=2120-01-01T00:00:00Z": 0,
		"actor=" + actor + "&target=" + account: 2,
	} {
		if got := items(w.must(t, 200, "GET", "/events?"+path, "")); len(got) != want {
			t.Errorf("%s: %d, want %d", path, len(got), want)
		}
		if status, got := w.ask(t, "globex", "GET", "/events?"+path, ""); status != 200 || strings.Contains(path, "actor") && len(items(got)) != 0 {
			t.Errorf("of another workspace, %s: %d %v", path, status, got)
		}
	}
	for _, path := range []string{"type=account.nothing", "type=acc*", "type=*", "outcome=maybe", "since=yesterday", "actor=me"} {
		if status, got := w.ask(t, "acme", "GET", "/events?"+path, ""); status != 400 {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

// get asks for what is no JSON.
func (w *world) get(t *testing.T, as, path string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "/api/v1"+path, nil)
	request.Header.Set("Authorization", "Bearer "+w.tokens[as])
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	return recorder
}

func TestActivityIsDownloaded(t *testing.T) {
	w := newWorld(t)
	w.must(t, 201, "POST", "/apps", strings.Replace(newApp, `"Wiki"`, `"=cmd|' /C calc'!A0 \"x\"; +1"`, 1))
	// More than a page of it, with names that would be formulas.
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		for i := range 3 {
			var events []core.Event
			for range 400 {
				events = append(events, core.NewEvent(core.UserUpdated, w.acme.ID, core.NewCause(core.System, time.Now()), time.Now(),
					core.Target{Kind: "user", ID: core.NewID(), Name: "@SUM(A1)\r\n,\"x\""}).Because([]string{"\t=1", "+2", "-3"}[i]))
			}
			if err := audit.Append(t.Context(), tx, events...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.sequenced(t)
	head, err := audit.Head(t.Context(), w.db, w.acme.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := w.get(t, "acme", "/activity/download?format=csv")
	if got.Code != 200 || got.Header().Get("Content-Type") != "text/csv; charset=utf-8" || !strings.HasPrefix(got.Header().Get("Content-Disposition"), `attachment; filename="activity-`) ||
		got.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%d %v", got.Code, got.Header())
	}
	text := got.Body.String()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != int(head)+1 {
		t.Fatalf("%d lines of %d events", len(rows), head)
	}
	for i, row := range rows {
		for _, cell := range row {
			if trimmed := strings.TrimLeft(cell, " "); trimmed != "" && strings.ContainsAny(trimmed[:1], "=+-@\t\r\n") {
				t.Fatalf("line %d begins a formula: %q", i, cell)
			}
		}
		if i > 0 && row[0] != strconv.Itoa(i) {
			t.Fatalf("line %d is of the event %s", i, row[0])
		}
	}
	for line := range strings.Lines(strings.TrimSpace(w.get(t, "acme", "/activity/download?type=app.*").Body.String())) {
		var entry activity.Entry
		if err := json.Unmarshal([]byte(line), &entry); err != nil || !strings.HasPrefix(string(entry.Event.Type), "app.") || entry.Recorded.IsZero() {
			t.Errorf("%s: %v", line, err)
		}
	}
	if other := w.get(t, "globex", "/activity/download").Body.String(); strings.Contains(other, w.acme.ID.String()) || strings.Contains(other, "SUM") {
		t.Errorf("another workspace has %s", other)
	}
	if refused := w.get(t, "acme", "/activity/download?format=xml"); refused.Code != 400 {
		t.Errorf("%d", refused.Code)
	}
}

func TestActivityIsFollowed(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	w.sequenced(t)
	server := httptest.NewServer(w.engine)
	t.Cleanup(server.Close)
	open := func(as, query, last string) (*http.Response, *bufio.Scanner) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/activity/tail"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+w.tokens[as])
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		answer, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer, bufio.NewScanner(answer.Body)
	}
	next := func(lines *bufio.Scanner) (activity.Entry, bool) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var entry activity.Entry
				if err := json.Unmarshal([]byte(data), &entry); err != nil {
					t.Fatal(err)
				}
				return entry, true
			}
		}
		return activity.Entry{}, false
	}
	// The server is another network than the tests', and a token's first use from there is a finding.
	for _, as := range []string{"acme", "globex"} {
		_, lines := open(as, "?seconds=1", "")
		for lines.Scan() {
			continue
		}
	}
	w.sequenced(t)
	head, err := audit.Head(t.Context(), w.db, w.acme.ID)
	if err != nil {
		t.Fatal(err)
	}
	// From now on; from the last one seen on; and only what was asked for.
	_, now := open("acme", "", "")
	_, back := open("acme", "?after=999999", strconv.FormatInt(head-1, 10))
	_, grants := open("acme", "?type=account.shared&target="+account, "")
	_, theirs := open("globex", "?seconds=5", "")
	if entry, ok := next(back); !ok || entry.Sequence != head {
		t.Errorf("back at %d", entry.Sequence)
	}
	w.must(t, 201, "POST", "/apps", strings.Replace(newApp, "Wiki", "Mail", 1))
	w.must(t, 201, "POST", "/accounts/"+account+"/grants", `{"user":"`+w.ben.ID.String()+`","role":"collaborator"}`)
	for name, lines := range map[string]*bufio.Scanner{"now": now, "back": back} {
		if entry, ok := next(lines); !ok || entry.Sequence != head+1 || entry.Event.Type != core.AppCreated {
			t.Errorf("%s: %+v", name, entry)
		}
	}
	if entry, ok := next(grants); !ok || entry.Sequence != head+2 || entry.Event.Type != core.AccountShared {
		t.Errorf("grants: %+v", entry)
	}
	if entry, ok := next(theirs); ok {
		t.Errorf("another workspace hears %+v", entry)
	}
	// A token that is revoked hears no more.
	accounts, err := w.directory.ServiceAccounts(t.Context(), w.db, w.acme.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) error { return revokeAll(t.Context(), tx, w, accounts) }); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, ok := next(now); !ok {
			return
		}
	}
	t.Error("a revoked token goes on hearing")
}

func revokeAll(ctx context.Context, tx pgx.Tx, w *world, accounts []directory.ServiceAccount) error {
	for _, account := range accounts {
		if account.Name != "all" {
			continue
		}
		tokens, err := w.directory.ServiceAccountTokens(ctx, tx, w.acme.ID, account.ID)
		if err != nil {
			return err
		}
		for _, token := range tokens {
			if err := w.directory.RevokeServiceAccountToken(ctx, tx, core.NewCause(core.System, time.Now()), w.acme.ID, account.ID, token.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Whoever asks for everything and reads nothing holds nothing up for long, and gives their place back.
func TestADownloadNobodyReadsIsLetGo(t *testing.T) {
	w := newWorld(t)
	places := &activity.Places{}
	who := core.NewID()
	var leaves []func()
	for range 6 {
		leave, err := places.Take(who)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := places.Take(who); core.KindOf(err) != core.KindRateLimited {
		t.Errorf("a seventh: %v", err)
	}
	leaves[0]()
	leaves[0]()
	if _, err := places.Take(who); err != nil {
		t.Error(err)
	}
	if _, err := places.Take(who); core.KindOf(err) != core.KindRateLimited {
		t.Errorf("one place given back twice: %v", err)
	}
	// A file that breaks off is no whole one: the connection is dropped.
	defer func() {
		if recovered := recover(); recovered != http.ErrAbortHandler {
			t.Errorf("ended with %v", recovered)
		}
	}()
	c, _ := gin.CreateTestContext(gone{httptest.NewRecorder()})
	c.Request = httptest.NewRequest(http.MethodGet, "/", nil)
	activity.Hand(c, activity.Download{DB: w.db, Workspace: w.acme.ID, Format: activity.CSV})
}

// gone is a client that is not there any more.
type gone struct{ http.ResponseWriter }

// Write implements http.ResponseWriter.
func (gone) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
