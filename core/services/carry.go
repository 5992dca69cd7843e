package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

// How apps are asked for what there is to do.

// No workspace waits for all that another one has.
const selectAsked = `
select workspace_id, credential_id as id from (
	select workspace_id, credential_id, next_attempt, row_number() over (partition by workspace_id order by next_attempt) as turn from service_app_work
	where next_attempt <= @now and (lease_until is null or lease_until <= @now)) due
order by turn, next_attempt limit @limit`

// carryAll asks apps for what there is to do, in all workspaces, until ctx ends.
func (s *Services) carryAll(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		s.warn(ctx, s.Carry(ctx))
	}
}

// atOnce is how many credentials apps are asked for at a time.
const atOnce = 16

// Carry asks the apps for what there is to do now, in all workspaces. It may run in many processes: each credential is seen to by one.
func (s *Services) Carry(ctx context.Context) error {
	found, err := postgres.Many[due](ctx, s.DB, selectAsked, pgx.StrictNamedArgs{"now": s.now(), "limit": together})
	if err != nil {
		return err
	}
	failed := make([]error, len(found))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, one := range found {
		group.Go(func() error {
			for more := true; more && ctx.Err() == nil && failed[i] == nil; {
				more, failed[i] = s.carry(ctx, one.Workspace, one.ID)
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(failed...)
}

// task is one thing an app is asked for a credential.
type task struct {
	*bench
	work   appWork
	cause  core.Cause
	about  Version // that is tried or ended
	unmade bool    // the app has certainly not made what it was asked for
}

// carry does the next thing there is to do. more says that there may be another at once.
func (s *Services) carry(ctx context.Context, workspace, credential core.ID) (more bool, err error) {
	var do func(ctx context.Context, t *task) error
	t := &task{cause: core.NewCause(core.System, s.now())}
	err = s.change(ctx, func(tx pgx.Tx) (events []core.Event, err error) {
		do = nil
		if t.bench, err = s.at(ctx, tx, workspace, credential); err != nil {
			return nil, err
		}
		if t.work, err = s.lockWork(ctx, tx, t.bench); err != nil {
			return nil, err
		}
		now := s.now()
		if t.work.NextAttempt == nil || t.work.NextAttempt.After(now) || t.work.LeaseUntil != nil && t.work.LeaseUntil.After(now) {
			return nil, nil
		}
		ending, some := t.ending()
		switch {
		case t.work.Making != "":
			do = s.clean
		case some:
			t.about, do = ending, s.endToken
		case t.work.Removing:
			return s.removed(ctx, tx, t)
		case t.Rotation != nil && t.Rotation.State == Planned:
			t.work.Making, do = fmt.Sprint(t.prefix(), t.work.Fence+1), s.issue
		case t.Rotation != nil && t.Rotation.State == Created:
			t.about, do = t.version(t.Rotation.New), s.try
		default:
			t.work.NextAttempt, t.work.Attempts, t.work.Detail = nil, 0, ""
			return nil, s.saveWork(ctx, tx, t.bench, t.work)
		}
		t.work.Fence++
		t.work.LeaseUntil = new(now.Add(2 * s.Rotations.TokenTimeout()))
		return nil, s.saveWork(ctx, tx, t.bench, t.work)
	})
	if core.KindOf(err) == core.KindNotFound {
		return false, nil // it was removed meanwhile
	}
	if err != nil || do == nil {
		return false, err
	}
	err = do(ctx, t)
	if errors.Is(err, errOther) || core.KindOf(err) == core.KindNotFound {
		return false, nil
	}
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, s.failed(ctx, t, s.now(), "Something here failed; the log says what."))
	}
	return t.work.Detail == "" && err == nil, err
}

// prefix is how the names of a credential's tokens begin in the app.
func (b *bench) prefix() string { return "postern-" + b.Credential.ID.String() + "-" }

// errOther: somebody else sees to it now.
var errOther = errors.New("services: another worker took over")

// record is a transaction on a task's credential, if it is still this worker's. The lease ends with it.
func (s *Services) record(ctx context.Context, t *task, work func(ctx context.Context, tx pgx.Tx, b *bench, w *appWork) ([]core.Event, error)) error {
	ctx = context.WithoutCancel(ctx)
	return s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		b, err := s.at(ctx, tx, t.Account.Workspace, t.Credential.ID)
		if err != nil {
			return nil, err
		}
		w, err := s.lockWork(ctx, tx, b)
		if err != nil {
			return nil, err
		}
		if w.Fence != t.work.Fence {
			return nil, errOther
		}
		w.LeaseUntil, w.NextAttempt = nil, new(s.now())
		events, err := work(ctx, tx, b, &w)
		if err != nil {
			return nil, err
		}
		t.work = w
		return events, s.saveWork(ctx, tx, b, w)
	})
}

