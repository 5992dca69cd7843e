package accounts

import (
	"context"
	"net/url"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/passwordrules"
	"postern/core/seal"
)

// Rules is what is known of the passwords an app takes: what a person said, beside it what the app said, and what is
// published of its site, as far as some password can satisfy all.
func (a App) Rules() passwordrules.Rules {
	// Both texts were made by Rules.String; what cannot be read all the same says nothing.
	given, _ := passwordrules.Parse(a.PasswordRules)
	seen, _ := passwordrules.Parse(a.SeenRules)
	return together(together(given, seen), a.PublishedRules())
}

// PublishedRules are those that are published of the app's site: see passwordrules.Published.
func (a App) PublishedRules() passwordrules.Rules {
	address, err := url.Parse(a.SignInURL)
	if err != nil {
		return passwordrules.Rules{}
	}
	return passwordrules.Published(address.Hostname())
}

// together is both, or the first alone if no password satisfies both.
func together(first, second passwordrules.Rules) passwordrules.Rules {
	if both := first.And(second); makes(both) {
		return both
	}
	return first
}

func makes(rules passwordrules.Rules) bool {
	_, err := rules.Generate(seal.PasswordPolicy{})
	return err == nil
}

const updateSeenRules = `update apps set seen_rules = @rules where workspace_id = @workspace and id = @app and seen_rules <> @rules`

// LearnRules adds to an app what it said of its passwords, and reports whether that was new. Where it contradicts what
// the app said before, the latest holds. Rules that no safe password satisfies are not kept: Conflict, in words.
func (a *Accounts) LearnRules(ctx context.Context, tx pgx.Tx, app *App, said passwordrules.Rules) (bool, error) {
	if _, err := said.Generate(seal.PasswordPolicy{}); err != nil {
		return false, err
	}
	seen, _ := passwordrules.Parse(app.SeenRules)
	text := together(said, seen).String()
	if len(text) > passwordrules.MaxText {
		text = said.String()
	}
	if text == app.SeenRules || text == "" {
		return false, nil
	}
	if _, err := passwordrules.Parse(text); err != nil {
		return false, core.Internal(err)
	}
	if _, err := tx.Exec(ctx, updateSeenRules, pgx.StrictNamedArgs{"workspace": app.Workspace, "app": app.ID, "rules": text}); err != nil {
		return false, err
	}
	app.SeenRules = text
	return true, nil
}
