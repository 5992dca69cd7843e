package posture

import (
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
)

// Posture reads how accounts are kept and gives them new owners. It is safe for concurrent use, in many processes.
type Posture struct {
	DB        *postgres.DB
	Accounts  *accounts.Accounts
	Lifecycle *lifecycle.Lifecycle
	Queue     *jobs.Queue
	Mail      bool             // this Postern receives e-mail: an account's address can be managed
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after a commit with events, if set
	Log       *slog.Logger     // nil: nothing is logged. Only Run does
}

// The times beyond which something is found.
const (
	StaleAfter = 180 * 24 * time.Hour // a password that nobody changed
	GrantsSoon = 7 * 24 * time.Hour   // access that is about to end
	TokensSoon = 14 * 24 * time.Hour  // a token likewise
	LinksAfter = 7 * 24 * time.Hour   // a link that is still good
)

// now is the time as PostgreSQL keeps it.
func (p *Posture) now() time.Time { return postgres.Now(p.Now) }

func (p *Posture) wake() {
	if p.Wake != nil {
		p.Wake()
	}
}

var parameter = regexp.MustCompile(`@([a-z]+)`)

// bound is what a statement takes of what there is.
func bound(statement string, all pgx.StrictNamedArgs) pgx.StrictNamedArgs {
	args := pgx.StrictNamedArgs{}
	for _, found := range parameter.FindAllStringSubmatch(statement, -1) {
		if value, ok := all[found[1]]; ok {
			args[found[1]] = value
		}
	}
	return args
}

// times are the parameters of what is found by the clock.
func (p *Posture) times(workspace core.ID) pgx.StrictNamedArgs {
	now := p.now()
	return pgx.StrictNamedArgs{
		"workspace": workspace, "now": now, "stale": now.Add(-StaleAfter), "endings": now.Add(GrantsSoon), "expiries": now.Add(TokensSoon),
		"old": now.Add(-LinksAfter),
	}
}
