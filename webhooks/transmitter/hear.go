package transmitter

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/signals"
	"postern/webhooks/delivery"
)

// Types implements delivery.Listener.
func (s *Service) Types() []core.EventType { return followed() }

// listening is a stream with who listens to it.
type listening struct {
	Stream
	Listener Receiver
}

const selectListening = `
select ` + streamColumns + `, r.id, r.workspace_id, r.service_account_id, r.name, r.subject_format, r.audience, r.sessions, r.accounts, r.created
from transmitter_streams t
join delivery_lanes l on l.workspace_id = t.workspace_id and l.id = t.id
join receivers r on r.workspace_id = t.workspace_id and r.id = t.receiver_id
where t.workspace_id = @workspace and cardinality(t.delivered) > 0 and (l.state <> 'disabled' or l.failures > 0)
order by t.created, t.id`

func (s *Service) listening(ctx context.Context, q postgres.Querier, workspace core.ID) ([]listening, error) {
	rows, err := q.Query(ctx, selectListening, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (listening, error) {
		var one listening
		t, r := &one.Stream, &one.Listener
		err := row.Scan(&t.ID, &t.Workspace, &t.Receiver, &t.Delivery, &t.EndpointURL, &t.HeaderVersion, &t.Description, &t.Requested, &t.Delivered,
			&t.VerifyAsked, &t.Created, &t.Updated, &t.State, &t.Reason,
			&r.ID, &r.Workspace, &r.Account, &r.Name, &r.SubjectFormat, &r.Audience, &r.Sessions, &r.Accounts, &r.Created)
		return one, err
	})
}

