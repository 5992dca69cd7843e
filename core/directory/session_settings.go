package directory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// The defaults of a workspace's session settings; those of idle and life are the Directory's.
const (
	DefaultRevealAge = 15 * time.Minute
	DefaultAdminAge  = 30 * time.Minute
)

// SessionSettings are how long a workspace's sessions last, and how recently somebody must have proven
// themselves for what matters most.
type SessionSettings struct {
	Idle      time.Duration `db:"idle"`       // a session nobody used for so long ends
	Life      time.Duration `db:"life"`       // and so does one that began so long ago
	RevealAge time.Duration `db:"reveal_age"` // to be given a password; 0: however long ago
	AdminAge  time.Duration `db:"admin_age"`  // to change what belongs to others; 0: however long ago
	RevealACR []string      `db:"reveal_acr"` // one of these acr values; none: any
	AdminACR  []string      `db:"admin_acr"`
}

// The borders of the settings.
const (
	shortestIdle = time.Minute
	longestLife  = 30 * 24 * time.Hour
	shortestAge  = time.Minute
	mostACR      = 10
)

const selectSessionSettings = `
select idle, life, reveal_age, admin_age, reveal_acr, admin_acr from session_settings where workspace_id = @workspace`

// SessionSettings reads the settings of a workspace, or the defaults where nobody has set any.
func (d *Directory) SessionSettings(ctx context.Context, q postgres.Querier, workspace core.ID) (SessionSettings, error) {
	settings, err := postgres.One[SessionSettings](ctx, q, "settings", selectSessionSettings, pgx.StrictNamedArgs{"workspace": workspace})
	if core.KindOf(err) == core.KindNotFound {
		return SessionSettings{
			Idle: cmp.Or(max(d.SessionIdle, 0), DefaultSessionIdle), Life: cmp.Or(max(d.SessionLife, 0), DefaultSessionLife),
			RevealAge: DefaultRevealAge, AdminAge: DefaultAdminAge, RevealACR: []string{}, AdminACR: []string{},
		}, nil
	}
	return settings, err
}

const lockWorkspace = `select id, slug, name, created from workspaces where id = @workspace for no key update`

const upsertSessionSettings = `
insert into session_settings (workspace_id, idle, life, reveal_age, admin_age, reveal_acr, admin_acr, updated)
values (@workspace, @idle, @life, @reveal_age, @admin_age, @reveal_acr, @admin_acr, @now)
on conflict (workspace_id) do update set idle = excluded.idle, life = excluded.life, reveal_age = excluded.reveal_age,
	admin_age = excluded.admin_age, reveal_acr = excluded.reveal_acr, admin_acr = excluded.admin_acr, updated = excluded.updated`

// ChangeSessionSettings edits the settings of a workspace and returns them as stored. A shorter limit
// holds at once, for sessions that exist too; a longer life holds for those that begin from now on.
// Without a difference nothing happens, not even an event.
func (d *Directory) ChangeSessionSettings(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, edit func(*SessionSettings)) (SessionSettings, error) {
	of, err := postgres.One[Workspace](ctx, tx, "workspace", lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return SessionSettings{}, err
	}
	before, err := d.SessionSettings(ctx, tx, workspace)
	if err != nil {
		return SessionSettings{}, err
	}
	wanted := before
	wanted.RevealACR, wanted.AdminACR = slices.Clone(before.RevealACR), slices.Clone(before.AdminACR)
	edit(&wanted)
	wanted.RevealACR, wanted.AdminACR = words(wanted.RevealACR), words(wanted.AdminACR)
	if err := wanted.check(); err != nil {
		return SessionSettings{}, err
	}
	changed := wanted.difference(before)
	if len(changed) == 0 {
		return before, nil
	}
	now := d.now()
	if _, err := tx.Exec(ctx, upsertSessionSettings, pgx.StrictNamedArgs{
		"workspace": workspace, "idle": wanted.Idle, "life": wanted.Life, "reveal_age": wanted.RevealAge, "admin_age": wanted.AdminAge,
		"reveal_acr": wanted.RevealACR, "admin_acr": wanted.AdminACR, "now": now,
	}); err != nil {
		return SessionSettings{}, err
	}
	event := core.NewEvent(core.SessionSettingsChanged, workspace, cause, now, core.Target{Kind: "workspace", ID: of.ID, Name: of.Name})
	var fields []string
	for _, one := range changed {
		event, fields = event.With(one.field, one.value), append(fields, one.field)
	}
	event = event.With("changed", strings.Join(fields, ","))
	return wanted, audit.Append(ctx, tx, event)
}

func (s SessionSettings) check() error {
	switch {
	case s.Life < shortestIdle || s.Life > longestLife:
		return core.Invalid("life", "a session lives for 1 minute to 30 days")
	case s.Idle < shortestIdle || s.Idle > s.Life:
		return core.Invalid("idle", "a session may be idle for 1 minute up to as long as it lives")
	case s.RevealAge != 0 && (s.RevealAge < shortestAge || s.RevealAge > longestLife):
		return core.Invalid("reveal_age", "0, or 1 minute to 30 days")
	case s.AdminAge != 0 && (s.AdminAge < shortestAge || s.AdminAge > longestLife):
		return core.Invalid("admin_age", "0, or 1 minute to 30 days")
	case s.Life%time.Second+s.Idle%time.Second+s.RevealAge%time.Second+s.AdminAge%time.Second != 0:
		return core.Invalid("", "limits are whole seconds")
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"reveal_acr", s.RevealACR}, {"admin_acr", s.AdminACR}} {
		if len(list.values) > mostACR {
			return core.Invalid(list.field, "at most %d values", mostACR)
		}
		for _, value := range list.values {
			if len(value) > 200 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r >= 0x7f }) {
				return core.Invalid(list.field, "an acr value is up to 200 printable characters without spaces and quotes")
			}
		}
	}
	return nil
}

// words are the texts that are not empty, each once.
func words(texts []string) []string {
	kept := []string{}
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" && !slices.Contains(kept, text) {
			kept = append(kept, text)
		}
	}
	return kept
}

type settingChange struct{ field, value string }

func (s SessionSettings) difference(before SessionSettings) []settingChange {
	var changed []settingChange
	for _, one := range []struct {
		field     string
		different bool
		value     string
	}{
		{"idle", s.Idle != before.Idle, s.Idle.String()},
		{"life", s.Life != before.Life, s.Life.String()},
		{"reveal_age", s.RevealAge != before.RevealAge, s.RevealAge.String()},
		{"admin_age", s.AdminAge != before.AdminAge, s.AdminAge.String()},
		{"reveal_acr", !slices.Equal(s.RevealACR, before.RevealACR), strings.Join(s.RevealACR, " ")},
		{"admin_acr", !slices.Equal(s.AdminACR, before.AdminACR), strings.Join(s.AdminACR, " ")},
	} {
		if one.different {
			changed = append(changed, settingChange{one.field, one.value})
		}
	}
	return changed
}
