package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/signals"
)

// Signal is the receipt of one statement of an identity provider: what was said, and what it did.
type Signal struct {
	ID             core.ID           `json:"id"`
	Connection     core.ID           `json:"connection,omitzero"`
	ConnectionName string            `json:"connection_name,omitempty"`
	Door           string            `json:"door" doc:"The way it came in"`
	Kind           string            `json:"kind" doc:"What happened"`
	Subject        string            `json:"subject" doc:"Whom it is about, in the identity provider's words"`
	SID            string            `json:"sid,omitempty" doc:"The one session it is about"`
	Outcome        string            `json:"outcome" enum:"done,duplicate,late,held,nobody,ignored,rejected,failed"`
	Note           string            `json:"note,omitempty" doc:"Why"`
	Users          []core.ID         `json:"users" nullable:"false" doc:"Whom it meant"`
	Sessions       int               `json:"sessions" doc:"Live sessions it ended"`
	Commands       []string          `json:"commands" nullable:"false" doc:"What was carried out"`
	Waiting        []string          `json:"waiting" nullable:"false" doc:"What waits for a decision about the hold"`
	Rotations      []core.ID         `json:"rotations" nullable:"false" doc:"Begun or joined because of it"`
	RotationsOpen  int               `json:"rotations_open" doc:"Of which are not done yet"`
	DuplicateOf    core.ID           `json:"duplicate_of,omitzero" doc:"The signal that told of the incident first"`
	Hold           core.ID           `json:"hold,omitzero"`
	Occurred       time.Time         `json:"occurred" doc:"When it happened at the identity provider"`
	Received       time.Time         `json:"received"`
	Committed      time.Time         `json:"committed" doc:"When the sessions were dead"`
	Rotated        *time.Time        `json:"rotated,omitempty" doc:"When the last rotation was done"`
	TimeToEffect   float64           `json:"time_to_effect" doc:"Seconds from received to committed"`
	TimeToRotated  float64           `json:"time_to_rotated,omitempty" doc:"Seconds from received to rotated"`
	Issuer         string            `json:"issuer,omitempty"`
	TokenID        string            `json:"token_id,omitempty"`
	Type           string            `json:"type,omitempty" doc:"What the identity provider calls the event"`
	Digest         string            `json:"digest,omitempty" doc:"SHA-256 of what was verified, in hexadecimal"`
	Quirks         []string          `json:"quirks,omitempty" doc:"Departures from the standard that were understood"`
	Facts          map[string]string `json:"facts,omitempty"`
	Transaction    string            `json:"transaction,omitempty"`
	Actor          string            `json:"actor"`
	Correlation    core.ID           `json:"correlation" doc:"Find its whole story: GET /events?correlation="`
}

func signalOf(k signals.Kept) Signal {
	return Signal{
		ID: k.ID, Connection: k.Connection, ConnectionName: k.ConnectionName, Door: string(k.Door), Kind: string(k.Kind), Subject: k.Subject, SID: k.SID,
		Outcome: string(k.Outcome), Note: k.Note, Users: append([]core.ID{}, k.Users...), Sessions: k.Sessions, Commands: texts(k.Commands),
		Waiting: texts(k.Waiting), Rotations: append([]core.ID{}, k.Rotations...), RotationsOpen: k.Open, DuplicateOf: k.Duplicate, Hold: k.Hold,
		Occurred: k.Occurred, Received: k.Received, Committed: k.Committed, Rotated: k.Rotated, TimeToEffect: k.ToEffect().Seconds(),
		TimeToRotated: k.ToRotated().Seconds(), Issuer: k.Evidence.Issuer, TokenID: k.Evidence.TokenID, Type: k.Evidence.Type,
		Digest: hex.EncodeToString(k.Evidence.Digest), Quirks: k.Evidence.Quirks, Facts: k.Evidence.Facts, Transaction: k.Transaction,
		Actor: k.Actor, Correlation: k.Correlation,
	}
}

func texts(commands []signals.Command) []string {
	all := make([]string, len(commands))
	for i, one := range commands {
		all[i] = string(one)
	}
	return all
}