// Hear implements delivery.Listener.
func (s *Service) Hear(ctx context.Context, tx pgx.Tx, events []core.Event) error {
	byWorkspace := map[core.ID][]core.Event{}
	var workspaces []core.ID
	for _, event := range events {
		if _, seen := byWorkspace[event.Workspace]; !seen {
			workspaces = append(workspaces, event.Workspace)
		}
		byWorkspace[event.Workspace] = append(byWorkspace[event.Workspace], event)
	}
	for _, workspace := range workspaces {
		if err := s.hear(ctx, tx, workspace, byWorkspace[workspace]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) hear(ctx context.Context, tx pgx.Tx, workspace core.ID, events []core.Event) error {
	streams, err := s.listening(ctx, tx, workspace)
	if err != nil || len(streams) == 0 {
		return err
	}
	people, err := s.people(ctx, tx, workspace, events)
	if err != nil {
		return err
	}
	covered, err := coveredBy(ctx, tx, workspace, events)
	if err != nil {
		return err
	}
	removed := map[core.ID]map[string]bool{}
	for _, stream := range streams {
		if removed[stream.ID], err = s.removed(ctx, tx, stream.Listener, stream.ID, people); err != nil {
			return err
		}
	}
	for _, event := range events {
		things := tellings(event, covered[story{event.Correlation, targeted(event, "user").ID}])
		for _, stream := range streams {
			if event.Occurred.Before(stream.Created) {
				continue // it happened before anybody listened
			}
			for _, thing := range things {
				person, known := people[thing.user]
				if !slices.Contains(stream.Delivered, thing.uri) || !thing.session.IsZero() && !stream.Listener.Sessions ||
					!thing.account.ID.IsZero() && !stream.Listener.Accounts || thing.account.ID.IsZero() && !known {
					continue
				}
				if known && slices.ContainsFunc(s.spellings(stream.Listener, person), func(name string) bool { return removed[stream.ID][name] }) {
					continue
				}
				if err := s.add(ctx, tx, stream, event, thing, person); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// claims are a token's (RFC 8417 §2.2): one event, neither sub nor exp.
type claims struct {
	Issuer      string         `json:"iss"`
	ID          string         `json:"jti"`
	Issued      int64          `json:"iat"`
	Audience    string         `json:"aud"`
	Transaction string         `json:"txn,omitempty"`
	Subject     any            `json:"sub_id"`
	Events      map[string]any `json:"events"`
}

func (s *Service) add(ctx context.Context, tx pgx.Tx, stream listening, event core.Event, thing told, person directory.Addressee) error {
	id := core.NewID()
	return s.put(ctx, tx, stream.Stream, delivery.Delivery{ID: id, Event: event.ID, Type: strings.TrimSpace(thing.uri + " " + person.ID.String())}, claims{
		Issuer: s.Issuer(stream.Workspace), ID: id.String(), Issued: s.now().Unix(), Audience: stream.Listener.Audience,
		Transaction: event.Correlation.String(), Subject: s.subjectOf(stream.Listener, thing, person), Events: map[string]any{thing.uri: thing.body(event)},
	})
}

// addControl tells a receiver about its stream itself.
func (s *Service) addControl(ctx context.Context, tx pgx.Tx, receiver Receiver, stream Stream, uri string, body map[string]any, urgent bool) error {
	id := core.NewID()
	return s.put(ctx, tx, stream, delivery.Delivery{ID: id, Type: uri, Urgent: urgent}, claims{
		Issuer: s.Issuer(stream.Workspace), ID: id.String(), Issued: s.now().Unix(), Audience: receiver.Audience,
		Subject: signals.OpaqueSubject(stream.ID.String()), Events: map[string]any{uri: body},
	})
}

func (s *Service) put(ctx context.Context, tx pgx.Tx, stream Stream, one delivery.Delivery, said claims) error {
	text, err := json.Marshal(said)
	if err != nil {
		return core.Internal(err)
	}
	one.Workspace, one.Lane, one.Payload = stream.Workspace, stream.ID, text
	return s.Deliveries.Add(ctx, tx, one)
}

func (s *Service) people(ctx context.Context, tx pgx.Tx, workspace core.ID, events []core.Event) (map[core.ID]directory.Addressee, error) {
	var ids []core.ID
	for _, event := range events {
		for _, target := range event.Targets {
			if target.Kind == "user" && !slices.Contains(ids, target.ID) {
				ids = append(ids, target.ID)
			}
		}
	}
	return s.Directory.Addressees(ctx, tx, workspace, ids)
}

// story is what happened to one person for one cause.
type story struct{ correlation, user core.ID }

const selectCovering = `
select distinct l.correlation, t.target_id
from audit_log l join audit_targets t on t.workspace_id = l.workspace_id and t.sequence = l.sequence and t.sequenced = l.sequenced
where l.workspace_id = @workspace and l.correlation = any(@correlations::uuid[]) and l.type = any(@types::text[])`

// coveredBy finds the stories in which all of somebody's sessions end. What says so is in the log before the
// sessions are, if not in this batch.
func coveredBy(ctx context.Context, tx pgx.Tx, workspace core.ID, events []core.Event) (map[story]bool, error) {
	var correlations []core.ID
	for _, event := range events {
		if event.Type == core.SessionEnded && !slices.Contains(correlations, event.Correlation) {
			correlations = append(correlations, event.Correlation)
		}
	}
	covered := map[story]bool{}
	if len(correlations) == 0 {
		return covered, nil
	}
	rows, err := tx.Query(ctx, selectCovering, pgx.StrictNamedArgs{"workspace": workspace, "correlations": correlations, "types": covering})
	if err != nil {
		return nil, err
	}
	var one story
	_, err = pgx.ForEachRow(rows, []any{&one.correlation, &one.user}, func() error {
		covered[one] = true
		return nil
	})
	return covered, err
}

const selectRemoved = `
select subject from transmitter_removed_subjects where workspace_id = @workspace and stream_id = @stream and subject = any(@names::text[])`

// removed are the names of people, of those at hand, that a stream is not to hear of.
func (s *Service) removed(ctx context.Context, tx pgx.Tx, receiver Receiver, stream core.ID, people map[core.ID]directory.Addressee) (map[string]bool, error) {
	names := []string{}
	for _, person := range people {
		names = append(names, s.spellings(receiver, person)...)
	}
	rows, err := tx.Query(ctx, selectRemoved, pgx.StrictNamedArgs{"workspace": receiver.Workspace, "stream": stream, "names": names})
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	there := map[string]bool{}
	for _, name := range found {
		there[name] = true
	}
	return there, err
}
