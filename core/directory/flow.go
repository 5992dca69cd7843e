package directory

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// Flow is one sign-in under way: what Postern has to remember between sending a person to the IdP and
// seeing them come back.
type Flow struct {
	Workspace  core.ID   `db:"workspace_id"`
	Connection core.ID   `db:"connection_id"`
	Nonce      string    `db:"nonce"`
	Verifier   string    `db:"verifier"`  // of PKCE
	ReturnTo   string    `db:"return_to"` // a path of Postern's own; empty means /
	Created    time.Time `db:"created"`   // set by SaveFlow
	Expires    time.Time `db:"expires"`   // set by SaveFlow: FlowLife after Created

	Purpose   Purpose  `db:"purpose"`    // empty: FlowSignIn
	Session   core.ID  `db:"session_id"` // of FlowStepUp: the session that is proven anew
	ACRValues []string `db:"acr_values"` // one of these must be the acr; none: any is good
	MaxAge    *int     `db:"max_age"`    // seconds: how long ago the IdP may have seen the person; nil: any time
	Prompted  bool     `db:"prompted"`   // the IdP was asked to make the person prove themselves (prompt=login)
}

// Purpose is what a sign-in is for.
type Purpose string

// The purposes.
const (
	FlowSignIn Purpose = "sign_in" // a new session
	FlowStepUp Purpose = "step_up" // a fresh proof in a session that exists
)

// Flows nobody came back for go in passing, a few at a time, oldest first.
const insertFlow = `
with gone as (
	delete from sign_in_flows where workspace_id = @workspace and state_hash in (
		select state_hash from sign_in_flows
		where workspace_id = @workspace and connection_id = @connection and expires < @now
		order by expires limit 8 for update skip locked))
insert into sign_in_flows (state_hash, workspace_id, connection_id, nonce, verifier, return_to, created, expires,
	purpose, session_id, acr_values, max_age, prompted)
values (@state, @workspace, @connection, @nonce, @verifier, @return_to, @now, @expires, @purpose, @session, @acr_values, @max_age, @prompted)`

// SaveFlow remembers a sign-in under its state parameter. A return address that is not a path of
// Postern's own is Invalid on "return_to".
func (d *Directory) SaveFlow(ctx context.Context, q postgres.Querier, state string, flow Flow) error {
	if flow.ReturnTo == "" {
		flow.ReturnTo = "/"
	}
	if !ownPath(flow.ReturnTo) {
		return core.Invalid("return_to", "a return address is a path of this site")
	}
	if flow.Purpose == "" {
		flow.Purpose = FlowSignIn
	}
	now := d.now()
	_, err := q.Exec(ctx, insertFlow, pgx.StrictNamedArgs{
		"state": seal.HashToken(state), "workspace": flow.Workspace, "connection": flow.Connection, "nonce": flow.Nonce,
		"verifier": flow.Verifier, "return_to": flow.ReturnTo, "now": now, "expires": now.Add(cmp.Or(max(d.FlowLife, 0), DefaultFlowLife)),
		"purpose": flow.Purpose, "session": flow.Session, "acr_values": append([]string{}, flow.ACRValues...), "max_age": flow.MaxAge, "prompted": flow.Prompted,
	})
	return postgres.Classify(err)
}

// ownPath keeps a sign-in from ending at somebody else's site: browsers read // and /\ as a host.
func ownPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > longest {
		return false
	}
	return !strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f })
}

const takeFlow = `
delete from sign_in_flows where workspace_id = @workspace and connection_id = @connection and state_hash = @state
returning workspace_id, connection_id, nonce, verifier, return_to, created, expires, purpose, session_id, acr_values, max_age, prompted`

// TakeFlow gives back the sign-in of a state and forgets it: a state works once. One that is unknown,
// was taken before, belongs to another connection or has expired is Unauthenticated. In a transaction
// that is rolled back the state stays usable; call it with the pool, or in one that commits.
func (d *Directory) TakeFlow(ctx context.Context, q postgres.Querier, workspace, connection core.ID, state string) (Flow, error) {
	refused := core.Unauthenticated("this sign-in is not known or has expired; begin again")
	flow, err := postgres.One[Flow](ctx, q, "sign-in", takeFlow,
		pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "state": seal.HashToken(state)})
	if core.KindOf(err) == core.KindNotFound {
		return Flow{}, refused
	}
	if err != nil {
		return Flow{}, err
	}
	if !flow.Expires.After(d.now()) {
		return Flow{}, refused
	}
	return flow, nil
}
