package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/gateway/api"
)

type tokenCommands struct {
	Create createToken `cmd:"" help:"Make a service account and its token for the API, or one more token for one there is."`
	List   listTokens  `cmd:"" help:"List the service accounts and their tokens."`
	Revoke revokeToken `cmd:"" help:"End a token at once and for good."`
}

// createToken gives a script or another system access to the API.
type createToken struct {
	inWorkspace `embed:""`
	lifetime    `embed:""`
	Name        string   `help:"Name of the service account: what the audit log calls it." required:"" placeholder:"NAME"`
	Scopes      []string `help:"What it may do; the scopes are listed above." placeholder:"SCOPE"`
}

// Help is shown by 'postern token create --help'.
func (createToken) Help() string {
	return `A service account is an identity that is not a person. Its token opens /api/v1 of its workspace for what its scopes allow, is shown this once, and is sent as "Authorization: Bearer pst_api_…". It never gives out a password.

Scopes: ` + strings.Join(api.Scopes(), ", ") + `.

  postern token create --workspace acme --name reports --scopes accounts:read,activity:read --days 90

A service account has two slots for live tokens. Without --scopes, one that is there gets its second token, so that the first can be replaced without a gap.`
}

// madeAPIToken is a token just made, with whose it is.
type madeAPIToken struct {
	ServiceAccount struct {
		ID     core.ID  `json:"id"`
		Name   string   `json:"name"`
		Scopes []string `json:"scopes"`
	} `json:"service_account"`
	madeToken
}

func (c createToken) Run(ctx context.Context, terminal terminal) error {
	for _, scope := range c.Scopes {
		if !slices.Contains(api.Scopes(), scope) {
			return core.Invalid("--scopes", "%q is none of %s", scope, strings.Join(api.Scopes(), ", "))
		}
	}
	expires, err := c.expires()
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *setup) error {
		var account directory.ServiceAccount
		var made madeAPIToken
		err := s.db.Tx(ctx, func(tx pgx.Tx) error {
			if account, err = c.account(ctx, tx, s); err != nil {
				return err
			}
			made.madeToken, _, err = s.serviceAccountSlots().fill(ctx, tx, account.ID, expires)
			return err
		})
		if err != nil {
			return err
		}
		made.ServiceAccount.ID, made.ServiceAccount.Name, made.ServiceAccount.Scopes = account.ID, account.Name, account.Scopes
		return c.show(terminal, made, func(sheet sheet) {
			sheet.say("Made a token for the service account %s.\n", account.Name)
			sheet.row("service account id", account.ID.String())
			sheet.row("scopes", strings.Join(account.Scopes, " "))
			sheet.row("token id", made.ID.String())
			sheet.row("token, shown once", made.Token)
			sheet.say("\nSend it as  Authorization: Bearer TOKEN  to /api/v1; /api/v1/openapi.json says what there is.")
		})
	})
}

// account finds the service account by its name, or makes it.
func (c createToken) account(ctx context.Context, tx pgx.Tx, s *setup) (directory.ServiceAccount, error) {
	all, err := s.people.ServiceAccounts(ctx, tx, s.workspace.ID)
	if err != nil {
		return directory.ServiceAccount{}, err
	}
	at := slices.IndexFunc(all, func(one directory.ServiceAccount) bool { return one.Name == c.Name })
	switch {
	case at < 0 && len(c.Scopes) == 0:
		return directory.ServiceAccount{}, core.Invalid("--scopes", "say what %s may do: %s", c.Name, strings.Join(api.Scopes(), ", "))
	case at < 0:
		return s.people.CreateServiceAccount(ctx, tx, s.cause, s.workspace.ID, c.Name, slices.Compact(slices.Sorted(slices.Values(c.Scopes))))
	case len(c.Scopes) > 0 && !sameScopes(c.Scopes, all[at].Scopes):
		return directory.ServiceAccount{}, core.Conflict("--scopes", "the service account %s is there with %s; leave --scopes out, or take another --name", c.Name, strings.Join(all[at].Scopes, ", "))
	}
	return all[at], nil
}

func sameScopes(one, other []string) bool {
	sorted := func(scopes []string) []string { return slices.Compact(slices.Sorted(slices.Values(scopes))) }
	return slices.Equal(sorted(one), sorted(other))
}

// listTokens shows everything about the tokens but themselves.
type listTokens struct {
	inWorkspace `embed:""`
}

func (l listTokens) Run(ctx context.Context, terminal terminal) error {
	type entry struct {
		ID     core.ID    `json:"id"`
		Name   string     `json:"name"`
		Scopes []string   `json:"scopes"`
		Tokens []tokenRow `json:"tokens"`
	}
	return l.with(ctx, func(s *setup) error {
		accounts, err := s.people.ServiceAccounts(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		entries := make([]entry, 0, len(accounts))
		for _, one := range accounts {
			rows, err := s.serviceAccountSlots().list(ctx, s.db, one.ID)
			if err != nil {
				return err
			}
			entries = append(entries, entry{one.ID, one.Name, one.Scopes, rows})
		}
		return l.show(terminal, map[string]any{"service_accounts": entries}, func(sheet sheet) {
			if len(entries) == 0 {
				sheet.say("no service accounts")
			}
			for i, one := range entries {
				if i > 0 {
					sheet.say("")
				}
				sheet.say("%s: %s", one.Name, strings.Join(one.Scopes, " "))
				sheet.tokens(one.Tokens)
			}
		})
	})
}

// revokeToken ends a token.
type revokeToken struct {
	inWorkspace `embed:""`
	Token       string `arg:"" help:"Id of the token, as 'list' shows it."`
}

func (r revokeToken) Run(ctx context.Context, terminal terminal) error {
	id, err := parseTokenID(r.Token)
	if err != nil {
		return err
	}
	return r.with(ctx, func(s *setup) error {
		accounts, err := s.people.ServiceAccounts(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			switch err := s.serviceAccountSlots().revoke(ctx, account.ID, id); {
			case err == nil:
				return r.show(terminal, map[string]any{"service_account": account.ID, "revoked": id}, func(sheet sheet) {
					sheet.say("Revoked the token %s of %s.", id, account.Name)
				})
			case core.KindOf(err) != core.KindNotFound:
				return err
			}
		}
		return core.NotFound("token")
	})
}
