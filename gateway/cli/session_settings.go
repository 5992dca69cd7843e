package cli

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
)

// sessionSettings shows or changes a workspace's limits.
type sessionSettings struct {
	inWorkspace `embed:""`
	Idle        *time.Duration `help:"An unused session ends after this: 1m to the whole life." placeholder:"30m"`
	Life        *time.Duration `help:"Any session ends after this: 1m to 720h." placeholder:"12h"`
	RevealAge   *time.Duration `help:"How long a proof is good for being given a password; 0 is for ever." placeholder:"15m"`
	RevealACR   *string        `help:"acr values one of which is wanted for it, separated by spaces; empty is any." name:"reveal-acr" placeholder:"VALUES"`
	AdminAge    *time.Duration `help:"How long a proof is good for administrators' changes in the console; 0 is for ever." placeholder:"30m"`
	AdminACR    *string        `help:"acr values one of which is wanted for them, separated by spaces; empty is any." name:"admin-acr" placeholder:"VALUES"`
}

// Help is shown by 'postern session settings --help'.
func (sessionSettings) Help() string {
	return `Without flags it shows the settings. A shorter limit holds at once, for sessions that exist too; a longer life holds for those that begin from now on.

  postern session settings --workspace acme
  postern session settings --workspace acme --idle 15m --life 8h
  postern session settings --workspace acme --reveal-age 5m --reveal-acr "phr phrh"`
}

// sessionSettingsRow is the settings as a script reads them, in seconds.
type sessionSettingsRow struct {
	Idle      int      `json:"idle"`
	Life      int      `json:"life"`
	RevealAge int      `json:"reveal_age"`
	RevealACR []string `json:"reveal_acr"`
	AdminAge  int      `json:"admin_age"`
	AdminACR  []string `json:"admin_acr"`
}

func (c sessionSettings) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var now directory.SessionSettings
	err = s.db.Tx(ctx, func(tx pgx.Tx) (err error) {
		now, err = s.people.ChangeSessionSettings(ctx, tx, s.cause, s.workspace.ID, c.edit)
		return err
	})
	if err != nil {
		return err
	}
	seconds := func(span time.Duration) int { return int(span / time.Second) }
	row := sessionSettingsRow{seconds(now.Idle), seconds(now.Life), seconds(now.RevealAge), now.RevealACR, seconds(now.AdminAge), now.AdminACR}
	return c.show(terminal, row, func(sheet sheet) {
		sheet.row("idle", now.Idle.String())
		sheet.row("life", now.Life.String())
		sheet.row("reveal age", age(now.RevealAge))
		sheet.row("reveal acr", anyOf(now.RevealACR))
		sheet.row("admin age", age(now.AdminAge))
		sheet.row("admin acr", anyOf(now.AdminACR))
	})
}

// edit takes over what was given.
func (c sessionSettings) edit(settings *directory.SessionSettings) {
	for _, one := range []struct {
		given *time.Duration
		into  *time.Duration
	}{{c.Idle, &settings.Idle}, {c.Life, &settings.Life}, {c.RevealAge, &settings.RevealAge}, {c.AdminAge, &settings.AdminAge}} {
		if one.given != nil {
			*one.into = *one.given
		}
	}
	for _, one := range []struct {
		given *string
		into  *[]string
	}{{c.RevealACR, &settings.RevealACR}, {c.AdminACR, &settings.AdminACR}} {
		if one.given != nil {
			*one.into = strings.Fields(*one.given)
		}
	}
}

func age(span time.Duration) string {
	if span == 0 {
		return "for ever"
	}
	return span.String()
}

func anyOf(values []string) string {
	if len(values) == 0 {
		return "any"
	}
	return strings.Join(values, " or ")
}
