package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/deploy/local/broker"
	"postern/gateway"
)

// scrape reads /metrics by series, as name{labels}.
func scrape(t *testing.T, handler http.Handler, headers ...string) map[string]float64 {
	t.Helper()
	answer, text := ask(t, handler, "GET", "/metrics", nil, headers...)
	if answer.StatusCode != 200 {
		t.Fatalf("%d %s", answer.StatusCode, text)
	}
	found := map[string]float64{}
	for line := range strings.Lines(text) {
		if space := strings.LastIndexByte(line, ' '); space > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[space:]), 64)
			if err != nil {
				t.Fatal(line, err)
			}
			found[line[:space]] = value
		}
	}
	return found
}

func TestMetricsAskForTheirToken(t *testing.T) {
	h := build(t, func(c *gateway.Config) { c.MetricsToken = secretFile(t, "canary-metrics\n") })
	handler := h.handler(t)
	for _, authorization := range []string{"", "canary-metrics", "Bearer ", "Bearer canary", "Bearer canary-metricsx", "Basic canary-metrics", "Bearer " + h.api} {
		answer, body := ask(t, handler, "GET", "/metrics", nil, "Authorization", authorization)
		if answer.StatusCode != 401 || !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Bearer ") || strings.Contains(body, "postern_") {
			t.Errorf("%q: %d %.100s", authorization, answer.StatusCode, body)
		}
	}
	if got := scrape(t, handler, "Authorization", "Bearer canary-metrics"); len(got) < 20 {
		t.Errorf("%d series", len(got))
	}
	if strings.Contains(h.log.String(), "canary") {
		t.Error("the log holds the token")
	}
}

