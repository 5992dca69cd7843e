package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
)

// Connection is one identity provider of the workspace. Its secrets are not part of it.
type Connection struct {
	ID       core.ID   `json:"id"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind" enum:"okta,entra,generic"`
	Issuer   string    `json:"issuer,omitempty"`
	ClientID string    `json:"client_id,omitempty"`
	Created  time.Time `json:"created"`
}

func connectionOf(connection directory.Connection) Connection {
	return Connection{connection.ID, connection.Name, string(connection.Kind), connection.Issuer, connection.ClientID, connection.Created}
}

// ConnectionWithProvisioning is a connection with how its SCIM endpoint and its sign-in behave and what it has
// done.
type ConnectionWithProvisioning struct {
	Connection
	Provisioning Provisioning `json:"provisioning"`
	SignIn       SignIn       `json:"sign_in"`
	Users        int          `json:"users" doc:"How many it has provisioned, deactivated ones too"`
	ActiveUsers  int          `json:"active_users"`
	LastRequest  *time.Time   `json:"last_request,omitempty" etag:"-" doc:"When it last asked for a change"`
}

// Provisioning is how a connection's SCIM endpoint behaves.
type Provisioning struct {
	Profile        string     `json:"profile" enum:"detected,okta,entra,generic,strict" doc:"Which departures from the RFCs its requests are read with. detected: by the connection's kind, and for a generic one by what it sends; strict: none"`
	Entitlements   bool       `json:"entitlements" doc:"Whether the identity provider may list accounts as Entitlements and Roles, and grant them"`
	SecurityEvents bool       `json:"security_events" doc:"Whether ServiceProviderConfig tells of the events of Shared Signals (RFC 9967). Clients that know RFC 7643 alone refuse that"`
	Guard          Guard      `json:"guard"`
	JournalDays    int        `json:"journal_days" doc:"How many days provisioning requests are kept"`
	Assertion      *Assertion `json:"assertion,omitempty"`
}

// Guard is what may leave within an hour before what follows waits for an administrator: more than
// both share and floor.
type Guard struct {
	Enabled bool `json:"enabled"`
	Share   int  `json:"share" doc:"Percent of the active users"`
	Floor   int  `json:"floor" doc:"People"`
}

// Assertion is whose client assertions (RFC 7523) are exchanged for access tokens.
type Assertion struct {
	Issuer   string `json:"issuer" doc:"iss, exactly" example:"https://login.microsoftonline.com/TENANT-ID/v2.0"`
	Subject  string `json:"subject" doc:"sub, exactly"`
	Audience string `json:"audience" doc:"aud has to contain it"`
	JWKSURI  string `json:"jwks_uri,omitempty" doc:"Where the keys are; from the issuer's discovery document when absent"`
}

func provisioningOf(settings directory.Provisioning) Provisioning {
	out := Provisioning{
		Profile: string(settings.Profile), Entitlements: settings.Entitlements, SecurityEvents: settings.SecurityEvents, JournalDays: settings.JournalDays,
		Guard: Guard{Enabled: settings.GuardFloor >= 0, Share: settings.GuardShare, Floor: settings.GuardFloor},
	}
	if settings.Profile == directory.ProfileDetected {
		out.Profile = "detected"
	}
	if out.Guard.Share == 0 {
		out.Guard.Share = directory.DefaultGuardShare
	}
	if out.Guard.Floor <= 0 {
		out.Guard.Floor = directory.DefaultGuardFloor
	}
	if out.JournalDays == 0 {
		out.JournalDays = journal.DefaultDays
	}
	if a := settings.Assertion; a.Issuer != "" {
		out.Assertion = &Assertion{a.Issuer, a.Subject, a.Audience, a.JWKSURI}
	}
	return out
}

