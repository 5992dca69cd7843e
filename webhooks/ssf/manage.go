package ssf

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/signals"
)

// Verify asks a stream's transmitter for a verification event (Shared Signals Framework 1.0 §8.1.4). The event
// comes in the stream: Stream.Verified says when. Sooner than the transmitter allows is RateLimited.
func (s *Service) Verify(ctx context.Context, workspace, id core.ID) error {
	s.prepare()
	stream, err := s.ready(ctx, workspace, id)
	if err != nil {
		return err
	}
	if stream.VerifyAsked != nil && stream.VerifyInterval > 0 {
		if wait := stream.VerifyAsked.Add(time.Duration(stream.VerifyInterval) * time.Second).Sub(s.now()); wait > 0 {
			return &core.Error{Kind: core.KindRateLimited, RetryAfter: wait, Message: "the transmitter verifies a stream once in " + (time.Duration(stream.VerifyInterval) * time.Second).String()}
		}
	}
	state := rand.Text()
	// Kept before it is sent: the event may overtake the answer.
	if err := s.asked(ctx, stream, state); err != nil {
		return err
	}
	if err := s.remoteVerify(ctx, stream, state); err != nil {
		s.failed(ctx, stream, "verify", err, 0)
		return err
	}
	s.well(ctx, stream, "verify")
	return nil
}

// ready reads a stream that is there at its transmitter too.
func (s *Service) ready(ctx context.Context, workspace, id core.ID) (Stream, error) {
	stream, err := s.Stream(ctx, s.DB, workspace, id)
	if err == nil && stream.Status == Creating {
		return stream, core.Conflict("", "the transmitter did not answer when this stream was made: delete it and create it anew, or adopt what is there").WithCode("creating")
	}
	return stream, err
}

// SetStatus asks the transmitter to enable, pause or disable a stream.
func (s *Service) SetStatus(ctx context.Context, cause core.Cause, workspace, id core.ID, wanted Status, reason string) (Stream, error) {
	s.prepare()
	switch wanted {
	case Enabled, Paused, Disabled:
	default:
		return Stream{}, core.Invalid("status", "a stream is enabled, paused or disabled")
	}
	stream, err := s.ready(ctx, workspace, id)
	if err != nil {
		return Stream{}, err
	}
	said, err := s.remoteSetStatus(ctx, stream, wanted, reason)
	if err != nil {
		s.failed(ctx, stream, "status", err, 0)
		return Stream{}, err
	}
	stream.follow(said)
	if said.Reason == "" {
		stream.Reason = cut(reason, 500)
	}
	return s.keep(ctx, cause, stream, "status", string(stream.Status))
}

// Refresh reads what the transmitter has of a stream now: its metadata, settings and status.
func (s *Service) Refresh(ctx context.Context, cause core.Cause, workspace, id core.ID) (Stream, error) {
	s.prepare()
	stream, err := s.ready(ctx, workspace, id)
	if err != nil {
		return Stream{}, err
	}
	metadata, err := s.Discover(ctx, stream.Issuer)
	if err != nil {
		s.failed(ctx, stream, "discovery", err, 0)
		return Stream{}, err
	}
	stream.Metadata = metadata
	if stream.Access.Method != MethodNone {
		found, err := s.remoteRead(ctx, stream)
		if err == nil {
			err = stream.take(found)
		}
		if err != nil {
			s.failed(ctx, stream, "read", err, 0)
			return Stream{}, err
		}
		if metadata.Status != "" {
			status, err := s.remoteStatus(ctx, stream)
			if err != nil {
				s.failed(ctx, stream, "status", err, 0)
				return Stream{}, err
			}
			stream.follow(status)
		}
	}
	s.well(ctx, stream, "discovery", "read", "status", "update")
	return s.keep(ctx, cause, stream, "read", "true")
}

// Change is what Update changes; nil and false leave things as they are.
type Change struct {
	Events      []string
	Description *string
	// Authorization has the transmitter send a new header from now on. Both are accepted until it has said yes.
	Authorization bool
}

