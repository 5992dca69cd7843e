package journal

import (
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// Entry is one provisioning request with its outcome. Its events are those with its Correlation.
type Entry struct {
	ID          core.ID   `db:"id"`
	Workspace   core.ID   `db:"workspace_id"`
	Connection  core.ID   `db:"connection_id"`
	Received    time.Time `db:"received"`
	Method      string    `db:"method"`
	Address     string    `db:"address"` // the path under the endpoint: /Users/0198…
	Query       string    `db:"query"`   // what is kept of the parameters; those of a search in a body too
	Body        *string   `db:"body"`    // JSON, redacted; nil: none, or none that could be read
	Profile     string    `db:"profile"` // which profile read it
	Rules       []string  `db:"rules"`   // which of its rules fired, each once
	Status      int       `db:"status"`
	Detail      string    `db:"detail"`      // what a refusal said, and how many like this one were not kept before it
	Resource    core.ID   `db:"resource_id"` // zero: none, or not known
	Correlation core.ID   `db:"correlation"`
}

const insertEntry = `
insert into provisioning_requests (id, workspace_id, connection_id, received, method, address, query, body, profile, rules, status, detail,
                                   resource_id, correlation)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

// Queue adds the entry to what a transaction sends to the database next. An entry without an id is
// given one.
func Queue(batch *pgx.Batch, e Entry) {
	if e.ID.IsZero() {
		e.ID = core.NewID()
	}
	if e.Rules == nil {
		e.Rules = []string{}
	}
	batch.Queue(insertEntry, e.ID, e.Workspace, e.Connection, e.Received, e.Method, e.Address, e.Query, e.Body, e.Profile, e.Rules, e.Status, e.Detail,
		e.Resource, e.Correlation)
}