// Between two attempts in vain it takes longer each time, and an hour where somebody has to see to it first.
const (
	longestPause = time.Hour
	attended     = time.Hour
)

// pause doubles the first one with each attempt in vain.
func pause(first time.Duration, attempts int) time.Duration {
	return min(max(first, time.Second)<<min(attempts, 10), longestPause)
}

// failed puts off what the app did not do. It is told once per reason.
func (s *Services) failed(ctx context.Context, t *task, until time.Time, why string) error {
	return s.record(ctx, t, func(ctx context.Context, tx pgx.Tx, b *bench, w *appWork) ([]core.Event, error) {
		now, told := s.now(), w.Detail == why
		w.Detail = why
		if t.unmade {
			w.Making = ""
		}
		if until.IsZero() {
			w.NextAttempt = new(now.Add(attended))
		} else {
			w.NextAttempt = new(now.Add(pause(until.Sub(now), w.Attempts)))
			w.Attempts++
		}
		if told || b.Rotation == nil {
			return nil, nil
		}
		return s.step(ctx, tx, t.cause, b, b.Rotation.State, why)
	})
}

// settles is how long an app is given to know of a token everywhere.
const settles = 10 * time.Minute

// went is that the app did what it was asked.
func went(w *appWork) { w.Attempts, w.Detail = 0, "" }

// issue has the app make a token. What is known of it is stored at once, before anything else is asked.
func (s *Services) issue(ctx context.Context, t *task) error {
	answer, err := s.Rotations.IssueToken(ctx, t.cause, t.Account.Workspace, t.Credential.Login, t.work.Making, func(ctx context.Context, id string, value seal.Secret) error {
		return s.record(ctx, t, func(ctx context.Context, tx pgx.Tx, b *bench, w *appWork) ([]core.Event, error) {
			if b.Rotation == nil || b.Rotation.State != Planned || w.Removing {
				return nil, errOther // nobody wants it any more: it is ended by its name
			}
			version := Version{Version: b.newest() + 1, Created: s.now(), AppToken: id}
			if err := s.insertVersion(ctx, tx, b, version); err != nil {
				return nil, err
			}
			if err := s.Accounts.Vault.Put(ctx, tx, b.Account.Workspace, b.Credential.Vault, b.Credential.ID, string(b.Credential.Kind), version.Version, value); err != nil {
				return nil, err
			}
			w.Making = ""
			went(w)
			old, _ := b.given()
			return s.created(ctx, tx, t.cause, b, b.Rotation.Reason, old.Version, "the app made it, and calls it "+id)
		})
	})
	switch {
	case errors.Is(err, rotation.ErrNotKept):
		return s.failed(ctx, t, s.now(), "The app made a token that could not be stored, or that nobody wants any more. It is ended.")
	case err != nil || answer.Done():
		return err
	}
	before := answer.Stage == rotation.StageNavigate || answer.Stage == rotation.StageSignIn
	t.unmade = before || answer.Outcome == rotation.NotSent
	return s.failed(ctx, t, answer.Until, answer.Detail)
}

// clean ends what the app may have made when nobody heard of it.
func (s *Services) clean(ctx context.Context, t *task) error {
	tokens, answer, err := s.Rotations.AccountTokens(ctx, t.cause, t.Account.Workspace, t.Credential.Login)
	for i := 0; err == nil && answer.Done() && i < len(tokens); i++ {
		one := tokens[i]
		known := slices.ContainsFunc(t.Versions, func(v Version) bool { return v.AppToken == one.ID })
		if known || !strings.HasPrefix(one.Name, t.prefix()) {
			continue
		}
		answer, err = s.Rotations.WithdrawToken(ctx, t.cause, t.Account.Workspace, t.Credential.Login, one.ID)
	}
	if err != nil {
		return err
	}
	if !answer.Done() {
		return s.failed(ctx, t, answer.Until, answer.Detail)
	}
	return s.record(ctx, t, func(_ context.Context, _ pgx.Tx, _ *bench, w *appWork) ([]core.Event, error) {
		w.Making = ""
		if w.Attempts > 0 { // the next attempt is as far off as the last one said
			w.NextAttempt = new(s.now().Add(pause(0, w.Attempts)))
		}
		w.Detail = ""
		return nil, nil
	})
}

