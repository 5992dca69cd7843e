package posture

import (
	"github.com/jackc/pgx/v5"

	"postern/core"
)

// Statement is a query and what it takes.
type Statement struct {
	SQL  string
	Args pgx.StrictNamedArgs
}

// Statements are those that read what is found and how accounts stand, for a test to ask PostgreSQL how it runs them.
func (p *Posture) Statements(workspace core.ID, f Filter) map[string]Statement {
	reached := selectReached(p.goals())
	all := map[string]Statement{"the overview": {reached, bound(reached, p.times(workspace))}}
	for _, one := range kinds {
		for what, after := range map[string]position{"page": {}, "next page": {id: core.NewID(), since: new(p.now())}} {
			args := p.times(workspace)
			args["limit"] = 101
			if statement, none := one.page(f, after, args); !none {
				all[what+" of "+string(one.Kind)] = Statement{statement, bound(statement, args)}
			}
		}
		args := p.times(workspace)
		if statement, none := one.count(f, args); !none {
			all["count of "+string(one.Kind)] = Statement{statement, bound(statement, args)}
		}
	}
	return all
}
