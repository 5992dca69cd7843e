package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/gateway/doctor"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/stream"
)

// Sink is where events are delivered to, and how that goes. Credentials are never told.
type Sink struct {
	ID          core.ID           `json:"id,omitzero" doc:"Absent of a sink that the operator has for all workspaces, of which only the state is told"`
	Name        string            `json:"name"`
	Kind        string            `json:"kind,omitempty"`
	Settings    map[string]any    `json:"settings,omitempty"`
	Credentials []string          `json:"credentials,omitempty" doc:"The names of those that are set"`
	Filter      *sinks.Filter     `json:"filter,omitempty"`
	Redaction   []sinks.Redaction `json:"redaction,omitempty"`
	Enabled     bool              `json:"enabled"`
	State       string            `json:"state" enum:"running,retrying,paused,draining" doc:"paused: a person has to change something, or to resume it; draining: paused as soon as what is under way is done"`
	Reason      string            `json:"reason,omitempty"`
	Held        bool              `json:"held,omitempty" doc:"A person paused it"`
	Delivered   int64             `json:"delivered,omitempty" etag:"-" doc:"The last sequence that was delivered, or is not meant for it"`
	DeliveredAt *time.Time        `json:"delivered_at,omitempty" etag:"-"`
	Lag         int64             `json:"lag,omitempty" etag:"-" doc:"Events that wait"`
	DeadLetters int               `json:"dead_letters,omitempty" etag:"-"`
	Asked       bool              `json:"asked,omitempty" doc:"Its receiver can be asked what it holds"`
	Keeps       bool              `json:"acknowledges,omitempty" doc:"Its receiver keeps what it accepts: its answer is more than a receipt"`
	Updated     time.Time         `json:"updated"`
}

// SinkKind is a kind of receiver a sink can be made of.
type SinkKind struct {
	Kind      string         `json:"kind"`
	Title     string         `json:"title"`
	Fields    []sink.Field   `json:"fields" nullable:"false"`
	Abilities sink.Abilities `json:"abilities" doc:"What its receivers do beyond taking events"`
}

// SinkAnswer is what a receiver said to a test event.
type SinkAnswer struct {
	Verdict      string  `json:"verdict" enum:"accepted,busy,misconfigured,refused,too_large"`
	Reason       string  `json:"reason,omitempty"`
	Event        core.ID `json:"event" doc:"Its id: metadata.uid. It has the sequence 0"`
	Milliseconds int64   `json:"milliseconds"`
}

// SinkReplay is a part of the log that is delivered once more.
type SinkReplay struct {
	ID        core.ID    `json:"id"`
	From      int64      `json:"from"`
	To        int64      `json:"to"`
	Next      int64      `json:"next" doc:"The sequence it goes on with"`
	State     string     `json:"state" enum:"running,done,cancelled"`
	Delivered int64      `json:"delivered" doc:"Events"`
	Created   time.Time  `json:"created"`
	Finished  *time.Time `json:"finished,omitempty"`
}

// SinkDeadLetter is an event the receiver refused for what it is.
type SinkDeadLetter struct {
	ID       core.ID   `json:"id"`
	Event    core.ID   `json:"event"`
	Type     string    `json:"type"`
	Sequence int64     `json:"sequence"`
	Answer   string    `json:"answer" doc:"What the receiver said"`
	Record   string    `json:"record" doc:"What was sent"`
	Created  time.Time `json:"created"`
}

// SinkRetried is what became of dead letters that were sent again.
type SinkRetried struct {
	Delivered int    `json:"delivered"`
	Refused   int    `json:"refused"`
	Left      int    `json:"left" doc:"Not tried: ask again for the rest, or see the answer"`
	Answer    string `json:"answer,omitempty"`
}

// SinkDiscarded is how many dead letters were given up.
type SinkDiscarded struct {
	Discarded int `json:"discarded"`
}

// SinkDifference is what was delivered and the receiver does not hold.
type SinkDifference struct {
	From        int64        `json:"from"`
	To          int64        `json:"to"`
	Missing     []sink.Range `json:"missing" nullable:"false" doc:"Ready to be replayed as ranges"`
	Events      int64        `json:"count" doc:"Events in missing"`
	DeadLetters int          `json:"dead_letters" doc:"In between; they are not in missing"`
	More        bool         `json:"more,omitempty" doc:"There are further ranges"`
}

func (s *Service) sinkOf(one sinks.Sink) Sink {
	can := s.Sinks.Abilities(one)
	told := Sink{
		ID: one.ID, Name: one.Name, Kind: one.Kind, Credentials: one.Credentials, Filter: &one.Filter, Redaction: one.Redaction, Enabled: one.Enabled, State: string(one.State),
		Reason: one.Reason, Held: one.Held, Delivered: one.Delivered, DeliveredAt: one.DeliveredAt, Lag: one.Lag, DeadLetters: one.Dead, Updated: one.Updated,
		Asked: can.Asked.Of(one.Settings, one.Credentials), Keeps: can.Acknowledges.Of(one.Settings, one.Credentials),
	}
	_ = json.Unmarshal(one.Settings, &told.Settings) // the database keeps JSON only
	return told
}