// try has the app let the new token in before anybody is given it.
func (s *Services) try(ctx context.Context, t *task) error {
	report, err := s.lets(ctx, t)
	if err != nil {
		return err
	}
	switch report.Outcome {
	case rotation.Accepted:
		return s.record(ctx, t, func(ctx context.Context, tx pgx.Tx, b *bench, w *appWork) ([]core.Event, error) {
			went(w)
			if b.Rotation == nil || b.Rotation.State != Created || b.Rotation.New != t.about.Version {
				return nil, nil
			}
			events, err := s.step(ctx, tx, t.cause, b, Distributed, "the app lets it in; it is given out from now on")
			if err != nil || b.Rotation.Old != 0 {
				return events, err
			}
			told, err := s.finish(ctx, tx, t.cause, b, "there was none before")
			return append(events, told...), err
		})
	case rotation.Rejected:
		if early := t.about.Created.Add(settles); s.now().Before(early) {
			return s.failed(ctx, t, s.now().Add(time.Minute), "The app does not let the new token in yet.")
		}
		return s.record(ctx, t, func(ctx context.Context, tx pgx.Tx, b *bench, w *appWork) ([]core.Event, error) {
			went(w)
			return s.end(ctx, tx, t.cause, b, t.about, "it does not let in who has the token it made")
		})
	}
	return s.failed(ctx, t, report.Until, "Whether the app lets the new token in cannot be told. "+report.Detail)
}

// lets asks the app whether it lets in who has the value in question.
func (s *Services) lets(ctx context.Context, t *task) (rotation.TokenReport, error) {
	value, err := s.sealed(ctx, s.DB, t.bench, t.about)
	if err != nil {
		return rotation.TokenReport{}, err
	}
	return s.Rotations.TryToken(ctx, t.Account.Workspace, t.Credential.Login, value)
}

// endToken has the app end a token, and sees that it lets nobody in with it.
func (s *Services) endToken(ctx context.Context, t *task) error {
	answer, err := s.Rotations.WithdrawToken(ctx, t.cause, t.Account.Workspace, t.Credential.Login, t.about.AppToken)
	if err != nil {
		return err
	}
	if !answer.Done() {
		return s.failed(ctx, t, answer.Until, answer.Detail)
	}
	report, err := s.lets(ctx, t)
	switch {
	case err != nil:
		return err
	case report.Outcome == rotation.Accepted:
		return s.failed(ctx, t, s.now().Add(time.Minute), "The app says that it ended the token, and still lets in who has it.")
	case report.Outcome != rotation.Rejected && report.Outcome != rotation.Disabled && report.Outcome != rotation.Locked:
		return s.failed(ctx, t, report.Until, "Whether the app still lets the ended token in cannot be told. "+report.Detail)
	}
	return s.record(ctx, t, func(ctx context.Context, tx pgx.Tx, b *bench, w *appWork) ([]core.Event, error) {
		went(w)
		events, err := s.revoke(ctx, tx, t.cause, b, t.about)
		if err != nil || b.Rotation == nil || w.Removing {
			return events, err
		}
		var told []core.Event
		switch t.about.Version {
		case b.Rotation.Old:
			told, err = s.finish(ctx, tx, t.cause, b, strings.TrimPrefix(t.about.EndingReason+"; the app lets nobody in with the old one any more", "; "))
		case b.Rotation.New:
			told, err = s.rollBack(ctx, tx, t.cause, b, t.about.EndingReason)
		}
		return append(events, told...), err
	})
}

// removed deletes a credential whose tokens have all ended.
func (s *Services) removed(ctx context.Context, tx pgx.Tx, t *task) ([]core.Event, error) {
	if _, err := tx.Exec(ctx, deleteCredential, pgx.StrictNamedArgs{"workspace": t.Account.Workspace, "id": t.Credential.ID}); err != nil {
		return nil, postgres.Classify(err)
	}
	return []core.Event{core.NewEvent(core.ServiceAccountCredentialRemoved, t.Account.Workspace, t.cause, s.now(), t.Account.Target(), t.Credential.Target()).
		Because("the app lets nobody in with what it made")}, nil
}
