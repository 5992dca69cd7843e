package line

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/vault"
	"postern/deploy/local/demo"
	"postern/gateway/api"
	"postern/oidc/devidp/push"
)

// stranger is another workspace at the same Postern, with an IdP, a token of each kind and an
// account of its own.
type stranger struct {
	s          *stage
	API        demo.API
	workspace  core.ID
	connection core.ID
	scim       seal.Secret
	api        seal.Secret
	app        core.ID
	account    core.ID
	user       core.ID // who owns the account
	password   seal.Secret
}

// strangerClient is what the IdP calls Postern behind the stranger's connection.
const strangerClient = "postern-globex"

// stranger plants the other workspace, through the slices, as an operator would.
func (s *stage) stranger(t testing.TB) *stranger {
	t.Helper()
	people := &directory.Directory{DB: s.DB}
	text, err := s.Folder.Secret("key", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.NewLocalKey([]byte(text.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	secrets := &vault.Vault{DB: s.DB, Keys: keys}
	logins := &accounts.Accounts{DB: s.DB, Vault: secrets, Directory: people}
	cause := core.NewCause(core.System, time.Now())
	other := &stranger{s: s, password: seal.NewSecret("Globex-" + core.NewID().String())}
	err = s.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		ctx := t.Context()
		workspace, err := people.CreateWorkspace(ctx, tx, cause, "globex", "Globex")
		if err != nil {
			return err
		}
		other.workspace = workspace.ID
		if _, err := secrets.Prepare(ctx, tx, workspace.ID); err != nil {
			return err
		}
		connection, err := people.CreateConnection(ctx, tx, cause, workspace.ID, directory.NewConnection{
			Name: "Globex Okta", Kind: directory.Okta, Issuer: s.Stack.IdP, ClientID: strangerClient,
		})
		if err != nil {
			return err
		}
		other.connection = connection.ID
		if other.scim, err = people.CreateConnectionToken(ctx, tx, cause, workspace.ID, connection.ID, nil); err != nil {
			return err
		}
		account, err := people.CreateServiceAccount(ctx, tx, cause, workspace.ID, "scripts", api.Scopes())
		if err != nil {
			return err
		}
		if other.api, err = people.CreateServiceAccountToken(ctx, tx, cause, workspace.ID, account.ID, nil); err != nil {
			return err
		}
		owner, err := people.InsertUser(ctx, tx, directory.User{
			ID: core.NewID(), Workspace: workspace.ID, Connection: connection.ID, UserName: "owner@globex.example", Email: "owner@globex.example",
			Active: true, Role: directory.RoleOwner,
		})
		if err != nil {
			return err
		}
		other.user = owner.ID
		app, err := logins.CreateApp(ctx, tx, cause, workspace.ID, accounts.NewApp{
			Name: "Globex wiki", Domains: []string{"wiki.globex.example"}, SignInURL: "https://wiki.globex.example/login", Connector: "browser",
		})
		if err != nil {
			return err
		}
		other.app = app.ID
		shared, err := logins.CreateAccount(ctx, tx, cause, workspace.ID, accounts.NewAccount{
			App: app.ID, Username: "globex-shared", Password: other.password, Owner: owner.ID,
		})
		other.account = shared.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other.API = demo.API{URL: s.Stack.Gateway, Token: other.api.Reveal()}
	s.secrets.plant("the other workspace's SCIM token", other.scim.Reveal())
	s.secrets.plant("the other workspace's API token", other.api.Reveal())
	s.secrets.plant("the other workspace's password", other.password.Reveal())
	return other
}

func (o *stranger) idp() *idp {
	return o.s.listening(&push.Client{Style: push.Okta, URL: o.s.Stack.Gateway + "/scim/v2", Token: o.scim})
}

// join pushes somebody to the other workspace.
func (o *stranger) join(t testing.TB, userName string) string {
	t.Helper()
	result, err := o.idp().PushUser(t.Context(), push.User{ID: "globex-" + userName, UserName: userName, DisplayName: userName, Email: userName})
	return answered(t, result, err).ID
}

// leave deactivates somebody of the other workspace.
func (o *stranger) leave(t testing.TB, userName string) {
	t.Helper()
	result, err := o.idp().Deactivate(t.Context(), o.join(t, userName))
	answered(t, result, err)
}