// Update changes a stream at its transmitter.
func (s *Service) Update(ctx context.Context, cause core.Cause, workspace, id core.ID, wanted Change) (Stream, error) {
	s.prepare()
	stream, err := s.ready(ctx, workspace, id)
	if err != nil {
		return Stream{}, err
	}
	changed := configuration{}
	if len(wanted.Events) > 0 {
		stream.Requested, changed.Requested = wanted.Events, wanted.Events
	}
	if wanted.Description != nil {
		stream.Description, changed.Description = cut(*wanted.Description, 200), cut(*wanted.Description, 200)
	}
	// The header is not kept, so whoever replaces the whole needs a new one.
	authorization, earlier := seal.NewSecret("Bearer "+seal.NewToken("pst_ssf").Reveal()), stream.PushHashes
	if stream.Delivery == Push {
		stream.PushHashes = append(hashes(earlier), seal.HashToken(authorization.Reveal()))
		if err := s.accepting(ctx, stream); err != nil {
			return Stream{}, err
		}
	}
	whole := configuration{Requested: stream.Requested, Description: stream.Description, Delivery: s.delivery(stream, authorization)}
	if wanted.Authorization && stream.Delivery == Push {
		changed.Delivery = whole.Delivery
	}
	said, replaced, err := s.remoteUpdate(ctx, stream, changed, whole)
	if err == nil && said.ID == "" {
		said, err = s.remoteRead(ctx, stream)
	}
	if err == nil {
		err = stream.take(said)
	}
	if err != nil {
		s.failed(ctx, stream, "update", err, 0)
		if !transient(err) && len(earlier) > 0 { // it was not taken over
			stream.PushHashes = earlier
			return Stream{}, errors.Join(err, s.accepting(ctx, stream))
		}
		return Stream{}, err
	}
	if stream.PushHashes = earlier; stream.Delivery == Push && (replaced || changed.Delivery != nil) {
		stream.PushHashes = [][]byte{seal.HashToken(authorization.Reveal())}
	}
	s.well(ctx, stream, "update")
	return s.keep(ctx, cause, stream, "settings", "true")
}

// Delete ends a stream at its transmitter and forgets it. forced forgets it even if the transmitter cannot be
// asked: it may go on sending, and is not listened to.
func (s *Service) Delete(ctx context.Context, cause core.Cause, workspace, id core.ID, forced bool) error {
	s.prepare()
	stream, err := s.Stream(ctx, s.DB, workspace, id)
	if err != nil {
		return err
	}
	if stream.RemoteID != "" && stream.Access.Method != MethodNone {
		if err := s.remoteDelete(ctx, stream); err != nil && !forced {
			s.failed(ctx, stream, "delete", err, 0)
			return err
		}
	}
	connection, err := s.Directory.Connection(ctx, s.DB, workspace, stream.Connection)
	if err != nil {
		return err
	}
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.drop(ctx, tx, stream); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.StreamDeleted, workspace, cause, s.now(), stream.Target(), connection.Target()))
	})
	if err == nil {
		s.forget(stream)
		s.wake()
	}
	return err
}

// Subject tells the transmitter about whom it is to tell us, or no longer (§8.1.3). subject is a subject
// identifier (RFC 9493) as JSON.
func (s *Service) Subject(ctx context.Context, workspace, id core.ID, add bool, subject json.RawMessage) error {
	s.prepare()
	if _, err := signals.ParseSubject(subject); err != nil {
		return err
	}
	stream, err := s.ready(ctx, workspace, id)
	if err != nil {
		return err
	}
	return s.remoteSubject(ctx, stream, add, subject)
}

const updateHashes = `update streams set push_hashes = @hashes where workspace_id = @workspace and id = @id`

// accepting keeps which Authorization headers are accepted, at most a few that may be the one in force.
func (s *Service) accepting(ctx context.Context, stream Stream) error {
	all := stream.PushHashes
	_, err := s.DB.Exec(ctx, updateHashes, pgx.StrictNamedArgs{"workspace": stream.Workspace, "id": stream.ID, "hashes": hashes(all[max(0, len(all)-8):])})
	return postgres.Classify(err)
}

// keep writes a stream as it is now, tells of the change and reads it again.
func (s *Service) keep(ctx context.Context, cause core.Cause, stream Stream, key, value string) (Stream, error) {
	connection, err := s.Directory.Connection(ctx, s.DB, stream.Workspace, stream.Connection)
	if err != nil {
		return Stream{}, err
	}
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.save(ctx, tx, stream); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.StreamUpdated, stream.Workspace, cause, s.now(), stream.Target(), connection.Target()).With(key, value))
	})
	if err != nil {
		return Stream{}, err
	}
	s.wake()
	return s.Stream(ctx, s.DB, stream.Workspace, stream.ID)
}

// Wait waits until a stream's verification event has come that was asked for, or ctx ends.
func (s *Service) Wait(ctx context.Context, workspace, id core.ID) (Stream, error) {
	for {
		stream, err := s.Stream(ctx, s.DB, workspace, id)
		if err != nil || stream.Verified != nil && (stream.VerifyAsked == nil || !stream.Verified.Before(*stream.VerifyAsked)) {
			return stream, err
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return stream, core.Unavailable(0, "no verification event came in time")
			}
			return stream, postgres.Classify(ctx.Err())
		case <-timer.C:
		}
	}
}
