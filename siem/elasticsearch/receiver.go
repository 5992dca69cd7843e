package elasticsearch

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

// Receiver is one Elasticsearch. New makes it; it is safe for concurrent use.
type Receiver struct {
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
	return &Receiver{settings: settings, secrets: secrets, client: client}, nil
}

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return r.settings.maxBytes() }

// Send implements sink.Receiver.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	credential, hidden, err := r.authorization()
	if err != nil {
		return transport.Unusable(err)
	}
	body, err := encode(events)
	if err != nil {
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written"}
	}
	// Of the answer only what is needed is asked for: it has an item per event.
	query := url.Values{"filter_path": {"errors,items.create.status,items.create.error.type,items.create.error.reason,error.type,error.reason,status"}}
	if r.settings.Pipeline != "" {
		query.Set("pipeline", r.settings.Pipeline)
	}
	reply, err := r.ask(ctx, "_bulk?"+query.Encode(), body, http.Header{
		"Authorization": {credential.Reveal()}, "Content-Type": {"application/x-ndjson"}, "Content-Encoding": {"gzip"},
	})
	if err != nil {
		answer := transport.Failed(err)
		answer.Reason = transport.Clean(answer.Reason, hidden...)
		return answer
	}
	return read(reply, len(events), hidden)
}

// authorization is the value of the header, and all that must not be told.
func (r *Receiver) authorization() (seal.Secret, []seal.Secret, error) {
	if r.settings.Username == "" {
		key, err := transport.Token(r.secrets.APIKey, "the API key")
		return seal.NewSecret("ApiKey " + key.Reveal()), []seal.Secret{key}, err
	}
	password, err := transport.Open(r.secrets.Password, "the password")
	encoded := base64.StdEncoding.EncodeToString([]byte(r.settings.Username + ":" + password.Reveal()))
	return seal.NewSecret("Basic " + encoded), []seal.Secret{password, seal.NewSecret(encoded)}, err
}

func (r *Receiver) ask(ctx context.Context, path string, body []byte, header http.Header) (transport.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, r.settings.timeout())
	defer cancel()
	address := strings.TrimRight(r.settings.URL, "/") + "/" + url.PathEscape(r.settings.index()) + "/" + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return transport.Reply{}, err
	}
	request.Header = header
	return transport.AskFor(r.client, request, maxReply)
}

// encode writes an action and a document per event. A data stream needs a @timestamp.
func encode(events []stream.Event) ([]byte, error) {
	return transport.Gzip(func(writer *gzip.Writer) error {
		line := make([]byte, 0, 4096)
		for _, event := range events {
			line = append(line[:0], `{"create":{"_id":"`...)
			line = append(line, event.ID.String()...)
			line = append(line, `"}}`+"\n"+`{"@timestamp":"`...)
			line = event.Occurred.UTC().AppendFormat(line, time.RFC3339Nano)
			line = append(line, '"')
			if rest := bytes.TrimSpace(event.Value[1:]); rest[0] != '}' {
				line = append(line, ',')
			}
			line = append(line, event.Value[1:]...)
			line = append(line, '\n')
			if _, err := writer.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
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
