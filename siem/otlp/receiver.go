package otlp

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/klauspost/compress/gzip"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

const protobuf = "application/x-protobuf"

// Receiver is one receiver of OTLP over HTTP. New makes it; it is safe for concurrent use.
type Receiver struct {
	settings Settings
	secrets  Secrets
	address  string
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
	address := settings.URL
	if parsed, err := url.Parse(address); err == nil && strings.Trim(parsed.Path, "/") == "" {
		address = strings.TrimRight(address, "/") + "/v1/logs"
	}
	return &Receiver{settings: settings, secrets: secrets, address: address, client: client}, nil
}

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return r.settings.maxBytes() }

// Send implements sink.Receiver.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	var authorization seal.Secret
	if r.secrets.Authorization != nil {
		var err error
		if authorization, err = transport.Token(r.secrets.Authorization, "the authorization"); err != nil {
			return transport.Unusable(err)
		}
	}
	message, err := proto.Marshal(r.settings.request(events))
	if err != nil { // a text that is not UTF-8
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written as protobuf"}
	}
	body, err := transport.Gzip(func(writer *gzip.Writer) error {
		_, err := writer.Write(message)
		return err
	})
	if err != nil {
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written"}
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, bytes.NewReader(body))
	if err != nil {
		return transport.Misconfigured("the receiver's address is not a URL")
	}
	for name, value := range r.settings.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", protobuf)
	request.Header.Set("Content-Encoding", "gzip")
	if !authorization.IsZero() {
		request.Header.Set("Authorization", authorization.Reveal())
	}
	reply, err := transport.Ask(r.client, request)
	if err != nil {
		return transport.Failed(err)
	}
	_, credential, _ := strings.Cut(authorization.Reveal(), " ")
	return read(reply, len(events), authorization, seal.NewSecret(credential))
}

// read understands what became of the events ("OTLP/HTTP Response").
func read(reply transport.Reply, count int, hidden ...seal.Secret) sink.Answer {
	answer := reply.Answer()
	if answer.Verdict != sink.Accepted {
		var said status.Status
		if !reply.HTML() && proto.Unmarshal(reply.Text, &said) == nil && said.GetMessage() != "" {
			answer.Reason += fmt.Sprintf(": the receiver said %q", transport.Clean(said.GetMessage(), hidden...))
		}
		if reply.Status == http.StatusBadRequest { // "the request's data cannot be processed"
			answer.Verdict = sink.Refused
		}
		return answer
	}
	var said collector.ExportLogsServiceResponse
	if reply.HTML() || !strings.HasPrefix(reply.Header.Get("Content-Type"), protobuf) || proto.Unmarshal(reply.Text, &said) != nil {
		return transport.Misconfigured("the address answers, but not as a receiver of OTLP over HTTP does")
	}
	partial := said.GetPartialSuccess()
	message := transport.Clean(partial.GetErrorMessage(), hidden...)
	switch rejected := partial.GetRejectedLogRecords(); {
	case rejected > 0:
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: fmt.Sprintf("the receiver rejected %d of %d records: %q", rejected, count, message)}
	case message != "":
		answer.Reason = fmt.Sprintf("the receiver took the records and said %q", message)
	}
	return answer
}

// Check implements sink.Checker.
func (r *Receiver) Check(ctx context.Context) []sink.Place {
	return []sink.Place{transport.LookAt(ctx, r.client, r.address)}
}

// Close lets go of connections that rest.
func (r *Receiver) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
