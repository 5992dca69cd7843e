package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

type newConnection struct {
	Body struct {
		Name          string   `json:"name" minLength:"1" maxLength:"255" doc:"What people call it, at sign-in too"`
		Kind          string   `json:"kind" enum:"okta,entra,generic"`
		Issuer        string   `json:"issuer,omitempty" maxLength:"1000" doc:"Of OpenID Connect, exactly as its discovery document has it"`
		ClientID      string   `json:"client_id,omitempty" maxLength:"255"`
		LogoutIssuers []string `json:"logout_issuers,omitempty" nullable:"false" maxItems:"10" doc:"Further issuers whose logout tokens are believed"`
		JWKSURI       string   `json:"jwks_uri,omitempty" maxLength:"1000" doc:"Where the keys are; from the discovery document when absent"`
	}
}

// wanted checks what only an operator could otherwise have said.
func (n newConnection) wanted() (directory.NewConnection, error) {
	body := n.Body
	for field, address := range map[string]string{"issuer": body.Issuer, "jwks_uri": body.JWKSURI} {
		if address != "" && !core.SecureAddress(address) {
			return directory.NewConnection{}, core.Invalid(field, "a https address is needed")
		}
	}
	for _, address := range body.LogoutIssuers {
		if !core.SecureAddress(address) {
			return directory.NewConnection{}, core.Invalid("logout_issuers", "a https address is needed")
		}
	}
	if (body.Issuer == "") != (body.ClientID == "") {
		return directory.NewConnection{}, core.Invalid("client_id", "sign-in needs the issuer and the client id")
	}
	return directory.NewConnection{
		Name: body.Name, Kind: directory.ConnectionKind(body.Kind), Issuer: body.Issuer, ClientID: body.ClientID, LogoutIssuers: body.LogoutIssuers, JWKSURI: body.JWKSURI,
	}, nil
}

func (s *Service) connectionLife(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "createConnection", Method: http.MethodPost, Path: "/connections", Tags: tags, Summary: "Connect an identity provider", DefaultStatus: http.StatusCreated,
		Description: "It has no client secret: its client proves itself by a key or by PKCE alone, or an operator gives it one (`postern connection update`). Its SCIM token is made by createConnectionToken."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *newConnection) (*single[Connection], error) {
			wanted, err := in.wanted()
			if err != nil {
				return nil, err
			}
			var made directory.Connection
			if err := s.change(ctx, func(tx pgx.Tx) (err error) {
				made, err = s.Directory.CreateConnection(ctx, tx, by.cause, by.Workspace, wanted)
				return err
			}); err != nil {
				return nil, err
			}
			return &single[Connection]{connectionOf(made)}, nil
		})
	add(api, huma.Operation{OperationID: "forgetSignIn", Method: http.MethodDelete, Path: "/connections/{id}/sign-in", Tags: tags, Summary: "Have a connection believe nobody any more", DefaultStatus: http.StatusNoContent,
		Description: "Its issuer, client and keys are forgotten: nobody signs in through it, and no logout is believed. Sessions live on until they end; streams and SCIM tokens are ended by their own operations. The connection stays, for what it did is on record."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				_, err := s.Directory.ChangeConnection(ctx, tx, by.cause, by.Workspace, in.ID, func(c *directory.Connection) {
					c.Issuer, c.ClientID, c.ClientSecret, c.JWKSURI, c.LogoutIssuers, c.SignIn = "", "", "", "", nil, directory.SignIn{}
				})
				return err
			})
		})
}
