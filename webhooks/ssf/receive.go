package ssf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/signals"
)

// arrival is one token on its way in.
type arrival struct {
	connection directory.Connection
	stream     Stream
	door       signals.Door
	compact    string
	key        string // the jti it was listed under, of a poll
	origin     core.Origin
	received   time.Time
}

// accept does what a token says. nil means that it is durable and may be acknowledged; an error says at which
// stage it failed, and transient whether the token may succeed when it comes again.
func (s *Service) accept(ctx context.Context, in arrival) error {
	read, err := s.read(ctx, in.stream, in.compact)
	if err != nil {
		return err
	}
	if in.key != "" && in.key != read.token.ID {
		return refuse("id", "the token is listed under another jti than its own")
	}
	cause := core.NewCause(in.connection.Actor(), in.received)
	cause.Origin = in.origin
	for i := range read.events {
		one := &read.events[i]
		var err error
		switch {
		case slices.Contains(verifications, one.uri):
			err = s.verification(ctx, cause, in, read, one)
		case slices.Contains(updates, one.uri):
			err = s.streamUpdated(ctx, cause, in, read, one)
		case len(one.critical(in.stream)) > 0:
			s.Signals.Refused(ctx, signals.Refusal{
				Connection: in.connection, Door: in.door, Stage: StageCritical, Subject: one.subject.String(), Origin: in.origin, Known: true,
				Err: refuse(StageCritical, "the subject has a critical member that Postern does not go by: %s", one.critical(in.stream)[0]),
			})
		case one.kind == signals.Other && one.subject.IsZero():
			err = s.strange(ctx, cause, in, read, one)
		default:
			err = s.tell(ctx, cause, in, read, one)
		}
		if err != nil {
			return err
		}
		s.heard(ctx, in.stream, one.uri)
	}
	return nil
}

// once is the single use of a token, or of one of its events, in the stream it came in. Two transmitters may
// use the same jti, and so may two doors.
func once(stream Stream, read set, one *event) signals.Once {
	id := read.token.ID
	if len(read.events) > 1 {
		id += " " + one.uri
	}
	sum := sha256.Sum256([]byte(id))
	return signals.Once{
		TokenID: "set " + stream.ID.String() + " " + hex.EncodeToString(sum[:]), BodyHash: read.token.Digest, Status: http.StatusAccepted,
		Expires: read.token.Issued.Add(maxAge + time.Hour),
	}
}

// tell hands an event about somebody to the pipeline.
func (s *Service) tell(ctx context.Context, cause core.Cause, in arrival, read set, one *event) error {
	occurred, err := one.occurred(in.stream, read.token.Issued, s.now())
	if err != nil {
		return err
	}
	said := one.said()
	signal := signals.Signal{
		Workspace: in.stream.Workspace, Connection: in.connection.ID, ConnectionName: in.connection.Name, Door: in.door, Kind: one.kind, Subject: one.subject,
		Evidence: signals.Evidence{
			Issuer: read.token.Issuer, TokenID: read.token.ID, Type: one.uri, Digest: read.token.Digest,
			Quirks: quirks(in.stream, read.quirks, one.quirks, one.subject.Quirks), Facts: said,
		},
		Occurred: occurred, Received: in.received, Transaction: read.txn,
	}
	use := once(in.stream, read, one)
	receipt, err := s.Signals.Receive(ctx, cause, signal, &use)
	if err == nil || receipt.Outcome == signals.Nobody && core.KindOf(err) == core.KindNotFound {
		return nil // that nobody is meant is on record too, and no fault of the transmitter
	}
	if transient(err) {
		return err
	}
	if receipt.Outcome == signals.Failed && !receipt.ID.IsZero() {
		return nil // understood and on record: sending it again would not change what we refuse to do
	}
	return notTwice(err, StageEffect)
}

// notTwice names the stage of a refusal: that of the jti, if it came before with another token.
func notTwice(err error, stage string) error {
	classified := core.AsError(err)
	if classified.Kind == core.KindUnauthenticated {
		return core.Invalid("", "the jti was used before, for another token").WithCode(jwt.StageID).Because(err)
	}
	return classified.WithCode(stage)
}

