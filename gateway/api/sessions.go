package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// Session is where a user is signed in.
type Session struct {
	ID            core.ID    `json:"id"`
	User          core.ID    `json:"user"`
	Connection    core.ID    `json:"connection" doc:"Through which they signed in"`
	Address       string     `json:"address,omitempty" doc:"IP address it began from"`
	Agent         string     `json:"agent,omitempty" doc:"User agent it began in"`
	Created       time.Time  `json:"created"`
	LastSeen      time.Time  `json:"last_seen" doc:"Within a minute"`
	Expires       time.Time  `json:"expires" doc:"When it ends at the latest"`
	Authenticated time.Time  `json:"authenticated" doc:"When the identity provider last saw the person"`
	SteppedUp     *time.Time `json:"stepped_up,omitempty" doc:"When they last proved themselves anew in it"`
	ACR           string     `json:"acr,omitempty" doc:"How the identity provider saw them"`
	AMR           []string   `json:"amr" nullable:"false" doc:"By what: pwd, otp, hwk …"`
}

func sessionOf(session directory.Session) Session {
	return Session{
		session.ID, session.User, session.Connection, session.Address, session.Agent, session.Created, session.LastSeen, session.Expires,
		session.Authenticated, session.SteppedUp, session.ACR, append([]string{}, session.AMR...),
	}
}

// SessionsEnded is how many sessions were live.
type SessionsEnded struct {
	SessionsEnded int `json:"sessions_ended"`
}

// SessionSettings are how long sessions last, and how recently people must have proven themselves.
type SessionSettings struct {
	Idle      int      `json:"idle" minimum:"60" maximum:"2592000" doc:"Seconds until an unused session ends"`
	Life      int      `json:"life" minimum:"60" maximum:"2592000" doc:"Seconds until any session ends"`
	RevealAge int      `json:"reveal_age" minimum:"0" maximum:"2592000" doc:"Seconds a proof is good for being given a password; 0: for ever"`
	RevealACR []string `json:"reveal_acr" nullable:"false" maxItems:"10" doc:"The proof's acr must be one of these; none: any"`
	AdminAge  int      `json:"admin_age" minimum:"0" maximum:"2592000" doc:"Seconds a proof is good for administrators' changes in the console; 0: for ever"`
	AdminACR  []string `json:"admin_acr" nullable:"false" maxItems:"10" doc:"The proof's acr must be one of these; none: any"`
}

func sessionSettingsOf(settings directory.SessionSettings) SessionSettings {
	seconds := func(span time.Duration) int { return int(span / time.Second) }
	return SessionSettings{
		seconds(settings.Idle), seconds(settings.Life), seconds(settings.RevealAge), append([]string{}, settings.RevealACR...),
		seconds(settings.AdminAge), append([]string{}, settings.AdminACR...),
	}
}

// LogoutQuirks are what a connection's identity provider is allowed in its logout tokens.
type LogoutQuirks struct {
	Quirks []directory.LogoutQuirk `json:"quirks" nullable:"false" maxItems:"2" doc:"untyped: typ may be absent or JWT. no_expiry: exp may be absent"`
}

type sessionSettingsChange struct {
	Body SessionSettings
}

type logoutQuirksChange struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body LogoutQuirks
}

type nothing struct{}

func (s *Service) sessions(api huma.API) {
	tags := []string{"Sessions"}
	add(api, huma.Operation{OperationID: "listUserSessions", Method: http.MethodGet, Path: "/users/{id}/sessions", Tags: tags, Summary: "List where a user is signed in, oldest first"},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*listed[Session], error) {
			if _, err := s.Directory.User(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Directory.Sessions(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, sessionOf), nil
		})
	add(api, huma.Operation{OperationID: "endUserSessions", Method: http.MethodDelete, Path: "/users/{id}/sessions", Tags: tags, Summary: "End every session of a user",
		Description: "Sign-ins under way do not survive it either. Nothing else is taken from them: they can sign in again."},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*single[SessionsEnded], error) {
			var ended int
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				ended, err = s.Directory.EndSessions(ctx, tx, by.cause, by.Workspace, in.ID, "ended by an administrator")
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[SessionsEnded]{SessionsEnded{ended}}, nil
		})
	add(api, huma.Operation{OperationID: "endSession", Method: http.MethodDelete, Path: "/sessions/{id}", Tags: tags, Summary: "End one session", DefaultStatus: http.StatusNoContent},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*nothing, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Directory.EndSession(ctx, tx, by.cause, by.Workspace, in.ID, "ended by an administrator")
			})
		})
	add(api, huma.Operation{OperationID: "getSessionSettings", Method: http.MethodGet, Path: "/session-settings", Tags: tags, Summary: "Get how long sessions last, and how fresh proofs must be"},
		DirectoryRead, func(ctx context.Context, by caller, _ *nothing) (*single[SessionSettings], error) {
			settings, err := s.Directory.SessionSettings(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return &single[SessionSettings]{sessionSettingsOf(settings)}, nil
		})
	add(api, huma.Operation{OperationID: "putSessionSettings", Method: http.MethodPut, Path: "/session-settings", Tags: tags, Summary: "Set how long sessions last, and how fresh proofs must be",
		Description: "A shorter limit holds at once, for sessions that exist too; a longer life for those that begin from now on."},
		DirectoryWrite, func(ctx context.Context, by caller, in *sessionSettingsChange) (*single[SessionSettings], error) {
			var changed directory.SessionSettings
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				changed, err = s.Directory.ChangeSessionSettings(ctx, tx, by.cause, by.Workspace, func(settings *directory.SessionSettings) {
					span := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
					*settings = directory.SessionSettings{
						Idle: span(in.Body.Idle), Life: span(in.Body.Life), RevealAge: span(in.Body.RevealAge), AdminAge: span(in.Body.AdminAge),
						RevealACR: in.Body.RevealACR, AdminACR: in.Body.AdminACR,
					}
				})
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[SessionSettings]{sessionSettingsOf(changed)}, nil
		})
	add(api, huma.Operation{OperationID: "getLogoutQuirks", Method: http.MethodGet, Path: "/connections/{id}/logout-quirks", Tags: tags, Summary: "Get what a connection's identity provider is allowed in its logout tokens"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[LogoutQuirks], error) {
			quirks, err := s.Directory.LogoutQuirks(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[LogoutQuirks]{LogoutQuirks{append([]directory.LogoutQuirk{}, quirks...)}}, nil
		})
	add(api, huma.Operation{OperationID: "putLogoutQuirks", Method: http.MethodPut, Path: "/connections/{id}/logout-quirks", Tags: tags, Summary: "Set what a connection's identity provider is allowed in its logout tokens",
		Description: "The fewer the better: each takes away a check that tells a logout token from another kind of token, or a fresh one from an old one."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *logoutQuirksChange) (*single[LogoutQuirks], error) {
			var quirks []directory.LogoutQuirk
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				if err = s.Directory.AllowLogoutQuirks(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Quirks); err == nil {
					quirks, err = s.Directory.LogoutQuirks(ctx, tx, by.Workspace, in.ID)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[LogoutQuirks]{LogoutQuirks{append([]directory.LogoutQuirk{}, quirks...)}}, nil
		})
}
