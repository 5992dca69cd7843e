package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

// Receiver is one endpoint. New makes it; it is safe for concurrent use.
type Receiver struct {
	Clock transport.Clock // the system's; change it before the first use

	settings Settings
	secrets  Secrets
	client   *http.Client
}

var _ sink.Receiver = (*Receiver)(nil)

// New makes a receiver that connects by dial. An error is Invalid and names the setting.
func New(settings Settings, secrets Secrets, dial transport.Dial) (*Receiver, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	client, err := transport.Client(transport.Options{Dial: dial, TLS: settings.TLS, Key: secrets.Key})
	if err != nil {
		return nil, err
	}
	return &Receiver{Clock: transport.System{}, settings: settings, secrets: secrets, client: client}, nil
}

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return r.settings.maxBytes() }

// Send implements sink.Receiver. An endpoint says 422 to events it will never take; any other refusal is taken to be
// about Postern, and waits for a person.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	signing, err := r.signing()
	if err != nil {
		return transport.Unusable(err)
	}
	start := 0
	for part := range slices.Chunk(events, cmp.Or(r.settings.MaxEvents, 1000)) {
		answer := r.post(ctx, signing, part)
		if answer.Verdict != sink.Accepted {
			if answer.Verdict == sink.Refused && len(part) == 1 {
				answer.Event = start
			}
			return answer
		}
		start += len(part)
	}
	return sink.Answer{Verdict: sink.Accepted, Event: -1}
}

// signing lists the secrets that sign. A previous one that cannot be read signs nothing.
func (r *Receiver) signing() ([]seal.Secret, error) {
	secret, err := transport.Token(r.secrets.Signing, "the signing secret")
	if err != nil {
		return nil, err
	}
	list := []seal.Secret{secret}
	if previous, err := transport.Token(r.secrets.Previous, "the previous signing secret"); err == nil && !previous.Equal(secret) {
		list = append(list, previous)
	}
	return list, nil
}

func (r *Receiver) post(ctx context.Context, signing []seal.Secret, events []stream.Event) sink.Answer {
	body, at, id := r.body(events), r.Clock.Now(), identify(events)
	var signatures []string
	for _, secret := range signing {
		signature, err := seal.SignWebhook(secret, id, at, body)
		if err != nil {
			return transport.Misconfigured("the signing secret is not one of Standard Webhooks: whsec_ or whsk_ and base64")
		}
		signatures = append(signatures, signature)
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.settings.URL, bytes.NewReader(body))
	if err != nil {
		return transport.Misconfigured("the endpoint's address is not a URL")
	}
	request.Header.Set("Content-Type", "application/json")
	if r.settings.Format == Lines {
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	request.Header.Set("User-Agent", "Postern-Webhooks/1")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	request.Header.Set("Webhook-Signature", strings.Join(signatures, " "))
	reply, err := transport.Ask(r.client, request)
	if err != nil {
		return transport.Failed(err)
	}
	answer := reply.Answer()
	if reply.Status == http.StatusUnprocessableEntity {
		answer.Verdict = sink.Refused
	}
	return answer
}

func (r *Receiver) body(events []stream.Event) []byte {
	opening, separator, closing := "[", ",", "]"
	if r.settings.Format == Lines {
		opening, separator, closing = "", "\n", "\n"
	}
	body := []byte(opening)
	for place, event := range events {
		if place > 0 {
			body = append(body, separator...)
		}
		body = append(body, event.Value...)
	}
	return append(body, closing...)
}

// identify is the id of a message: the event's, or for several one that the same events always have.
func identify(events []stream.Event) string {
	if len(events) == 1 {
		return events[0].ID.String()
	}
	digest := sha256.New()
	for _, event := range events {
		digest.Write([]byte(event.ID.String()))
	}
	return "batch_" + hex.EncodeToString(digest.Sum(nil)[:16])
}

// Check implements sink.Checker.
func (r *Receiver) Check(ctx context.Context) []sink.Place {
	return []sink.Place{transport.LookAt(ctx, r.client, r.settings.URL)}
}

// Close lets go of connections that rest.
func (r *Receiver) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
