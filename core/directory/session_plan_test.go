package directory

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres/postgrestest"
)

// Of every ten sessions one is alive.
const manySessions = `
insert into sessions (id, hash, workspace_id, user_id, connection_id, issuer, subject, sid, authenticated, created, last_seen, expires, ended)
select gen_random_uuid(), sha256(gen_random_uuid()::text::bytea), u.workspace_id, u.id, u.connection_id, 'https://op.example', 'sub-' || u.external_id,
       'sid-' || u.external_id || '-' || n, @now, @now, @now, @now::timestamptz + interval '12 hours', case when n > 1 then @now::timestamptz end
from users u, generate_series(1, 10) n where u.workspace_id = @workspace`

const manyFlows = `
insert into sign_in_flows (state_hash, workspace_id, connection_id, nonce, verifier, return_to, created, expires)
select sha256(gen_random_uuid()::text::bytea), @workspace, @connection, 'n', 'v', '/', @now, @now::timestamptz + interval '10 minutes' from generate_series(1, 5000)`

const manyEnded = `
insert into ended_sign_ins (workspace_id, connection_id, issuer, kind, value, at)
select @workspace, @connection, 'https://op.example', case when n % 2 = 0 then 'sid' else 'sub' end, 'value-' || n, @now from generate_series(1, 5000) n`

// bigScan is a table read from end to end; the settings and the workspaces are few rows.
var bigScan = regexp.MustCompile(`Seq Scan on (sessions|users|sign_in_flows|ended_sign_ins)\b`)

// TestSessionStatementsFollowAnIndex asks PostgreSQL how it goes about what every request, sign-in and
// logout does.
func TestSessionStatementsFollowAnIndex(t *testing.T) {
	h := &crowd{db: postgrestest.Open(t), now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}
	for _, table := range []string{"users", "sessions", "sign_in_flows", "ended_sign_ins"} {
		h.exec(t, "alter table "+table+" set (autovacuum_enabled = off)")
	}
	h.build(t)
	fill := func(users int) {
		h.grow(t, users, 1)
		h.exec(t, manySessions, pgx.StrictNamedArgs{"workspace": h.workspace, "now": h.now})
		h.exec(t, manyFlows, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection, "now": h.now})
		h.exec(t, manyEnded+" on conflict do nothing", pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection, "now": h.now})
	}
	fill(1500)
	t.Run("without statistics", func(t *testing.T) { h.checkSessions(t, false) })
	h.exec(t, "analyze")
	t.Run("analyzed", func(t *testing.T) { h.checkSessions(t, true) })
	fill(1500)
	t.Run("with the statistics of fewer", func(t *testing.T) { h.checkSessions(t, true) })
}

func (h *crowd) checkSessions(t *testing.T, analyzed bool) {
	planned := h.planner(t)
	for _, one := range []struct{ name, query, args, index string }{
		{"session of a token", selectSessionByToken, "hash now idle life", "sessions_hash_key"},
		{"user of a session", selectSessionUser, "workspace id created", "users_"},
		{"session was used", touchSession, "workspace id now stale", "sessions_"},
		{"sessions of a user", selectSessions, "workspace user now idle life", "sessions_user"},
		{"end one", endSession, "workspace id now reason", "sessions_"},
		{"end a user's", endSessions, "workspace user now reason idle life", "sessions_user"},
		{"end a user's others", endOtherSessions, "workspace user keep now reason idle life", "sessions_user"},
		{"end a user's that have no name", endUnnamedSessions, "workspace user now reason idle life", "sessions_"},
		{"end those of a sid", endSessionsOfSID, "workspace connection issuer sid subject now reason idle life", "sessions_sid"},
		{"end those of a subject", endSessionsOfSubject, "workspace connection issuer subject now reason idle life", "sessions_subject"},
		{"is there a sid", hasIdPSession, "workspace connection sid", "sessions_sid"},
		{"remember what ended", recordEnded, "workspace connection issuer kind value now old", "ended_sign_ins_"},
		{"did it end meanwhile", selectEndedMeanwhile, "workspace connection issuer kind value proven", "ended_sign_ins_pkey"},
		{"raise the epoch", raiseEpoch, "workspace user now", "users_"},
		{"step up", stepUpSession, "workspace id user connection hash issuer subject sid authenticated acr amr now id_token idle life", "sessions_"},
		{"whose it is", selectSessionHolder, "workspace id", "sessions_"},
		{"its ID token", selectIDToken, "workspace id", "sessions_"},
		{"begin a sign-in", insertFlow, "workspace connection state nonce verifier return_to now expires purpose session acr_values max_age prompted", "sign_in_flows_"},
		{"end a sign-in", takeFlow, "workspace connection state", "sign_in_flows_"},
	} {
		if one.query == selectEndedMeanwhile && !analyzed {
			continue // both of its table's indexes cost the same then
		}
		args := pgx.StrictNamedArgs{}
		for _, name := range strings.Fields(one.args) {
			args[name] = nil
		}
		if plan := planned(one.query, args); !strings.Contains(plan, one.index) || bigScan.MatchString(plan) {
			t.Errorf("%s does not follow %s: %s", one.name, one.index, plan)
		}
	}
}
