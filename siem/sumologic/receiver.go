package sumologic

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

// idle is how long a connection may rest before it is closed. The load balancer in front of a source closes it after
// 30 seconds, possibly under the next request.
const idle = 25 * time.Second

// Receiver is one HTTP source. New makes it; it is safe for concurrent use, and sends one request at a time, as Sumo
// Logic asks for ("not designed for many connections").
type Receiver struct {
	settings Settings
	secrets  Secrets
	client   *http.Client
	turn     chan int // holds the size of the next request: whoever has it sends
}

var _ sink.Receiver = (*Receiver)(nil)

// New makes a receiver that connects by dial. An error is Invalid and names the setting.
func New(settings Settings, secrets Secrets, dial transport.Dial) (*Receiver, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	client, err := transport.Client(transport.Options{Dial: dial, TLS: settings.TLS, Key: secrets.Key, Idle: idle, Connections: 1})
	if err != nil {
		return nil, err
	}
	receiver := &Receiver{settings: settings, secrets: secrets, client: client, turn: make(chan int, 1)}
	receiver.turn <- settings.maxBytes()
	return receiver, nil
}

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return r.settings.maxBytes() }

// Send implements sink.Receiver. After a source did not get a request in time the next ones are half as large.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	address, err := r.address()
	if err != nil {
		return transport.Unusable(err)
	}
	var size int
	select {
	case size = <-r.turn:
	case <-ctx.Done():
		return transport.Failed(ctx.Err())
	}
	defer func() { r.turn <- size }()
	answer, start := sink.Answer{Verdict: sink.Accepted, Event: -1}, 0
	for _, part := range transport.Split(events, size, 1) {
		said, status := r.post(ctx, address, part)
		if status == http.StatusRequestTimeout {
			size = max(smallest, size/2)
		}
		if said.Verdict != sink.Accepted {
			// In a part of its own the one event that is refused has a name.
			if said.Verdict == sink.Refused && len(part) == 1 {
				said.Event = start
			}
			return said
		}
		start += len(part)
		answer.Reason = cmp.Or(answer.Reason, said.Reason)
	}
	size = min(r.settings.maxBytes(), size+size/4)
	return answer
}

func (r *Receiver) post(ctx context.Context, address seal.Secret, events []stream.Event) (sink.Answer, int) {
	body, err := encode(events)
	if err != nil {
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written"}, 0
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.Reveal(), bytes.NewReader(body))
	if err != nil {
		return transport.Misconfigured("the source's address is not a URL"), 0
	}
	r.describe(request.Header)
	reply, err := transport.Ask(r.client, request)
	if err != nil {
		answer := transport.Failed(err)
		answer.Reason = transport.Clean(answer.Reason, secrets(address)...)
		return answer, 0
	}
	return read(reply, address), reply.Status
}

// address reads where to send.
func (r *Receiver) address() (seal.Secret, error) {
	address, err := transport.Token(r.secrets.URL, "the source's address")
	if err != nil {
		return seal.Secret{}, err
	}
	parsed, err := url.Parse(address.Reveal())
	switch {
	case err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http":
		return seal.Secret{}, core.Invalid("", "the source's address is not a URL")
	case strings.Trim(parsed.Path, "/") == "":
		return seal.Secret{}, core.Invalid("", "the source's address lacks its secret part: copy the whole HTTP Source Address")
	}
	return address, nil
}

func (r *Receiver) describe(header http.Header) {
	header.Set("Content-Type", "application/json")
	header.Set("Content-Encoding", "gzip")
	header.Set("X-Sumo-Category", cmp.Or(r.settings.Category, "postern/audit"))
	header.Set("X-Sumo-Name", cmp.Or(r.settings.Name, "postern"))
	if r.settings.Host != "" {
		header.Set("X-Sumo-Host", r.settings.Host)
	}
	if len(r.settings.Fields) > 0 {
		fields := make([]string, 0, len(r.settings.Fields))
		for name, value := range r.settings.Fields {
			fields = append(fields, name+"="+value)
		}
		slices.Sort(fields)
		header.Set("X-Sumo-Fields", strings.Join(fields, ","))
	}
}

// encode writes one document per line.
func encode(events []stream.Event) ([]byte, error) {
	return transport.Gzip(func(writer *gzip.Writer) error {
		for _, event := range events {
			if _, err := writer.Write(event.Value); err != nil {
				return err
			}
			if _, err := writer.Write([]byte{'\n'}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Check implements sink.Checker. Only the host of the source's address is looked at: the rest is the secret.
func (r *Receiver) Check(ctx context.Context) []sink.Place {
	address, err := r.address()
	if err != nil {
		return []sink.Place{{Host: "the source's address", Answer: transport.Unusable(err)}}
	}
	return []sink.Place{transport.LookAt(ctx, r.client, address.Reveal())}
}

// Close lets go of connections that rest.
func (r *Receiver) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