func replayOf(one sinks.Replay) SinkReplay {
	return SinkReplay{one.ID, one.From, one.To, one.Next, one.State, one.Delivered, one.Created, one.Finished}
}

type createSink struct {
	Body struct {
		Name        string            `json:"name" minLength:"1" maxLength:"100"`
		Kind        string            `json:"kind" maxLength:"50"`
		Settings    map[string]any    `json:"settings"`
		Credentials map[string]string `json:"credentials,omitempty" doc:"Kept sealed, and never told again" writeOnly:"true"`
		Filter      sinks.Filter      `json:"filter,omitempty"`
		Redaction   []sinks.Redaction `json:"redaction,omitempty" maxItems:"50"`
		Enabled     *bool             `json:"enabled,omitempty" default:"true"`
		Everything  bool              `json:"everything,omitempty" doc:"Begin with the first event of the log instead of the next"`
	}
}

type changeSink struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Name        *string            `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Settings    map[string]any     `json:"settings,omitempty" doc:"All of them. With another address the credentials are to be given again"`
		Credentials map[string]string  `json:"credentials,omitempty" doc:"Those that change; an empty one is removed" writeOnly:"true"`
		Filter      *sinks.Filter      `json:"filter,omitempty"`
		Redaction   *[]sinks.Redaction `json:"redaction,omitempty" maxItems:"50"`
		Enabled     *bool              `json:"enabled,omitempty"`
	}
}

type pauseSink struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

type replaySink struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Since  *time.Time   `json:"since,omitempty" doc:"Everything that was recorded then or later"`
		Ranges []sink.Range `json:"ranges,omitempty" maxItems:"1000" doc:"Or these sequences"`
	}
}

type sinkLetters struct {
	ID    core.ID `path:"id" doc:"Its id"`
	After core.ID `query:"after" doc:"The id of a dead letter: those after it"`
	Limit int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
}

type retrySinkLetters struct {
	ID     core.ID `path:"id" doc:"Its id"`
	Letter core.ID `query:"letter" doc:"One of them; all when absent"`
}

type discardSinkLetters struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Letter core.ID `json:"letter,omitzero" doc:"One of them; all when absent"`
		Reason string  `json:"reason" minLength:"1" maxLength:"200" doc:"Kept in the activity"`
	}
}

type compareSink struct {
	ID   core.ID `path:"id" doc:"Its id"`
	From int64   `query:"from" minimum:"0" doc:"A sequence; the first that was for the sink when absent"`
	To   int64   `query:"to" minimum:"0" doc:"A sequence; the last that was delivered when absent"`
}

// sealed hides credentials as soon as they are read.
func sealed(given map[string]string) map[string]seal.Secret {
	hidden := map[string]seal.Secret{}
	for name, text := range given {
		hidden[name] = seal.NewSecret(text)
	}
	return hidden
}

func (s *Service) sinks(api huma.API) {
	tags := []string{"Operations"}
	one := func(made sinks.Sink, err error) (*single[Sink], error) {
		if err != nil {
			return nil, err
		}
		return &single[Sink]{s.sinkOf(made)}, nil
	}
	add(api, huma.Operation{OperationID: "listSinks", Method: http.MethodGet, Path: "/sinks", Tags: tags, Summary: "List the sinks and their state", Description: "The workspace's own, and the state of those that the operator has for all workspaces."},
		OperationsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Sink], error) {
			shared, err := sink.ReadShared(ctx, s.DB, by.Workspace, stream.DefaultPartitions)
			if err != nil {
				return nil, err
			}
			own, err := s.Sinks.Sinks(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			all := listing(shared, func(one sink.Shared) Sink {
				return Sink{Name: one.Name, Kind: one.Kind, Enabled: true, State: string(one.State), Reason: one.Told(), Held: one.Held, Lag: one.Lag, DeadLetters: int(one.Dead), Updated: one.Updated}
			})
			all.Body.Items = append(all.Body.Items, listing(own, s.sinkOf).Body.Items...)
			return all, nil
		})
	add(api, huma.Operation{OperationID: "listSinkKinds", Method: http.MethodGet, Path: "/sink-kinds", Tags: tags, Summary: "List what sinks can be made of, and what each kind is told"},
		OperationsRead, func(context.Context, caller, *struct{}) (*listed[SinkKind], error) {
			return listing(slices.Sorted(maps.Keys(s.Sinks.Kinds)), func(name string) SinkKind {
				kind := s.Sinks.Kinds[name]
				return SinkKind{name, kind.Title, append([]sink.Field{}, kind.Fields...), kind.Abilities}
			}), nil
		})
	add(api, huma.Operation{OperationID: "createSink", Method: http.MethodPost, Path: "/sinks", Tags: tags, Summary: "Deliver the workspace's events to a receiver", DefaultStatus: http.StatusCreated},
		OperationsWrite, func(ctx context.Context, by caller, in *createSink) (*single[Sink], error) {
			settings, err := json.Marshal(in.Body.Settings)
			if err != nil {
				return nil, core.Invalid("settings", "the settings are no JSON object")
			}
			return one(s.Sinks.Create(ctx, by.cause, sinks.Wanted{
				Workspace: by.Workspace, Name: in.Body.Name, Kind: in.Body.Kind, Settings: settings, Credentials: sealed(in.Body.Credentials), Filter: in.Body.Filter,
				Redaction: in.Body.Redaction, Disabled: in.Body.Enabled != nil && !*in.Body.Enabled, Everything: in.Body.Everything,
			}))
		})
	add(api, huma.Operation{OperationID: "getSink", Method: http.MethodGet, Path: "/sinks/{id}", Tags: tags, Summary: "Get a sink and how it goes"},
		OperationsRead, func(ctx context.Context, by caller, in *byID) (*single[Sink], error) {
			return one(s.Sinks.Sink(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "changeSink", Method: http.MethodPatch, Path: "/sinks/{id}", Tags: tags, Summary: "Change a sink", Description: "A change is used within a second or two; what is under way is finished first."},
		OperationsWrite, func(ctx context.Context, by caller, in *changeSink) (*single[Sink], error) {
			settings, err := json.Marshal(in.Body.Settings)
			if err != nil {
				return nil, core.Invalid("settings", "the settings are no JSON object")
			}
			return one(s.Sinks.Change(ctx, by.cause, by.Workspace, in.ID, sealed(in.Body.Credentials), func(one *sinks.Sink) error {
				if in.Body.Name != nil {
					one.Name = *in.Body.Name
				}
				if in.Body.Settings != nil {
					one.Settings = settings
				}
				if in.Body.Filter != nil {
					one.Filter = *in.Body.Filter
				}
				if in.Body.Redaction != nil {
					one.Redaction = *in.Body.Redaction
				}
				if in.Body.Enabled != nil {
					one.Enabled = *in.Body.Enabled
				}
				return nil
			}))
		})
	add(api, huma.Operation{OperationID: "deleteSink", Method: http.MethodDelete, Path: "/sinks/{id}", Tags: tags, Summary: "Deliver to a receiver no more", DefaultStatus: http.StatusNoContent},
		OperationsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Sinks.Delete(ctx, by.cause, by.Workspace, in.ID)
		})
	s.sinkStates(api, tags, one)
	s.sinkLetters(api, tags)
}

// sinkStates are the operations about how a sink goes.
func (s *Service) sinkStates(api huma.API, tags []string, one func(sinks.Sink, error) (*single[Sink], error)) {
	add(api, huma.Operation{OperationID: "pauseSink", Method: http.MethodPost, Path: "/sinks/{id}/pause", Tags: tags, Summary: "Pause a sink: what happens waits in the log"},
		OperationsWrite, func(ctx context.Context, by caller, in *pauseSink) (*single[Sink], error) {
			return one(s.Sinks.Pause(ctx, by.cause, by.Workspace, in.ID, in.Body.Reason))
		})
	add(api, huma.Operation{OperationID: "resumeSink", Method: http.MethodPost, Path: "/sinks/{id}/resume", Tags: tags, Summary: "Let a sink go on where it stopped", Description: "One that paused by itself asks its receiver again now."},
		OperationsWrite, func(ctx context.Context, by caller, in *byID) (*single[Sink], error) {
			return one(s.Sinks.Resume(ctx, by.cause, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "testSink", Method: http.MethodPost, Path: "/sinks/{id}/test", Tags: tags, Summary: "Send a test event now, and tell what the receiver says"},
		OperationsWrite, func(ctx context.Context, by caller, in *byID) (*single[SinkAnswer], error) {
			said, err := s.Sinks.Test(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[SinkAnswer]{SinkAnswer{said.Verdict, said.Reason, said.Event, said.Took.Milliseconds()}}, nil
		})
	add(api, huma.Operation{OperationID: "diagnoseSink", Method: http.MethodPost, Path: "/sinks/{id}/diagnosis", Tags: tags, Summary: "Say what is wrong with a sink, and what to do about it", Description: "Sends a test event."},
		OperationsWrite, func(ctx context.Context, by caller, in *byID) (*single[doctor.SinkDiagnosis], error) {
			found, err := (&doctor.Sinks{DB: s.DB, Sinks: s.Sinks, Now: s.Now}).Diagnose(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[doctor.SinkDiagnosis]{found}, nil
		})
	add(api, huma.Operation{OperationID: "replaySink", Method: http.MethodPost, Path: "/sinks/{id}/replays", Tags: tags, Summary: "Deliver a part of the log once more, each event under its id", DefaultStatus: http.StatusAccepted},
		OperationsWrite, func(ctx context.Context, by caller, in *replaySink) (*listed[SinkReplay], error) {
			var made []sinks.Replay
			var err error
			switch {
			case (in.Body.Since == nil) == (len(in.Body.Ranges) == 0):
				err = core.Invalid("since", "say since when, or which sequences: one of since and ranges")
			case in.Body.Since != nil:
				made, err = s.Sinks.ReplaySince(ctx, by.cause, by.Workspace, in.ID, *in.Body.Since)
			default:
				made, err = s.Sinks.Replay(ctx, by.cause, by.Workspace, in.ID, in.Body.Ranges)
			}
			if err != nil {
				if _, missing := s.Sinks.Sink(ctx, s.DB, by.Workspace, in.ID); missing != nil {
					err = missing
				}
				return nil, err
			}
			return listing(made, replayOf), nil
		})
	add(api, huma.Operation{OperationID: "listSinkReplays", Method: http.MethodGet, Path: "/sinks/{id}/replays", Tags: tags, Summary: "List a sink's last replays and how far they are, the latest first"},
		OperationsRead, func(ctx context.Context, by caller, in *byID) (*listed[SinkReplay], error) {
			if _, err := s.Sinks.Sink(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Sinks.Replays(ctx, s.DB, by.Workspace, in.ID, 100)
			if err != nil {
				return nil, err
			}
			return listing(found, replayOf), nil
		})
	add(api, huma.Operation{OperationID: "cancelSinkReplays", Method: http.MethodPost, Path: "/sinks/{id}/replays/cancel", Tags: tags, Summary: "Stop what is being replayed", DefaultStatus: http.StatusNoContent},
		OperationsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			_, err := s.Sinks.CancelReplays(ctx, by.cause, by.Workspace, in.ID)
			return nil, err
		})
	add(api, huma.Operation{OperationID: "compareSink", Method: http.MethodGet, Path: "/sinks/{id}/difference", Tags: tags, Summary: "Ask the receiver what it lacks of what was delivered",
		Description: "Of receivers that can be asked: the kind's abilities say which, and what that needs. What was delivered in the last minutes may not be indexed yet."},
		OperationsRead, func(ctx context.Context, by caller, in *compareSink) (*single[SinkDifference], error) {
			found, err := s.Sinks.Difference(ctx, by.Workspace, in.ID, in.From, in.To)
			if err != nil {
				return nil, err
			}
			return &single[SinkDifference]{SinkDifference{found.From, found.To, found.Missing, found.Events, found.Dead, found.More}}, nil
		})
}

func (s *Service) sinkLetters(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listSinkDeadLetters", Method: http.MethodGet, Path: "/sinks/{id}/dead-letters", Tags: tags, Summary: "List events the receiver refused for what they are, oldest first"},
		OperationsRead, func(ctx context.Context, by caller, in *sinkLetters) (*listed[SinkDeadLetter], error) {
			if _, err := s.Sinks.Sink(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Sinks.DeadLetters(ctx, s.DB, by.Workspace, in.ID, in.After, in.Limit)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one audit.DeadLetter) SinkDeadLetter {
				return SinkDeadLetter{one.ID, one.Event, string(one.Type), one.Sequence, one.Answer, one.Record, one.Created}
			}), nil
		})
	add(api, huma.Operation{OperationID: "retrySinkDeadLetters", Method: http.MethodPost, Path: "/sinks/{id}/dead-letters/retry", Tags: tags, Summary: "Send one dead letter again, or all, each under its id"},
		OperationsWrite, func(ctx context.Context, by caller, in *retrySinkLetters) (*single[SinkRetried], error) {
			done, err := s.Sinks.Retry(ctx, by.cause, by.Workspace, in.ID, in.Letter)
			if err != nil {
				return nil, err
			}
			return &single[SinkRetried]{SinkRetried(done)}, nil
		})
	add(api, huma.Operation{OperationID: "discardSinkDeadLetters", Method: http.MethodPost, Path: "/sinks/{id}/dead-letters/discard", Tags: tags, Summary: "Give up one dead letter, or all, for a reason"},
		OperationsWrite, func(ctx context.Context, by caller, in *discardSinkLetters) (*single[SinkDiscarded], error) {
			count, err := s.Sinks.Discard(ctx, by.cause, by.Workspace, in.ID, in.Body.Letter, in.Body.Reason)
			if err != nil {
				return nil, err
			}
			return &single[SinkDiscarded]{SinkDiscarded{count}}, nil
		})
}
