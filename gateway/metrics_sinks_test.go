package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/broker"
	"postern/gateway"
	"postern/siem/sinks"
)

// Sinks of workspaces are measured by kind and state: what customers make and call them chooses no series.
func TestSinksOfWorkspacesAreMeasuredByKind(t *testing.T) {
	kafka, err := broker.Embedded(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Stop() })
	h := build(t, func(c *gateway.Config) {
		c.Roles = append(c.Roles, gateway.RoleRelay, gateway.RoleSink)
		c.Kafka = []string{kafka.Address}
	})
	handler := h.handler(t)
	got := scrape(t, handler)
	for kind := range h.gateway.Kinds() {
		for _, state := range sinks.States {
			if value, there := got[`postern_workspace_sinks{kind="`+kind+`",state="`+string(state)+`"}`]; !there || value != 0 {
				t.Errorf("%s, %s: %v (%v)", kind, state, value, there)
			}
		}
	}
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	taking := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(func() { down.Close(); taking.Close() })
	cause := core.NewCause(core.Actor{Kind: core.ActorUser, ID: h.user.ID, Name: h.user.UserName}, time.Now())
	make := func(name, url string, disabled bool) sinks.Sink {
		one, err := h.gateway.Own().Create(t.Context(), cause, sinks.Wanted{
			Workspace: h.workspace.ID, Name: name, Kind: "webhook", Settings: json.RawMessage(`{"url":"` + url + `"}`), Everything: true, Disabled: disabled,
			Credentials: map[string]seal.Secret{"signing": seal.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	stuck, _, _ := make("canary-name-1", down.URL, false), make("canary-name-2", taking.URL, false), make("canary-name-3", taking.URL, true)
	err = h.db.Tx(t.Context(), func(tx pgx.Tx) error {
		return audit.AddDeadLetter(t.Context(), tx, audit.DeadLetter{Sink: stuck.Name, SinkID: stuck.ID, Workspace: h.workspace.ID, Event: core.NewID(), Type: core.UserUpdated, Sequence: 1, Record: "{}", Answer: "no", Created: time.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, stop := h.start(t)
	eventually(t, "one takes events, one retries, one waits", func() bool {
		got = scrape(t, handler)
		return got[`postern_workspace_sinks{kind="webhook",state="running"}`] == 1 && got[`postern_workspace_sinks{kind="webhook",state="retrying"}`] == 1 &&
			got[`postern_workspace_sinks{kind="webhook",state="disabled"}`] == 1 && got[`postern_workspace_sinks_lag_events{kind="webhook",state="running"}`] == 0 &&
			got[`postern_workspace_sinks_lag_events{kind="webhook",state="retrying"}`] > 0 && got[`postern_workspace_sinks_lag_events_most{kind="webhook",state="disabled"}`] > 0 &&
			got[`postern_workspace_sink_requests_total{kind="webhook",verdict="busy"}`] > 0 && got[`postern_workspace_sink_requests_total{kind="webhook",verdict="accepted"}`] > 0 &&
			got[`postern_workspace_sink_events_total{kind="webhook"}`] > 0
	})
	if got[`postern_workspace_sinks_dead_letters{kind="webhook"}`] != 1 || got[`postern_workspace_sinks_dead_letters{kind="splunk"}`] != 0 || got[`postern_source_up{source="workspace_sinks"}`] != 1 {
		t.Errorf("%v dead letters", got[`postern_workspace_sinks_dead_letters{kind="webhook"}`])
	}
	for series := range got {
		if strings.Contains(series, h.workspace.ID.String()) || strings.Contains(series, stuck.ID.String()) || strings.Contains(series, "canary") {
			t.Errorf("a customer chooses the series: %s", series)
		}
	}
	if err := h.gateway.Own().Delete(t.Context(), cause, h.workspace.ID, stuck.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a sink that is deleted is measured no more", func() bool {
		got = scrape(t, handler)
		return got[`postern_workspace_sinks{kind="webhook",state="retrying"}`] == 0 && got[`postern_workspace_sinks_dead_letters{kind="webhook"}`] == 0
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}
