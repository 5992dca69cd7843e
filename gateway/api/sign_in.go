package api

import (
	"context"
	"encoding/pem"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/signing"
)

// SignIn is how people sign in through a connection.
type SignIn struct {
	Preset            string   `json:"preset,omitempty" enum:"keycloak,google" doc:"Of a generic connection"`
	Algorithms        []string `json:"algorithms,omitempty" nullable:"false" maxItems:"10" doc:"What an ID token may be signed with, whatever the provider's documents list; RS256, ES256 and PS256 when absent"`
	Authentication    string   `json:"authentication,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt,none" doc:"As the provider's discovery document offers when absent"`
	AssertionAudience string   `json:"assertion_audience,omitempty" enum:"token_endpoint" doc:"aud of private_key_jwt assertions; the issuer when absent, except for okta and entra"`
	Pushing           string   `json:"pushed_requests,omitempty" enum:"always,never" doc:"RFC 9126; where the discovery document offers it when absent"`
	Scopes            []string `json:"scopes,omitempty" nullable:"false" maxItems:"50" doc:"openid is always among them; openid, profile and email when absent"`
	ACRValues         []string `json:"acr_values,omitempty" nullable:"false" maxItems:"50" doc:"One of them must be the ID token's acr"`
	MaxAge            *int     `json:"max_age,omitempty" minimum:"0" maximum:"31536000" doc:"Seconds ago the provider may have seen the person"`
	Prompt            string   `json:"prompt,omitempty" enum:"login,consent,select_account"`
	JustInTime        bool     `json:"just_in_time,omitempty" doc:"Whether a sign-in makes a user for somebody who was not provisioned"`
	Domains           []string `json:"domains,omitempty" nullable:"false" maxItems:"50" doc:"Whose addresses users are made for; any when absent"`
	HostedDomains     []string `json:"hosted_domains,omitempty" nullable:"false" maxItems:"50" doc:"Google Workspace domains whose people may sign in"`
	Tenant            string   `json:"tenant,omitempty" doc:"Entra ID's tenant id; the one in the issuer when absent"`
}

func signInOf(s directory.SignIn) SignIn {
	out := SignIn{
		Preset: string(s.Preset), Algorithms: s.Algorithms, Authentication: string(s.Authentication), Pushing: string(s.Pushing), Scopes: s.Scopes,
		ACRValues: s.ACRValues, MaxAge: s.MaxAge, Prompt: s.Prompt, JustInTime: s.JustInTime, Domains: s.Domains, HostedDomains: s.HostedDomains, Tenant: s.Tenant,
	}
	if s.AssertionToTokenEndpoint {
		out.AssertionAudience = "token_endpoint"
	}
	return out
}

func (s SignIn) settings() directory.SignIn {
	return directory.SignIn{
		Preset: directory.Preset(s.Preset), Algorithms: s.Algorithms, Authentication: directory.ClientAuthentication(s.Authentication),
		AssertionToTokenEndpoint: s.AssertionAudience != "", Pushing: directory.Pushing(s.Pushing), Scopes: s.Scopes, ACRValues: s.ACRValues,
		MaxAge: s.MaxAge, Prompt: s.Prompt, JustInTime: s.JustInTime, Domains: s.Domains, HostedDomains: s.HostedDomains, Tenant: s.Tenant,
	}
}

type newSignIn struct {
	ID   core.ID `path:"id" doc:"The connection"`
	Body SignIn
}

// Certificate is a public key of the workspace as Entra ID takes one.
type Certificate struct {
	KeyID      string    `json:"key_id"`
	Thumbprint string    `json:"x5t_s256" doc:"SHA-256, base64url"`
	Signs      bool      `json:"signs" doc:"Whether this key signs now; the others signed until lately, or will soon"`
	Expires    time.Time `json:"expires"`
	PEM        string    `json:"pem"`
}

func certificateOf(one signing.Certificate) Certificate {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.DER})
	return Certificate{one.KeyID.String(), one.Thumbprint(), one.Signs, one.Expires, string(text)}
}

func (s *Service) connectionSignIn(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "replaceSignIn", Method: http.MethodPut, Path: "/connections/{id}/sign-in", Tags: tags, Summary: "Set how people sign in through a connection",
		Description: "What the body leaves out gets its default. The issuer, the client id and the reference to its secret are the operator's to set (`postern connection update`): who sets them decides whom the secret is sent to. It holds from the next sign-in on."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *newSignIn) (*single[ConnectionWithProvisioning], error) {
			var changed directory.Connection
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				changed, err = s.Directory.ChangeConnection(ctx, tx, by.cause, by.Workspace, in.ID, func(c *directory.Connection) { c.SignIn = in.Body.settings() })
				return err
			})
			if err != nil {
				classified := *core.AsError(err)
				classified.Field = strings.TrimPrefix(classified.Field, "sign_in.")
				if classified.Field == "pushing" {
					classified.Field = "pushed_requests"
				}
				return nil, &classified
			}
			return s.detailed(ctx, changed)
		})
	add(api, huma.Operation{OperationID: "listConnectionCertificates", Method: http.MethodGet, Path: "/connections/{id}/certificates", Tags: tags, Summary: "List the certificates to upload where private_key_jwt needs one, oldest first",
		Description: "They are of the workspace's own keys, the public halves of which are also at `/jwks/{workspace}`. Upload all of them: the last one signs soon, if not already."},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*listed[Certificate], error) {
			if _, err := s.Directory.Connection(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Signing.Certificates(ctx, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, certificateOf), nil
		})
}