// SignalFailure is one of the last signals a door did not believe or understand.
type SignalFailure struct {
	Door       string    `json:"door"`
	At         time.Time `json:"at"`
	Stage      string    `json:"stage" doc:"The check that failed"`
	Message    string    `json:"message"`
	Subject    string    `json:"subject,omitempty"`
	Address    string    `json:"address,omitempty" doc:"Where it came from"`
	Suppressed int       `json:"suppressed" doc:"More of them since the one before, which are not kept"`
}

func signalFailureOf(f signals.Failure) SignalFailure {
	return SignalFailure{string(f.Door), f.At, f.Stage, f.Message, f.Subject, f.Address, f.Suppressed}
}

type signalList struct {
	Limit      int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor     core.ID `query:"cursor" doc:"next of the page before"`
	Connection core.ID `query:"connection"`
	User       core.ID `query:"user" doc:"Only what was about this user"`
	Hold       core.ID `query:"hold"`
	Door       string  `query:"door"`
	Kind       string  `query:"kind"`
	Outcome    string  `query:"outcome" enum:"done,duplicate,late,held,nobody,ignored,rejected,failed"`
}

// Restriction is what signals left with a user.
type Restriction struct {
	Restricted *time.Time `json:"restricted,omitempty" doc:"Since when no password is revealed to them or filled for them"`
	Reasons    []string   `json:"reasons" nullable:"false" doc:"The kinds of signal that restrict them"`
	FreshAfter *time.Time `json:"fresh_after,omitempty" doc:"Revealing needs a sign-in after this moment"`
}

func (s *Service) signals(api huma.API) {
	tags := []string{"Signals"}
	add(api, huma.Operation{OperationID: "listSignals", Method: http.MethodGet, Path: "/signals", Tags: tags,
		Summary: "List what identity providers said and what it did, newest first"},
		SignalsRead, func(ctx context.Context, by caller, in *signalList) (*listed[Signal], error) {
			found, err := s.Signals.List(ctx, s.DB, by.Workspace, signals.Query{
				Connection: in.Connection, User: in.User, Hold: in.Hold, Door: signals.Door(in.Door), Kind: signals.Kind(in.Kind),
				Outcome: signals.Outcome(in.Outcome), Before: in.Cursor, Limit: in.Limit,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, signalOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getSignal", Method: http.MethodGet, Path: "/signals/{id}", Tags: tags, Summary: "Get the receipt of a signal"},
		SignalsRead, func(ctx context.Context, by caller, in *byID) (*single[Signal], error) {
			found, err := s.Signals.Read(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Signal]{signalOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "listSignalFailures", Method: http.MethodGet, Path: "/connections/{id}/signal-failures", Tags: tags,
		Summary: "List the last signals a connection's doors refused, and at what check"},
		SignalsRead, func(ctx context.Context, by caller, in *byID) (*listed[SignalFailure], error) {
			if _, err := s.Directory.Connection(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Signals.Failures(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, signalFailureOf), nil
		})
	add(api, huma.Operation{OperationID: "getRestriction", Method: http.MethodGet, Path: "/users/{id}/restriction", Tags: tags,
		Summary: "Get what signals left with a user"},
		SignalsRead, func(ctx context.Context, by caller, in *byID) (*single[Restriction], error) {
			return s.restriction(ctx, by, in.ID)
		})
	add(api, huma.Operation{OperationID: "liftRestriction", Method: http.MethodPost, Path: "/users/{id}/restriction/lift", Tags: tags,
		Summary: "Let a restricted user have passwords again", Description: "Whatever restricted them. What was taken from them does not come back by it."},
		SignalsWrite, func(ctx context.Context, by caller, in *byID) (*single[Restriction], error) {
			if err := s.Signals.LiftRestriction(ctx, by.cause, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			return s.restriction(ctx, by, in.ID)
		})
}

func (s *Service) restriction(ctx context.Context, by caller, user core.ID) (*single[Restriction], error) {
	standing, err := s.Directory.Standing(ctx, s.DB, by.Workspace, user)
	if err != nil {
		return nil, err
	}
	return &single[Restriction]{Restriction{standing.Restricted, append([]string{}, standing.Reasons...), standing.FreshAfter}}, nil
}
