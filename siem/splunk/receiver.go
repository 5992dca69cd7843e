package splunk

import (
	"bytes"
	"context"
	"net/http"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

const channelHeader = "X-Splunk-Request-Channel"

// Receiver is one or several HTTP Event Collectors of one Splunk. New makes it; it is safe for concurrent use.
type Receiver struct {
	Clock transport.Clock // the system's; change it before the first use

	settings  Settings
	client    *http.Client
	endpoints *endpoints
	tokens    *tokens
	channels  channels
}

var (
	_ sink.Receiver = (*Receiver)(nil)
	_ sink.Checker  = (*Receiver)(nil)
)

// New makes a receiver that connects by dial. An error is Invalid and names the setting.
func New(settings Settings, secrets Secrets, dial transport.Dial) (*Receiver, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	client, err := transport.Client(transport.Options{Dial: dial, TLS: settings.TLS, Key: secrets.Key})
	if err != nil {
		return nil, err
	}
	return &Receiver{
		Clock: transport.System{}, settings: settings, client: client,
		endpoints: newEndpoints(settings.URLs), tokens: &tokens{secrets: secrets},
	}, nil
}

// Limit implements sink.Receiver. With acknowledgement it is several requests: they are written while others wait.
func (r *Receiver) Limit() int {
	if r.settings.Acknowledge {
		return window * r.settings.maxBytes()
	}
	return r.settings.maxBytes()
}

// Send implements sink.Receiver. An endpoint that cannot take the events is passed over for the next.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	tokens, err := r.tokens.open(r.Clock.Now())
	if err != nil {
		return transport.Unusable(err)
	}
	var worst *sink.Answer
	for _, one := range r.endpoints.order(r.Clock.Now()) {
		answer := r.offer(ctx, one, tokens, events)
		if answer.Verdict != sink.Busy && answer.Verdict != sink.Misconfigured {
			r.endpoints.worked(one)
			return answer.Answer
		}
		if ctx.Err() != nil {
			return answer.Answer
		}
		r.endpoints.failed(one, r.Clock.Now(), answer.RetryAfter)
		switch {
		case worst == nil:
			worst = &answer.Answer
		case worst.Verdict == sink.Busy && answer.Verdict == sink.Misconfigured:
			worst = &answer.Answer
		case answer.Verdict == worst.Verdict:
			worst.RetryAfter = min(worst.RetryAfter, answer.RetryAfter)
		}
	}
	return *worst
}

// offer sends the events to one endpoint, by the tokens and the indexes there are.
func (r *Receiver) offer(ctx context.Context, one *endpoint, tokens []seal.Secret, events []stream.Event) said {
	var first said
	for place, token := range tokens {
		answer := r.deliver(ctx, one, token, r.settings.Index, events)
		if answer.code == 7 && r.settings.FallbackIndex != "" {
			refused := answer.Reason
			if answer = r.deliver(ctx, one, token, r.settings.FallbackIndex, events); answer.Verdict == sink.Accepted {
				answer.Reason = "events go to the index " + r.settings.FallbackIndex + ", since for the other " + refused
			}
		}
		if !answer.refusesToken() {
			if place > 0 && answer.Verdict == sink.Accepted && answer.Reason == "" {
				answer.Reason = "one of the two tokens is refused, the other one is used: " + first.Reason
			}
			return answer
		}
		r.tokens.refuse(token, r.Clock.Now())
		if place == 0 {
			first = answer
		}
	}
	return first
}

// deliver sends the events, in as many requests as they need, and waits for acknowledgements if it should.
func (r *Receiver) deliver(ctx context.Context, one *endpoint, token seal.Secret, index string, events []stream.Event) said {
	header := http.Header{"Authorization": {"Splunk " + token.Reveal()}, "Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	client, waiting := r.client, map[int64]bool{}
	var line *channel
	if r.settings.Acknowledge {
		line = r.channels.take(r.client)
		client = line.client
		header.Set(channelHeader, line.id)
	}
	start, last, common := 0, said{}, r.settings.envelope(index)
	for _, part := range transport.Split(events, r.settings.maxBytes(), len(common)+particular) {
		body, err := encode(common, part)
		if err != nil {
			return said{sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written"}, noCode, nil}
		}
		reply, err := r.post(ctx, client, one.base+one.path, body, header)
		if err != nil {
			return said{transport.Failed(err), noCode, nil}
		}
		answer := read(reply, token)
		if answer.Verdict != sink.Accepted {
			if answer.Event >= 0 {
				answer.Event += start
			}
			return answer
		}
		if line != nil && answer.ack == nil {
			return said{transport.Misconfigured("the collector acknowledges nothing: enable indexer acknowledgement for the token, or unset acknowledge"), noCode, nil}
		}
		if line != nil {
			waiting[*answer.ack] = true
		}
		start, last = start+len(part), answer
	}
	if line == nil {
		return last
	}
	began := r.Clock.Now()
	answer := r.acknowledged(ctx, one, token, line, waiting, began)
	answer.Waited = r.Clock.Now().Sub(began)
	if answer.Verdict == sink.Accepted {
		r.channels.back(line)
		answer.Reason, answer.RetryAfter = last.Reason, last.RetryAfter
	}
	return answer
}

func (r *Receiver) post(ctx context.Context, client *http.Client, address string, body []byte, header http.Header) (transport.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, r.settings.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return transport.Reply{}, err
	}
	request.Header = header
	return transport.Ask(client, request)
}

// Check implements sink.Checker. It asks every endpoint how it is, without a token, and looks whether the address for
// searches is there. What stands before a collector may refuse to be asked; that says nothing about deliveries.
func (r *Receiver) Check(ctx context.Context) []sink.Place {
	var places []sink.Place
	for _, one := range r.endpoints.list {
		place, reply := transport.Look(ctx, r.client, http.MethodGet, one.base+"/services/collector/health")
		if health := read(reply, seal.Secret{}); place.Answer.Verdict == sink.Accepted && health.code != noCode {
			place.Answer = health.Answer
		}
		places = append(places, place)
	}
	if r.settings.SearchURL != "" {
		places = append(places, transport.LookAt(ctx, r.client, r.settings.SearchURL))
	}
	return places
}

// Close lets go of connections that rest.
func (r *Receiver) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
