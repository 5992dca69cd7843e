package cli_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/seal"
	"postern/core/signals"
	"postern/gateway"
)

// policyAt is what a gateway over the same database says and does about a case.
type policyAt struct {
	*desk
	handler http.Handler
	tokens  map[string]string
	persons map[string]directory.User // by workspace
	signals *signals.Signals
}

// said is a gateway's row about a case, for a connection if one is named.
func (p policyAt) said(workspace, about string, connection core.ID) (commands []string, byDefault bool) {
	p.t.Helper()
	path := "/api/v1/signal-policies"
	if !connection.IsZero() {
		path += "?connection=" + connection.String()
	}
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+p.tokens[workspace])
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, request)
	var read struct {
		Items []struct {
			Case     string   `json:"case"`
			Commands []string `json:"commands"`
			Default  bool     `json:"default"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &read); err != nil || answer.Code != 200 {
		p.t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	for _, one := range read.Items {
		if one.Case == about {
			return one.Commands, one.Default
		}
	}
	p.t.Fatalf("there is no %s among %d cases", about, len(read.Items))
	return nil, false
}

// does receives that the risk of a workspace's person is high, and gives what was done.
func (p policyAt) does(workspace string) []string {
	p.t.Helper()
	person := p.persons[workspace]
	receipt, err := p.signals.Receive(p.t.Context(), core.NewCause(core.System, time.Now()), signals.Signal{
		Workspace: person.Workspace, Connection: person.Connection, Door: signals.SSFPush, Kind: signals.RiskChanged, Subject: signals.OpaqueSubject(person.ID.String()),
		Transaction: core.NewID().String(), Evidence: signals.Evidence{TokenID: core.NewID().String(), Facts: map[string]string{"current_level": "HIGH"}},
	}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	var done []string
	for _, one := range receipt.Commands {
		done = append(done, string(one))
	}
	return done
}

func newPolicyAt(t *testing.T) policyAt {
	t.Helper()
	d := newDesk(t)
	p := policyAt{desk: d, tokens: map[string]string{}, persons: map[string]directory.User{}}
	for _, slug := range []string{"acme", "globex"} {
		workspace := d.workspace(slug)
		connection := id(t, d.json("connection", "create", "okta", "--workspace", slug, "--name", "Okta", "--public-url", "https://postern.example.com")["id"])
		p.tokens[slug] = d.json("token", "create", "--workspace", slug, "--name", "reader", "--scopes", "signals:read")["token"].(string)
		if err := d.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			p.persons[slug], err = d.people.InsertUser(t.Context(), tx, directory.User{
				Workspace: workspace, Connection: connection, UserName: "ana", Active: true, Role: directory.RoleUser,
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	running, err := gateway.New(t.Context(), gateway.Config{
		Roles: []string{gateway.RoleGateway}, Database: d.database, Listen: "127.0.0.1:0", PublicURL: "https://postern.example.com",
		Key: d.key, AuditKey: file(t, seal.GenerateLocalKey().Reveal()), Concurrency: 3, Grace: time.Second,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if p.handler, err = running.Handler(); err != nil {
		t.Fatal(err)
	}
	logins := &accounts.Accounts{DB: d.db, Directory: d.people}
	p.signals = &signals.Signals{DB: d.db, Directory: d.people, Accounts: logins, Lifecycle: &lifecycle.Lifecycle{DB: d.db, Directory: d.people, Accounts: logins}}
	return p
}

// What the command line says is what a gateway then says and does: in that workspace, or for that connection, alone.
func TestSignalPolicy(t *testing.T) {
	p := newPolicyAt(t)
	const high = "risk_changed.high"
	at := func(workspace string, arguments ...string) []string {
		return append(append([]string{"signal", "policy"}, arguments...), "--workspace", workspace)
	}
	var everywhere core.ID
	wants := func(when, workspace string, connection core.ID, byDefault bool, commands ...string) {
		t.Helper()
		if said, free := p.said(workspace, high, connection); !slices.Equal(said, commands) || free != byDefault {
			t.Errorf("%s, %s: the gateway says %v, by default %t; want %v, %t", when, workspace, said, free, commands, byDefault)
		}
	}
	wants("before", "acme", everywhere, true, "step_up")
	if done := p.does("acme"); !slices.Equal(done, []string{"step_up"}) {
		t.Errorf("before: %v", done)
	}

	p.do(at("acme", "set", high, "restrict", "end_sessions")...)
	wants("set", "acme", everywhere, false, "end_sessions", "restrict")
	wants("set", "globex", everywhere, true, "step_up")
	if done := p.does("acme"); !slices.Equal(done, []string{"end_sessions", "restrict"}) {
		t.Errorf("set: %v", done)
	}
	if done := p.does("globex"); !slices.Equal(done, []string{"step_up"}) {
		t.Errorf("set, in another workspace: %v", done)
	}

	connection := p.persons["acme"].Connection
	p.do(at("acme", "set", high, "record", "--connection", "Okta")...)
	wants("set for a connection", "acme", connection, false, "record")
	wants("set for a connection", "acme", everywhere, false, "end_sessions", "restrict")
	by := map[string]string{}
	for _, one := range p.json(at("acme", "list", "--connection", "Okta")...)["policies"].([]any) {
		row := one.(map[string]any)
		by[row["case"].(string)] = fmt.Sprint(row["commands"], row["default"], row["connection"])
	}
	if by[high] != "[record] false true" || by["logout"] != "[end_sessions rotate] true <nil>" || len(by) < len(signals.Defaults) {
		t.Errorf("listed: %v", by)
	}
	for _, part := range []string{"connection", "workspace", "default"} {
		if out := p.do(at("acme", "list", "--connection", "Okta")...) + p.do(at("acme", "list")...); !strings.Contains(out, part) {
			t.Errorf("the table lacks %q:\n%s", part, out)
		}
	}

	p.do(at("acme", "reset", high, "--connection", connection.String())...)
	wants("reset for a connection", "acme", connection, false, "end_sessions", "restrict")
	p.do(at("acme", "reset", high)...)
	wants("reset", "acme", everywhere, true, "step_up")

	p.refused(2, "a logout always ends sessions", at("acme", "set", "logout", "record")...)
	p.refused(2, "no kind of signal", at("acme", "set", "weather", "record")...)
	p.refused(2, "", at("acme", "set", high, "forget")...)
	p.refused(4, "no such policy of its own", at("acme", "reset", high)...)
	p.refused(4, `there is no connection "Nowhere"`, at("acme", "set", high, "record", "--connection", "Nowhere")...)
	types, actors := p.events(p.persons["acme"].Workspace)
	changes := 0
	for i, one := range types {
		if one == string(core.SignalPolicyChanged) {
			changes++
			if !strings.HasPrefix(actors[i], "Postern's command line") {
				t.Errorf("changed by %s", actors[i])
			}
		}
	}
	if changes != 4 {
		t.Errorf("%d changes are in the log", changes)
	}
}
