package outgoing

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/webhooks/delivery"
)

// TestType is the type of the event an administrator asks for to see whether messages arrive.
const TestType = "webhook.test"

// message is a body (Standard Webhooks 1.0, "Payload").
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// slim is what is told of an event too large for a message: enough to look it up.
type slim struct {
	ID          core.ID       `json:"id"`
	Workspace   core.ID       `json:"workspace"`
	Actor       core.Actor    `json:"actor"`
	Targets     []core.Target `json:"targets,omitempty"`
	Outcome     core.Outcome  `json:"outcome"`
	Correlation core.ID       `json:"correlation"`
	Shortened   bool          `json:"shortened"`
}

func compose(event core.Event) ([]byte, error) {
	body, err := json.Marshal(message{string(event.Type), event.Occurred, event})
	if err == nil && len(body) > MaxBody {
		targets := event.Targets[:min(20, len(event.Targets))]
		body, err = json.Marshal(message{string(event.Type), event.Occurred, slim{event.ID, event.Workspace, event.Actor, targets, event.Outcome, event.Correlation, true}})
	}
	if err != nil {
		return nil, core.Internal(err)
	}
	return body, nil
}

// Types implements delivery.Listener: webhooks can be had for every event.
func (s *Service) Types() []core.EventType { return core.EventTypes() }

// Hear implements delivery.Listener.
func (s *Service) Hear(ctx context.Context, tx pgx.Tx, events []core.Event) error {
	all := map[core.ID][]Webhook{}
	for _, event := range events {
		webhooks, read := all[event.Workspace]
		if !read {
			var err error
			if webhooks, err = s.Webhooks(ctx, tx, event.Workspace); err != nil {
				return err
			}
			all[event.Workspace] = webhooks
		}
		for _, one := range webhooks {
			if !one.wants(event.Type) || event.Occurred.Before(one.Created) {
				continue
			}
			if err := s.add(ctx, tx, one, event); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) add(ctx context.Context, tx pgx.Tx, one Webhook, event core.Event) error {
	body, err := compose(event)
	if err != nil {
		return err
	}
	return s.Deliveries.Add(ctx, tx, delivery.Delivery{Workspace: one.Workspace, Lane: one.ID, Event: event.ID, Type: string(event.Type), Payload: body})
}

// Test sends a message of type webhook.test. It returns the message's id.
func (s *Service) Test(ctx context.Context, workspace, id core.ID) (core.ID, error) {
	event := core.NewID()
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Webhook(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if one.State == delivery.Disabled {
			return core.Conflict("", "the webhook is disabled: enable it first")
		}
		body, err := json.Marshal(message{TestType, s.now(), map[string]string{"webhook": one.ID.String(), "name": one.Name}})
		if err != nil {
			return core.Internal(err)
		}
		return s.Deliveries.Add(ctx, tx, delivery.Delivery{ID: event, Workspace: workspace, Lane: id, Event: event, Type: TestType, Payload: body})
	})
	return event, err
}

const insertAttempt = `
insert into webhook_attempts (workspace_id, webhook_id, delivery_id, at, status, took, error)
values (@workspace, @webhook, @delivery, @at, @status, @took, @error)`

// carry makes one attempt. The message's id is the event's, so it is the same however often it is sent, even if
// the process dies after sending.
func (s *Service) carry(ctx context.Context, lane delivery.Lane, one delivery.Delivery) delivery.Outcome {
	webhook, err := s.Webhook(ctx, s.DB, lane.Workspace, lane.ID)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Again, Why: "the webhook cannot be read"}
	}
	secrets, err := s.secrets(ctx, webhook)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Again, Why: "the secret cannot be opened: " + core.AsError(err).Message}
	}
	// PostgreSQL keeps JSON, not its bytes: what is signed is what is sent.
	var body bytes.Buffer
	if err := json.Compact(&body, one.Payload); err != nil {
		return delivery.Outcome{Verdict: delivery.Refused, Why: "what is to be sent cannot be read"}
	}
	at, id := s.now(), one.Event.String()
	var list []string
	for _, secret := range secrets {
		signature, err := seal.SignWebhook(secret, id, at, body.Bytes())
		if err != nil {
			return delivery.Outcome{Verdict: delivery.Again, Why: "the message cannot be signed"}
		}
		list = append(list, signature)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook.Address, bytes.NewReader(body.Bytes()))
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Refused, Why: "the address cannot be used"}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Postern-Webhooks/1")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	request.Header.Set("Webhook-Signature", strings.Join(list, " "))
	began := time.Now()
	outcome := delivery.Send(s.HTTP, request, judge)
	s.keep(ctx, webhook, one, at, time.Since(began), outcome)
	return outcome
}