type newProvisioning struct {
	ID   core.ID `path:"id" doc:"The connection"`
	Body struct {
		Profile        string `json:"profile,omitempty" enum:"detected,okta,entra,generic,strict" default:"detected"`
		Entitlements   bool   `json:"entitlements,omitempty" default:"false"`
		SecurityEvents bool   `json:"security_events,omitempty" default:"false"`
		Guard          *struct {
			Enabled *bool `json:"enabled,omitempty" doc:"true unless it is switched off"`
			Share   int   `json:"share,omitempty" minimum:"1" maximum:"100" doc:"Percent of the active users; 20 when absent"`
			Floor   int   `json:"floor,omitempty" minimum:"1" maximum:"1000000" doc:"People; 10 when absent"`
		} `json:"guard,omitempty"`
		JournalDays int        `json:"journal_days,omitempty" minimum:"1" maximum:"3650" doc:"30 when absent"`
		Assertion   *Assertion `json:"assertion,omitempty" doc:"No client assertion is accepted when absent"`
	}
}

// settings are what a connection keeps; 0 is its default.
func (n newProvisioning) settings() directory.Provisioning {
	settings := directory.Provisioning{Entitlements: n.Body.Entitlements, SecurityEvents: n.Body.SecurityEvents, JournalDays: n.Body.JournalDays}
	if n.Body.Profile != "detected" {
		settings.Profile = directory.ProvisioningProfile(n.Body.Profile)
	}
	if guard := n.Body.Guard; guard != nil {
		settings.GuardShare, settings.GuardFloor = guard.Share, guard.Floor
		if guard.Enabled != nil && !*guard.Enabled {
			settings.GuardFloor = -1
		}
	}
	if a := n.Body.Assertion; a != nil {
		settings.Assertion = directory.Assertion{Issuer: a.Issuer, Subject: a.Subject, Audience: a.Audience, JWKSURI: a.JWKSURI}
	}
	return settings
}

func (s *Service) connections(api huma.API) {
	tags := []string{"Connections"}
	add(api, huma.Operation{OperationID: "listConnections", Method: http.MethodGet, Path: "/connections", Tags: tags, Summary: "List the identity providers"},
		DirectoryRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Connection], error) {
			found, err := s.Directory.Connections(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, connectionOf), nil
		})
	add(api, huma.Operation{OperationID: "getConnection", Method: http.MethodGet, Path: "/connections/{id}", Tags: tags, Summary: "Get an identity provider with its settings"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[ConnectionWithProvisioning], error) {
			found, err := s.Directory.Connection(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return s.detailed(ctx, found)
		})
	add(api, huma.Operation{OperationID: "replaceProvisioning", Method: http.MethodPut, Path: "/connections/{id}/provisioning", Tags: tags, Summary: "Set how a connection's SCIM endpoint behaves",
		Description: "What the body leaves out gets its default. It holds from the next request of the identity provider on."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *newProvisioning) (*single[ConnectionWithProvisioning], error) {
			var changed directory.Connection
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				changed, err = s.Directory.ChangeConnection(ctx, tx, by.cause, by.Workspace, in.ID, func(c *directory.Connection) { c.Provisioning = in.settings() })
				return err
			})
			if err != nil {
				return nil, inBody(err)
			}
			return s.detailed(ctx, changed)
		})
	s.connectionLife(api, tags)
	s.diagnosis(api)
	s.connectionSignIn(api, tags)
	s.connectionTokens(api, tags)
	s.connectionClients(api, tags)
}

// inBody names the faulty member as the body has it.
func inBody(err error) error {
	classified := *core.AsError(err)
	classified.Field = strings.TrimPrefix(classified.Field, "provisioning.")
	return &classified
}

func (s *Service) detailed(ctx context.Context, connection directory.Connection) (*single[ConnectionWithProvisioning], error) {
	out := ConnectionWithProvisioning{Connection: connectionOf(connection), Provisioning: provisioningOf(connection.Provisioning), SignIn: signInOf(connection.SignIn)}
	var err error
	if out.Users, out.ActiveUsers, err = s.Directory.CountUsers(ctx, s.DB, connection.Workspace, connection.ID); err != nil {
		return nil, err
	}
	latest, err := journal.List(ctx, s.DB, connection.Workspace, journal.Query{Connection: connection.ID, Newest: true, Changes: true, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(latest) > 0 {
		out.LastRequest = &latest[0].Received
	}
	return &single[ConnectionWithProvisioning]{out}, nil
}
