package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/gateway"
	"postern/scim/replay"
)

// scimReplay plays a journal again.
type scimReplay struct {
	Database   string `help:"PostgreSQL URL. One that holds a password must come as a reference (file:PATH or env:NAME)." env:"POSTERN_DATABASE" required:"" placeholder:"URL|REF"`
	Workspace  string `help:"Slug of the workspace." env:"POSTERN_WORKSPACE" required:"" placeholder:"SLUG"`
	Connection string `help:"Name or id of the connection." required:"" placeholder:"NAME"`
	From       string `help:"Begin with what was received then: a time such as 2026-05-01T08:00:00Z, or how long ago, such as 24h." placeholder:"TIME"`
	To         string `help:"End before this time." placeholder:"TIME"`
	Format     string `help:"text or json." default:"text" enum:"text,json"`
}

// Help is shown by 'postern scim replay --help'.
func (scimReplay) Help() string {
	return `Requests that were kept are played, in their order, against a scratch workspace with the rules of this version of Postern, and the state they end in is compared with the state there is. Nothing of the workspace is changed, no password is rotated, nobody is told.

It answers: would this version have understood what the last one refused? Has anything changed users behind the identity provider's back?

  postern scim replay --workspace acme --connection Okta
  postern scim replay --workspace acme --connection "Entra ID" --from 24h --format json

State from before the first request that is still kept is no part of the replay: see --journal-days of 'postern connection update'.`
}

func (r scimReplay) Run(ctx context.Context, terminal terminal) error {
	now := time.Now()
	from, err := moment("--from", r.From, now)
	if err != nil {
		return err
	}
	to, err := moment("--to", r.To, now)
	if err != nil {
		return err
	}
	database, err := gateway.DatabaseURL(r.Database)
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode) // the endpoint is built anew, and its routes are nobody's news
	var told time.Time
	report, err := replay.Run(ctx, replay.Options{
		Database: database.Reveal(), Workspace: r.Workspace, Connection: r.Connection, From: from, To: to,
		Progress: func(done, total int) {
			if now := time.Now(); done == total || now.Sub(told) >= time.Second {
				told = now
				fmt.Fprintf(terminal.err, "replayed %d of %d requests\n", done, total)
			}
		},
	})
	if err != nil {
		return err
	}
	if r.Format == "json" {
		return report.WriteJSON(terminal.out)
	}
	return report.WriteText(terminal.out)
}

// moment reads a time, or how long ago it is; the zero time when nothing is given.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, core.Invalid(flag, "give a time such as 2026-05-01T08:00:00Z, or how long ago, such as 24h")
	}
	return at, nil
}
