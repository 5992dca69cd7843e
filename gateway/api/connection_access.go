package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// Token is what can be known of a token after it was made: everything but the token itself.
type Token struct {
	ID       core.ID    `json:"id"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty" doc:"To the minute"`
}

func tokenOf(token directory.Token) Token {
	return Token{token.ID, token.Created, token.Expires, token.LastUsed}
}

// CreatedToken is a new token, the only time it is told.
type CreatedToken struct {
	Token
	Secret string `json:"token" doc:"Shown once: what the identity provider sends as Authorization: Bearer"`
}

// Client is an OAuth client of a connection, without its secret.
type Client struct {
	ID       core.ID    `json:"id"`
	ClientID string     `json:"client_id"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty" doc:"To the minute"`
}

func clientOf(client directory.Client) Client {
	return Client{client.ID, client.ClientID, client.Created, client.Expires, client.LastUsed}
}

// CreatedClient is a new client, with its secret the only time it is told.
type CreatedClient struct {
	Client
	Secret string `json:"client_secret" doc:"Shown once"`
}

type newAccess struct {
	ID   core.ID `path:"id" doc:"The connection"`
	Body struct {
		Expires *time.Time `json:"expires,omitempty" doc:"When it ends by itself; never when absent"`
	}
}

type byToken struct {
	ID    core.ID `path:"id" doc:"The connection"`
	Token core.ID `path:"token" doc:"The token's id, never the token"`
}

type byClient struct {
	ID     core.ID `path:"id" doc:"The connection"`
	Client core.ID `path:"client" doc:"The client's id"`
}

// future refuses what would be dead when it is made.
func (s *Service) future(expires *time.Time) error {
	if expires != nil && !expires.After(s.now()) {
		return core.Invalid("expires", "this has passed already")
	}
	return nil
}

func (s *Service) connectionTokens(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listConnectionTokens", Method: http.MethodGet, Path: "/connections/{id}/tokens", Tags: tags, Summary: "List a connection's SCIM tokens, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*listed[Token], error) {
			if _, err := s.Directory.Connection(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Directory.ConnectionTokens(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, tokenOf), nil
		})
	add(api, huma.Operation{OperationID: "createConnectionToken", Method: http.MethodPost, Path: "/connections/{id}/tokens", Tags: tags, Summary: "Make a SCIM token",
		Description: "The token is in this answer and nowhere else. A connection has at most two live ones, so that one can be replaced without a gap.", DefaultStatus: http.StatusCreated},
		ConnectionsWrite, func(ctx context.Context, by caller, in *newAccess) (*single[CreatedToken], error) {
			if err := s.future(in.Body.Expires); err != nil {
				return nil, err
			}
			var secret seal.Secret
			var made directory.Token
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				if secret, err = s.Directory.CreateConnectionToken(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Expires); err != nil {
					return err
				}
				tokens, err := s.Directory.ConnectionTokens(ctx, tx, by.Workspace, in.ID)
				if err == nil {
					made = tokens[len(tokens)-1]
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[CreatedToken]{CreatedToken{tokenOf(made), secret.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "revokeConnectionToken", Method: http.MethodDelete, Path: "/connections/{id}/tokens/{token}", Tags: tags, Summary: "End a SCIM token at once and for good", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byToken) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Directory.RevokeConnectionToken(ctx, tx, by.cause, by.Workspace, in.ID, in.Token)
			})
		})
}

func (s *Service) connectionClients(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listConnectionClients", Method: http.MethodGet, Path: "/connections/{id}/clients", Tags: tags, Summary: "List a connection's OAuth clients, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*listed[Client], error) {
			if _, err := s.Directory.Connection(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Directory.ConnectionClients(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, clientOf), nil
		})
	add(api, huma.Operation{OperationID: "createConnectionClient", Method: http.MethodPost, Path: "/connections/{id}/clients", Tags: tags, Summary: "Make an OAuth client",
		Description: "The secret is in this answer and nowhere else. The identity provider exchanges both for access tokens at `/scim/oauth/token` (RFC 6749, section 4.4).", DefaultStatus: http.StatusCreated},
		ConnectionsWrite, func(ctx context.Context, by caller, in *newAccess) (*single[CreatedClient], error) {
			if err := s.future(in.Body.Expires); err != nil {
				return nil, err
			}
			var made directory.Client
			var secret seal.Secret
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				made, secret, err = s.Directory.CreateConnectionClient(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Expires)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[CreatedClient]{CreatedClient{clientOf(made), secret.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "revokeConnectionClient", Method: http.MethodDelete, Path: "/connections/{id}/clients/{client}", Tags: tags, Summary: "End an OAuth client and its access tokens at once and for good", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byClient) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Directory.RevokeConnectionClient(ctx, tx, by.cause, by.Workspace, in.ID, in.Client)
			})
		})
}
