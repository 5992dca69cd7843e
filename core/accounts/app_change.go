package accounts

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Made is what the app is made of.
func (a App) Made() NewApp {
	return NewApp{
		Name: a.Name, Domains: slices.Clone(a.Domains), SignInURL: a.SignInURL, ChangeURL: a.ChangeURL, Connector: a.Connector,
		Settings: slices.Clone(a.Settings), PasswordRules: a.PasswordRules, Risk: a.Risk,
	}
}

// with is the app made of something else.
func (a App) with(made NewApp) App {
	a.Name, a.Domains, a.SignInURL, a.ChangeURL = made.Name, made.Domains, made.SignInURL, made.ChangeURL
	a.Connector, a.Settings, a.PasswordRules, a.Risk = made.Connector, made.Settings, made.PasswordRules, made.Risk
	return a
}

const lockApp = selectApp + ` for no key update`

const updateApp = `
update apps set name = @name, domains = @domains, sign_in_url = @signIn, change_url = @change, connector = @connector, settings = @settings,
	password_rules = @rules, risk = @risk
where workspace_id = @workspace and id = @id`

// ChangeApp makes an app of what change leaves of what it is made of, and reports whether that is anything else. Only
// administrators, service accounts and the system may. Faulty fields are Invalid, as of CreateApp; so is a connector that
// cannot do what is asked of it in the app: set passwords if there is a reconcile account, disable leavers if it is to.
//
// The event tells which fields are others, and the hosts before and after if they are: the app's stored passwords go there.
func (a *Accounts) ChangeApp(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID, change func(made *NewApp) error) (app App, changed bool, err error) {
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return App{}, false, err
	}
	before, err := postgres.One[App](ctx, tx, "app", lockApp, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return App{}, false, err
	}
	wanted := before.Made()
	if err := change(&wanted); err != nil {
		return App{}, false, err
	}
	if wanted, err = a.checkApp(wanted); err != nil {
		return App{}, false, err
	}
	fields := differing(before.Made(), wanted)
	if len(fields) == 0 {
		return before, false, nil
	}
	app = before.with(wanted)
	switch {
	case !app.ReconcileAccount.IsZero() && a.Resets != nil && !a.Resets(app.Connector, app.Settings):
		return App{}, false, core.Invalid("connector", "the connector %s sets nobody else's password in this app, and its reconcile account is to; take that away first", app.Connector).WithCode("cannot_reset")
	case app.DisableOnLeave && a.Disables != nil && !a.Disables(app.Connector, app.Settings):
		return App{}, false, core.Invalid("connector", "the connector %s disables nobody in this app, and leavers are to be; switch that off first", app.Connector).WithCode("cannot_disable")
	}
	if _, err := tx.Exec(ctx, updateApp, pgx.StrictNamedArgs{
		"workspace": workspace, "id": id, "name": app.Name, "domains": app.Domains, "signIn": app.SignInURL, "change": app.ChangeURL,
		"connector": app.Connector, "settings": app.Settings, "rules": app.PasswordRules, "risk": app.Risk,
	}); err != nil {
		return App{}, false, collision(err, "app_name", "name", "another app has this name")
	}
	event := core.NewEvent(core.AppUpdated, workspace, cause, a.now(), app.Target()).With("changed", strings.Join(fields, " "))
	if slices.Contains(fields, "domains") {
		event = event.With("before", strings.Join(before.Domains, " ")).With("after", strings.Join(app.Domains, " "))
	}
	return app, true, audit.Append(ctx, tx, event)
}

// differing names, in the columns' words, what two apps differ in.
func differing(one, other NewApp) []string {
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"name", one.Name == other.Name},
		{"domains", slices.Equal(one.Domains, other.Domains)},
		{"sign_in_url", one.SignInURL == other.SignInURL},
		{"change_url", one.ChangeURL == other.ChangeURL},
		{"connector", one.Connector == other.Connector},
		{"settings", sameJSON(one.Settings, other.Settings)},
		{"password_rules", one.PasswordRules == other.PasswordRules},
		{"risk", one.Risk == other.Risk},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// sameJSON reports whether two texts mean the same. No settings are {}.
func sameJSON(one, other json.RawMessage) bool {
	var first, second any
	if json.Unmarshal(one, &first) != nil || json.Unmarshal(other, &second) != nil {
		return string(one) == string(other)
	}
	return reflect.DeepEqual(first, second)
}