// judge: 2xx is a success, 410 the end, everything else is tried again, a redirect too.
func judge(status int, _ []byte) (delivery.Verdict, string) {
	switch {
	case status >= 200 && status < 300:
		return delivery.Delivered, ""
	case status == http.StatusGone:
		return delivery.Gone, ""
	}
	return delivery.Again, ""
}

// keep notes an attempt. What cannot be noted is logged: the message was sent either way.
func (s *Service) keep(ctx context.Context, webhook Webhook, one delivery.Delivery, at time.Time, took time.Duration, outcome delivery.Outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.DB.Exec(ctx, insertAttempt, pgx.StrictNamedArgs{
		"workspace": webhook.Workspace, "webhook": webhook.ID, "delivery": one.ID, "at": at, "status": outcome.Status, "took": took, "error": core.Cut(outcome.Why, 500),
	}); err != nil {
		s.warn(ctx, "an attempt could not be kept", webhook.ID, err)
	}
}

// secrets are those that sign now, the newest first.
func (s *Service) secrets(ctx context.Context, one Webhook) ([]seal.Secret, error) {
	versions := []int{one.SecretVersion}
	if one.PreviousEnds != nil && s.now().Before(*one.PreviousEnds) && one.SecretVersion > 1 {
		versions = append(versions, one.SecretVersion-1)
	}
	var found []seal.Secret
	for _, version := range versions {
		secret, err := s.Vault.Open(ctx, s.DB, one.Workspace, one.ID, secretField, version)
		if err != nil {
			return nil, err
		}
		found = append(found, secret)
	}
	return found, nil
}

// Message is what was or is to be sent to a webhook.
type Message struct {
	ID       core.ID // the webhook-id
	Delivery core.ID
	Type     string
	State    string // waiting, delivered or dead
	Attempts int
	Next     time.Time
	Status   int
	Error    string
	Created  time.Time
	Finished *time.Time
}

// Messages lists the last messages of a webhook, the latest first; of one state, if it is said.
func (s *Service) Messages(ctx context.Context, q postgres.Querier, workspace, id core.ID, state string, limit int) ([]Message, error) {
	if _, err := s.Webhook(ctx, q, workspace, id); err != nil {
		return nil, err
	}
	found, err := s.Deliveries.Last(ctx, q, workspace, id, state, min(max(limit, 1), 500))
	messages := make([]Message, 0, len(found))
	for _, one := range found {
		messages = append(messages, Message{
			one.Event, one.ID, one.Type, one.State, one.Attempts, one.Next, one.Status, one.LastError, one.Created, one.Finished,
		})
	}
	return messages, err
}

// Attempt is one time a message was sent.
type Attempt struct {
	At     time.Time     `db:"at"`
	Status int           `db:"status"` // 0: no answer
	Took   time.Duration `db:"took"`
	Error  string        `db:"error"`
}

const selectAttempts = `
select a.at, a.status, a.took, a.error from webhook_attempts a
join deliveries d on d.workspace_id = a.workspace_id and d.id = a.delivery_id
where a.workspace_id = @workspace and a.webhook_id = @id and d.event_id = @message order by a.at`

// Attempts lists the attempts of a message, oldest first.
func (s *Service) Attempts(ctx context.Context, q postgres.Querier, workspace, id, message core.ID) ([]Attempt, error) {
	rows, err := q.Query(ctx, selectAttempts, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "message": message})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Attempt])
	return found, postgres.Classify(err)
}
