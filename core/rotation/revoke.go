package rotation

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// ended is what came of ending the sessions that were opened with the old password.
type ended struct {
	at   *time.Time // when the app said so; nil: it was not asked, or did not
	why  string     // for a person; empty: nobody could be asked
	kept *evidence
	// again is when the administrator may be had; zero: the rotation goes on without. failed: it is to be tried again later and later.
	again  time.Time
	failed bool
}

// sessionsWithin is how long after the proofs a rotation still waits for the administrator: longer than a spent budget takes to be
// free again.
const sessionsWithin = 20 * time.Minute

// endSessions has the app's administrator end the account's sessions, since a new password alone ends none in most apps. The
// password is replaced whatever comes of it, so what does not pass within a while is told; the same again after a crash does no harm.
func (a *attempt) endSessions(ctx context.Context) (ended, error) {
	revoker, can := a.connector.(Revoker)
	admin := a.app.ReconcileAccount
	if !can || admin.IsZero() || admin == a.account.ID || !slices.Contains(Capabilities(a.connector, a.app.Settings), CanRevoke) {
		return ended{}, nil
	}
	lent, why, until, err := a.borrow(ctx, admin)
	if err != nil {
		return ended{}, err
	}
	last := a.progress.OldRefused.Add(sessionsWithin)
	if why != "" && !until.IsZero() && until.Before(last) {
		return ended{why: "The sessions opened before are still to be ended. " + why, again: until}, nil
	}
	if why != "" {
		return ended{why: "The sessions opened before were not ended. " + why}, nil
	}
	by, err := a.Rotations.credential(ctx, lent.account, lent.version)
	if err != nil {
		return ended{}, err
	}
	started := a.now()
	trying, stop := context.WithTimeout(ctx, patience(a.options.SignInTimeout, by))
	report := revoker.Revoke(trying, a.target(), by, a.account.Username)
	stop()
	report = cleaned(report, started, a.now(), by.Password)
	a.meter().Tried(a.app.Connector, false, report.Outcome)
	if ctx.Err() != nil && report.Outcome != Applied {
		return ended{}, context.Cause(ctx) // broken off: the next worker asks again
	}
	if err := a.giveBack(ctx, lent, report); err != nil {
		return ended{}, err
	}
	kept := a.evidence(report, a.progress.Candidate)
	kept.Administrator = admin
	if (report.Outcome == Unreachable || report.Outcome == TimedOut) && a.now().Before(last) {
		return ended{why: "The sessions opened before are still to be ended. " + words(report), kept: &kept, failed: true}, nil
	}
	if report.Outcome != Applied {
		return ended{why: "The sessions opened before were not ended. " + words(report), kept: &kept}, nil
	}
	return ended{at: &report.Finished, why: "The app ended the sessions that were open.", kept: &kept}, nil
}

// told writes into the history and onto the event what came of the sessions.
func (e ended) told(ctx context.Context, tx pgx.Tx, p *progress, now time.Time, rotated core.Event) (core.Event, error) {
	if e.why == "" {
		return rotated, nil
	}
	if e.at != nil {
		rotated = rotated.With("sessions_ended", e.at.UTC().Format(time.RFC3339Nano))
	}
	if e.kept == nil {
		return rotated, p.step(ctx, tx, now, StateOldDead, e.why, nil)
	}
	return rotated, p.step(ctx, tx, now, StateOldDead, e.why, *e.kept)
}