func TestRequestsAreCountedByRoute(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	for i := range 3 {
		ask(t, handler, "GET", fmt.Sprintf("/api/v1/accounts/%s", core.NewID()), nil, "Authorization", "Bearer "+h.api)
		ask(t, handler, fmt.Sprintf("BREW%d", i), fmt.Sprintf("/nothing/%d", i), nil)
	}
	got := scrape(t, handler)
	for series, want := range map[string]float64{
		`postern_http_request_duration_seconds_count{method="GET",route="/api/v1/accounts/:id",status="404"}`: 3,
		`postern_http_request_duration_seconds_count{method="other",route="unknown",status="404"}`:            3,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, want %v", series, got[series], want)
		}
	}
	for series := range got {
		if strings.Contains(series, "BREW") || regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-`).MatchString(series) {
			t.Errorf("a client chooses the series: %s", series)
		}
	}
}

func TestProvisioningIsCountedByKindOfConnection(t *testing.T) {
	h := build(t, nil)
	handler := h.handler(t)
	known := []string{"Authorization", "Bearer " + h.scim, "Content-Type", "application/scim+json"}
	for i := range 3 {
		ask(t, handler, "GET", "/scim/v2/Users", nil, known...)
		ask(t, handler, "GET", "/scim/v2/Users", nil, "Authorization", fmt.Sprintf("Bearer pst_scim_%d", i))
		ask(t, handler, fmt.Sprintf("BREW%d", i), "/scim/v2/Users", nil, known...)
	}
	ask(t, handler, "POST", "/scim/v2/Users", strings.NewReader(`{}`), known...)
	ask(t, handler, "POST", "/scim/oauth/token", strings.NewReader("grant_type=client_credentials"), "Content-Type", "application/x-www-form-urlencoded")
	got := scrape(t, handler)
	for series, want := range map[string]float64{
		`postern_scim_requests_total{kind="okta",method="GET",status="2xx"}`:     3,
		`postern_scim_requests_total{kind="okta",method="POST",status="4xx"}`:    1,
		`postern_scim_requests_total{kind="unknown",method="GET",status="4xx"}`:  3,
		`postern_scim_requests_total{kind="unknown",method="POST",status="4xx"}`: 1,
		`postern_holds_open`:   0,
		`postern_holds_people`: 0,
	} {
		if value, there := got[series]; !there || value != want {
			t.Errorf("%s is %v (%v), want %v", series, value, there, want)
		}
	}
	for series := range got {
		if strings.HasPrefix(series, "postern_scim_") && (strings.Contains(series, "BREW") || strings.Contains(series, "pst_")) {
			t.Errorf("a client chooses the series: %s", series)
		}
	}
}

func TestRotationsAtRestAreCounted(t *testing.T) {
	h := build(t, nil)
	finished := time.Now()
	meter, wiki := h.gateway.Meter(), accounts.App{Name: "Wiki"}
	meter.Rested(wiki, rotation.Rotation{Reason: rotation.ReasonDeprovision, State: rotation.StateDone, Finished: &finished, Receipt: &rotation.Receipt{
		Reason: rotation.ReasonDeprovision, TimeToLockout: 4 * time.Second,
	}})
	meter.Rested(wiki, rotation.Rotation{Reason: rotation.ReasonVerify, State: rotation.StateDone, Finished: &finished})
	meter.Rested(wiki, rotation.Rotation{Reason: rotation.ReasonLogout, State: rotation.StateBlocked})
	meter.Rested(wiki, rotation.Rotation{Reason: rotation.ReasonLogout, State: rotation.StateProbing, NextAttempt: &finished})
	meter.Tried("browser", false, rotation.Accepted)
	meter.Tried("browser", false, rotation.Accepted)
	meter.Tried("ldap", true, rotation.Refused)
	meter.Shut("browser", rotation.KeeperPage)
	// Whoever adds apps without end adds no series without end.
	for i := range 500 {
		meter.Rested(accounts.App{Name: fmt.Sprintf("App %d", i)}, rotation.Rotation{Reason: rotation.ReasonLogout, Finished: &finished, Receipt: &rotation.Receipt{Reason: rotation.ReasonLogout}})
	}
	got := scrape(t, h.handler(t))
	of := 0
	for series := range got {
		if strings.HasPrefix(series, "postern_time_to_lockout_seconds_count") {
			of++
		}
	}
	if of != 101 || got[`postern_time_to_lockout_seconds_count{app="other",reason="logout"}`] != 401 {
		t.Errorf("%d series of apps, %v others", of, got[`postern_time_to_lockout_seconds_count{app="other",reason="logout"}`])
	}
	for series, want := range map[string]float64{
		`postern_time_to_lockout_seconds_count{app="Wiki",reason="deprovision"}`:                 1,
		`postern_time_to_lockout_seconds_sum{app="Wiki",reason="deprovision"}`:                   4,
		`postern_time_to_lockout_seconds_bucket{app="Wiki",reason="deprovision",le="3"}`:         0,
		`postern_time_to_lockout_seconds_bucket{app="Wiki",reason="deprovision",le="5"}`:         1,
		`postern_rotations_total{outcome="rotated",reason="deprovision"}`:                        1,
		`postern_rotations_total{outcome="verified",reason="verify"}`:                            1,
		`postern_rotations_total{outcome="blocked",reason="logout"}`:                             1,
		`postern_rotations_total{outcome="delayed",reason="logout"}`:                             1,
		`postern_connector_attempts_total{connector="browser",kind="verify",outcome="accepted"}`: 2,
		`postern_connector_attempts_total{connector="ldap",kind="change",outcome="refused"}`:     1,
		`postern_gate_refusals_total{by="page",connector="browser"}`:                             1,
	} {
		if value, there := got[series]; !there || value != want {
			t.Errorf("%s is %v, want %v", series, value, want)
		}
	}
}

func TestWhatIsTrueOfAllProcesses(t *testing.T) {
	kafka, err := broker.Embedded(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Stop() })
	h := build(t, func(c *gateway.Config) {
		c.Roles = append(c.Roles, gateway.RoleSink)
		c.Kafka, c.SplunkURL, c.SplunkToken = []string{kafka.Address}, "http://127.0.0.1:1", c.Key
	})
	handler := h.handler(t)
	h.plan(t)
	if err := audit.SetSinkState(t.Context(), h.db, "splunk", audit.SinkPaused, "the token is refused", []core.ID{h.workspace.ID}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Tx(t.Context(), func(tx pgx.Tx) error {
		return audit.AddDeadLetter(t.Context(), tx, audit.DeadLetter{Sink: "splunk", Record: "x", Answer: "code 6", Created: time.Now()})
	}); err != nil {
		t.Fatal(err)
	}
	var committed int
	if err := h.db.QueryRow(t.Context(), `select count(*) from audit_outbox`).Scan(&committed); err != nil || committed == 0 {
		t.Fatal(committed, err)
	}
	got := scrape(t, handler)
	for series, want := range map[string]float64{
		`postern_source_up{source="database"}`:               1,
		`postern_events_unsequenced`:                         float64(committed),
		`postern_events_unpublished`:                         0,
		`postern_rotations_open{state="planned"}`:            1,
		`postern_lockout_objective_seconds`:                  60,
		`postern_lockout_target_ratio`:                       0.99,
		`postern_lockout_burn_rate{window="1h"}`:             0,
		`postern_lockouts{result="late",window="6h"}`:        0,
		`postern_jobs{state="available"}`:                    1,
		`postern_sink_state{sink="splunk",state="paused"}`:   1,
		`postern_sink_state{sink="splunk",state="running"}`:  0,
		`postern_sink_state{sink="splunk",state="retrying"}`: 0,
		`postern_sink_dead_letters{sink="splunk"}`:           1,
		`postern_sink_dead_letters{sink="relay"}`:            0,
	} {
		if value, there := got[series]; !there || value != want {
			t.Errorf("%s is %v (%v), want %v", series, value, there, want)
		}
	}
	if got["postern_events_oldest_seconds"] <= 0 || got["postern_jobs_waiting_seconds"] < 0 {
		t.Errorf("oldest %v, waiting %v", got["postern_events_oldest_seconds"], got["postern_jobs_waiting_seconds"])
	}
	// The sink makes the topic, and from then on its lag can be told.
	_, stop := h.start(t)
	eventually(t, "the lag is told", func() bool {
		time.Sleep(time.Second) // figures are kept that long
		got = scrape(t, handler)
		return got[`postern_source_up{source="kafka/splunk"}`] == 1
	})
	if lag, there := got[`postern_sink_lag_events{sink="splunk"}`]; !there || lag != 0 {
		t.Errorf("lag %v, %v", lag, there)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// plan has one rotation planned.
func (h *house) plan(t *testing.T) {
	t.Helper()
	keys, err := gateway.OpenKeys(h.config.Key)
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(h.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	people := &directory.Directory{DB: h.db}
	logins := &accounts.Accounts{DB: h.db, Directory: people, Vault: &vault.Vault{DB: h.db, Keys: keys}}
	rotations := &rotation.Rotations{DB: h.db, Accounts: logins, Queue: queue}
	cause, ctx := core.NewCause(core.System, time.Now()), context.WithoutCancel(t.Context())
	err = h.db.Tx(ctx, func(tx pgx.Tx) error {
		app, err := logins.CreateApp(ctx, tx, cause, h.workspace.ID, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
		})
		if err != nil {
			return err
		}
		account, err := logins.CreateAccount(ctx, tx, cause, h.workspace.ID, accounts.NewAccount{
			App: app.ID, Username: "team", Password: seal.NewSecret("canary"), Owner: h.user.ID,
		})
		if err != nil {
			return err
		}
		_, err = rotations.Plan(ctx, tx, cause, h.workspace.ID, account.ID, rotation.ReasonManual, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A source that is away must cost the others nothing, least of all the figures of the process itself.
func TestMetricsOutliveTheirSources(t *testing.T) {
	h := buildApart(t)
	handler := h.handler(t)
	if got := scrape(t, handler); got[`postern_source_up{source="database"}`] != 1 {
		t.Fatal("the database is told as down")
	}
	if err := h.server.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the database is told as down", func() bool {
		time.Sleep(time.Second)
		got := scrape(t, handler)
		_, stale := got["postern_events_unsequenced"]
		up, told := got[`postern_source_up{source="database"}`]
		return told && up == 0 && !stale && got["go_goroutines"] > 0
	})
}
