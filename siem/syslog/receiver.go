package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
)

// Receiver is one syslog server. New makes it; it is safe for concurrent use.
type Receiver struct {
	settings Settings
	config   *tls.Config
	dial     transport.Dial
	kept     chan *connection // with KeepOpen: nil until there is one; whoever has it sends
}

var _ sink.Receiver = (*Receiver)(nil)

// New makes a receiver that connects by dial. An error is Invalid and names the setting.
func New(settings Settings, secrets Secrets, dial transport.Dial) (*Receiver, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	config, err := settings.TLS.Config(secrets.Key)
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(settings.Address)
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	receiver := &Receiver{settings: settings, config: config, dial: dial, kept: make(chan *connection, 1)}
	receiver.kept <- nil
	return receiver, nil
}

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return r.settings.maxBytes() }

// Send implements sink.Receiver.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	var text []byte
	for _, event := range events {
		text = r.settings.frame(text, event)
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.timeout())
	defer cancel()
	deliver := r.once
	if r.settings.KeepOpen {
		deliver = r.along
	}
	if err := deliver(ctx, text); err != nil {
		return failed(err)
	}
	return sink.Answer{Verdict: sink.Accepted, Event: -1}
}

// once sends over a connection of its own, and sees that it was read.
func (r *Receiver) once(ctx context.Context, text []byte) error {
	own, err := r.connect(ctx)
	if err != nil {
		return err
	}
	if err := own.write(ctx, text); err != nil {
		own.Close()
		return err
	}
	return own.finish(ctx)
}

// along sends over the connection that is kept. One that the receiver has ended meanwhile is made anew before anything
// is sent over it.
func (r *Receiver) along(ctx context.Context, text []byte) error {
	var held *connection
	select {
	case held = <-r.kept:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.kept <- held }()
	for {
		fresh := held == nil
		if fresh {
			made, err := r.connect(ctx)
			if err != nil {
				return err
			}
			held = made
		}
		err := held.write(ctx, text)
		if err == nil {
			return nil
		}
		held.Close()
		held = nil
		if fresh || !errors.Is(err, errEnded) {
			return err
		}
	}
}

func failed(err error) sink.Answer {
	if errors.Is(err, errEnded) {
		return sink.Answer{Verdict: sink.Busy, Event: -1, Reason: errEnded.Error()}
	}
	return transport.Failed(err)
}

// Check implements sink.Checker: it connects, and sends nothing.
func (r *Receiver) Check(ctx context.Context) []sink.Place {
	place := sink.Place{Host: r.settings.Address, Answer: sink.Answer{Verdict: sink.Accepted, Event: -1}}
	own, err := r.connect(ctx)
	if err != nil {
		place.Answer = failed(err)
		return []sink.Place{place}
	}
	defer own.Close()
	if secure, is := own.Conn.(*tls.Conn); is {
		place.Expires = secure.ConnectionState().PeerCertificates[0].NotAfter
	}
	return []sink.Place{place}
}

// Close ends the connection that is kept.
func (r *Receiver) Close() error {
	held := <-r.kept
	defer func() { r.kept <- nil }()
	if held != nil {
		return held.Close()
	}
	return nil
}