// strange records an event nobody knows, about somebody who is named in no way that is known.
func (s *Service) strange(ctx context.Context, cause core.Cause, in arrival, read set, one *event) error {
	return s.change(ctx, in, read, one, func(tx pgx.Tx) error {
		return audit.Append(ctx, tx, core.NewEvent(core.SignalAccepted, in.stream.Workspace, cause, s.now(), in.connection.Target()).
			With("signal", string(in.door)).With("kind", string(signals.Other)).With("type", one.uri).With("token_id", cut(read.token.ID, 200)))
	})
}

// quirks puts together what was departed from, each once.
func quirks(stream Stream, lists ...[]string) []string {
	var all []string
	if stream.Delivery == Push && len(stream.PushHashes) == 0 {
		all = append(all, QuirkNoAuthorization)
	}
	for _, list := range lists {
		for _, one := range list {
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all
}

// transient reports whether a token may succeed when it comes again.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	switch core.KindOf(err) {
	case core.KindInternal, core.KindUnavailable, core.KindRateLimited, core.KindStale:
		return true
	}
	return false
}

// names checks that an event of the framework is about this stream.
func (e *event) names(stream Stream) error {
	if e.subject.IsZero() || stream.RemoteID == "" {
		return nil
	}
	if e.subject.Format != signals.FormatOpaque || e.subject.ID != stream.RemoteID {
		return refuse(StageSubject, "sub_id is the stream's id as an opaque identifier")
	}
	return nil
}

// verification answers the event that proves a stream (Shared Signals Framework 1.0 §8.1.4): one we asked for
// brings back the state we sent.
func (s *Service) verification(ctx context.Context, cause core.Cause, in arrival, read set, one *event) error {
	if err := one.names(in.stream); err != nil {
		return err
	}
	state := ""
	if raw, there := one.members["state"]; there {
		if state = one.text("state"); raw.Kind() != '"' || state == "" {
			return refuse(StageState, "state is a string").WithCode(errInvalidState)
		}
	}
	return s.change(ctx, in, read, one, func(tx pgx.Tx) error {
		ours, err := s.verifiedBy(ctx, tx, in.stream, state)
		if err != nil {
			return err
		}
		if !ours {
			return refuse(StageState, "the state is not one that was sent").WithCode(errInvalidState)
		}
		event := core.NewEvent(core.StreamVerified, in.stream.Workspace, cause, s.now(), in.stream.Target(), in.connection.Target()).
			With("signal", string(in.door)).With("token_id", cut(read.token.ID, 200))
		return audit.Append(ctx, tx, event)
	})
}

// streamUpdated follows a transmitter that changed a stream's status by itself (§8.1.5).
func (s *Service) streamUpdated(ctx context.Context, cause core.Cause, in arrival, read set, one *event) error {
	if err := one.names(in.stream); err != nil {
		return err
	}
	status := Status(one.text("status"))
	switch status {
	case Enabled, Paused, Disabled:
	default:
		return refuse(StageEvents, "the status of a stream is enabled, paused or disabled")
	}
	return s.change(ctx, in, read, one, func(tx pgx.Tx) error {
		changed, err := s.setStatus(ctx, tx, in.stream, status, one.text("reason"), new(read.token.Issued))
		if err != nil || !changed {
			return err
		}
		event := core.NewEvent(core.StreamUpdated, in.stream.Workspace, cause, s.now(), in.stream.Target(), in.connection.Target()).
			With("status", string(status)).With("by", "transmitter")
		if reason := one.text("reason"); reason != "" {
			event = event.Because(cut(reason, 300))
		}
		return audit.Append(ctx, tx, event)
	})
}

// change is the transaction of an event about the stream itself, together with the token's use.
func (s *Service) change(ctx context.Context, in arrival, read set, one *event, work func(tx pgx.Tx) error) error {
	use := once(in.stream, read, one)
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		_, replay, err := s.Directory.UseTokenID(ctx, tx, in.connection.ID, use.TokenID, use.BodyHash, use.Status, use.Expires)
		switch {
		case core.KindOf(err) == core.KindUnauthenticated:
			return notTwice(err, jwt.StageID)
		case err != nil || replay:
			return err
		}
		return work(tx)
	})
	if err == nil {
		s.wake()
	}
	return err
}
