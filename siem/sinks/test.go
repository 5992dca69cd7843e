package sinks

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/siem/sink"
	"postern/siem/stream"
)

// tested is how long a receiver may take to answer when somebody waits for it.
const tested = 20 * time.Second

// verdicts are the words for what receivers say.
var verdicts = map[sink.Verdict]string{sink.Accepted: "accepted", sink.Busy: "busy", sink.Misconfigured: "misconfigured", sink.Refused: "refused", sink.TooLarge: "too_large"}

// Answer is what a receiver said when somebody waited for it.
type Answer struct {
	Verdict string        // accepted, busy, misconfigured, refused or too_large
	Reason  string        // in words; no secret
	Event   core.ID       // that was sent
	Took    time.Duration // for the answer
}

// Test sends one event now, whatever the state of the sink, and tells what the receiver said. It has no place in
// the sequence, the same redaction as every other, and goes past the filter: what is tested is the receiver. That somebody tested is an event of its own.
func (s *Service) Test(ctx context.Context, cause core.Cause, workspace, id core.ID) (Answer, error) {
	one, err := s.Sink(ctx, s.DB, workspace, id)
	if err != nil {
		return Answer{}, err
	}
	event := core.NewEvent(core.SinkTested, workspace, cause, s.now(), one.target()).Because("a test, sent because somebody asked for it")
	var answer Answer
	if receiver, redacts, err := s.open(ctx, one); err != nil {
		if core.KindOf(err) != core.KindInvalid {
			return Answer{}, err
		}
		answer = Answer{Verdict: verdicts[sink.Misconfigured], Reason: core.AsError(err).Message}
	} else {
		defer func() { _ = receiver.Close() }()
		canonical, err := json.Marshal(event)
		if err != nil {
			return Answer{}, core.Internal(err)
		}
		events, err := s.events([]audit.Record{{Event: event, Canonical: canonical, Previous: audit.Genesis(), Hash: audit.Hash(audit.Genesis(), 0, canonical)}})
		if err == nil {
			events, err = redacts.all(events)
		}
		if err != nil {
			return Answer{}, err
		}
		answer = s.ask(ctx, receiver, events[0])
	}
	told := core.NewEvent(core.SinkTested, workspace, cause, s.now(), one.target()).Because(answer.Reason).With("verdict", answer.Verdict)
	if answer.Verdict != verdicts[sink.Accepted] {
		told = told.Failed(answer.Reason)
	}
	return answer, s.change(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, told) })
}

// Check looks at the addresses of a sink's receiver, by the certificates that deliveries go by. Invalid: no receiver can be
// made of what is set.
func (s *Service) Check(ctx context.Context, one Sink) ([]sink.Place, error) {
	receiver, _, err := s.open(ctx, one)
	if err != nil {
		return nil, err
	}
	defer func() { _ = receiver.Close() }()
	checker, able := receiver.(sink.Checker)
	if !able {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tested)
	defer cancel()
	return checker.Check(ctx), nil
}

// ask sends one event now.
func (s *Service) ask(ctx context.Context, receiver sink.Receiver, event stream.Event) Answer {
	ctx, cancel := context.WithTimeout(ctx, tested)
	defer cancel()
	began := time.Now()
	said := receiver.Send(ctx, []stream.Event{event})
	return Answer{Verdict: verdicts[said.Verdict], Reason: said.Reason, Event: event.ID, Took: time.Since(began)}
}
