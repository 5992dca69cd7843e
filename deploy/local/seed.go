package local

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/vault"
)

// Seed is what a development workspace begins with.
type Seed struct {
	DB         *postgres.DB
	Keys       seal.KeyProvider
	GatewayURL string
	Issuer     string   // of the development IdP
	Scopes     []string // of the service account for scripts
}

// workspaceSlug names the one workspace of a development stack.
const workspaceSlug = "acme"

// connectionKinds are the two connections a development workspace has: the same IdP, once as Okta
// and once as Entra ID would be.
var connectionKinds = []directory.ConnectionKind{directory.Okta, directory.Entra}

// Plant makes the workspace, its connections and its tokens, whatever of them is missing, and
// returns what scripts need to know. Running it again changes nothing: secrets are read back from
// the folder, and made anew only when they no longer work.
func (s Seed) Plant(ctx context.Context, folder *Folder) (Descriptor, error) {
	people := &directory.Directory{DB: s.DB}
	cause := core.NewCause(core.System, time.Now())
	descriptor := Descriptor{
		Gateway: s.GatewayURL, SCIM: map[string]SCIMAddress{}, Logout: map[string]string{}, SignIn: map[string]string{},
	}
	workspace, err := people.WorkspaceBySlug(ctx, s.DB, workspaceSlug)
	if core.KindOf(err) == core.KindNotFound {
		err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
			workspace, err = people.CreateWorkspace(ctx, tx, cause, workspaceSlug, "Acme")
			if err != nil {
				return err
			}
			_, err = (&vault.Vault{DB: s.DB, Keys: s.Keys}).Prepare(ctx, tx, workspace.ID)
			return err
		})
	}
	if err != nil {
		return descriptor, err
	}
	for _, kind := range connectionKinds {
		connection, err := s.connection(ctx, people, cause, workspace.ID, kind, folder)
		if err != nil {
			return descriptor, err
		}
		token, err := s.scimToken(ctx, people, cause, connection, folder)
		if err != nil {
			return descriptor, err
		}
		name := string(kind)
		descriptor.SCIM[name] = SCIMAddress{URL: s.GatewayURL + "/scim/v2", Token: token.Reveal()}
		descriptor.Logout[name] = s.GatewayURL + "/webhooks/" + connection.ID.String() + "/universal-logout"
		descriptor.SignIn[name] = s.GatewayURL + "/sso/" + connection.ID.String() + "/start"
	}
	token, err := s.apiToken(ctx, people, cause, workspace.ID, folder)
	descriptor.APIToken = token.Reveal()
	return descriptor, err
}

// ClientID is what the development IdP calls Postern behind a connection.
func ClientID(kind directory.ConnectionKind) string { return "postern-" + string(kind) }

func clientSecretName(kind directory.ConnectionKind) string { return "idp-client-" + string(kind) }

func (s Seed) connection(ctx context.Context, people *directory.Directory, cause core.Cause, workspace core.ID, kind directory.ConnectionKind, folder *Folder) (directory.Connection, error) {
	existing, err := people.Connections(ctx, s.DB, workspace)
	if err != nil {
		return directory.Connection{}, err
	}
	for _, connection := range existing {
		if connection.Kind == kind {
			return connection, nil
		}
	}
	var made directory.Connection
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		made, err = people.CreateConnection(ctx, tx, cause, workspace, directory.NewConnection{
			Name: map[directory.ConnectionKind]string{directory.Okta: "Okta", directory.Entra: "Entra ID"}[kind], Kind: kind,
			Issuer: s.Issuer, ClientID: ClientID(kind), ClientSecret: "file:" + folder.In("secrets", clientSecretName(kind)),
		})
		return err
	})
	return made, err
}

func (s Seed) scimToken(ctx context.Context, people *directory.Directory, cause core.Cause, connection directory.Connection, folder *Folder) (seal.Secret, error) {
	generate := func() (token seal.Secret, err error) {
		err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
			token, err = people.CreateConnectionToken(ctx, tx, cause, connection.Workspace, connection.ID, nil)
			return err
		})
		return token, err
	}
	return s.working(folder, "scim-"+string(connection.Kind), generate, func(token seal.Secret) error {
		_, err := people.AuthenticateConnection(ctx, token)
		return err
	})
}

func (s Seed) apiToken(ctx context.Context, people *directory.Directory, cause core.Cause, workspace core.ID, folder *Folder) (seal.Secret, error) {
	generate := func() (token seal.Secret, err error) {
		accounts, err := people.ServiceAccounts(ctx, s.DB, workspace)
		if err != nil {
			return token, err
		}
		err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
			if len(accounts) == 0 {
				account, err := people.CreateServiceAccount(ctx, tx, cause, workspace, "scripts", s.Scopes)
				if err != nil {
					return err
				}
				accounts = append(accounts, account)
			}
			token, err = people.CreateServiceAccountToken(ctx, tx, cause, workspace, accounts[0].ID, nil)
			return err
		})
		return token, err
	}
	return s.working(folder, "api", generate, func(token seal.Secret) error {
		_, err := people.AuthenticateServiceAccount(ctx, token)
		return err
	})
}

// working returns the secret kept under a name if it still works, and a new one otherwise: a run
// that was killed between the database and the folder leaves a token nobody knows.
func (s Seed) working(folder *Folder, name string, generate func() (seal.Secret, error), try func(seal.Secret) error) (seal.Secret, error) {
	secret, err := folder.Secret(name, generate)
	if err != nil || try(secret) == nil {
		return secret, err
	}
	if secret, err = generate(); err != nil {
		return secret, err
	}
	return secret, folder.Write("secrets/"+name, []byte(secret.Reveal()))
}
