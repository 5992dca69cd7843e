package mail

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/seal"
)

// send is the job of sending one mail.
type send struct {
	Workspace core.ID `json:"workspace"`
	Mail      core.ID `json:"mail"`
}

// Kind implements jobs.Job.
func (send) Kind() string { return "mail.send" }

// Register makes this process send mails.
func (m *Mail) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, job send, _ int) error { return m.send(ctx, job) })
}

const (
	// patience is how long a receiver may take for a mail.
	patience = time.Minute
	// lease is how long a worker that has fallen silent keeps a mail from the others.
	lease = 2 * time.Minute
)

// again is how long to wait after an attempt that failed: the last is for all that follow.
var again = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

type claimed struct {
	Recipient string    `db:"recipient"`
	Subject   string    `db:"subject"`
	Sealed    []byte    `db:"sealed"`
	Decoy     bool      `db:"decoy"`
	Attempts  int       `db:"attempts"`
	Until     time.Time `db:"until"`
}

const claimMail = `
update mails set attempts = attempts + 1, busy = @lease
where workspace_id = @workspace and id = @id and state = 'queued' and (busy is null or busy <= @now)
returning recipient, subject, sealed, decoy, attempts, until`

const selectBusy = `select busy from mails where workspace_id = @workspace and id = @id and state = 'queued'`

// send makes one attempt.
func (m *Mail) send(ctx context.Context, job send) error {
	now := m.now()
	rows, err := m.DB.Query(ctx, claimMail, pgx.StrictNamedArgs{"workspace": job.Workspace, "id": job.Mail, "now": now, "lease": now.Add(lease)})
	if err != nil {
		return postgres.Classify(err)
	}
	mail, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[claimed])
	if errors.Is(err, pgx.ErrNoRows) {
		return m.wait(ctx, job, now)
	}
	if err != nil {
		return postgres.Classify(err)
	}
	switch {
	case mail.Decoy:
		return m.finish(ctx, job, mail, "")
	case !mail.Until.After(now):
		return m.finish(ctx, job, mail, "it could not be sent in time")
	case m.Sender == nil:
		return m.postpone(ctx, job, mail, m.Ready())
	}
	text, err := m.open(ctx, m.DB, job.Workspace, job.Mail, mail.Sealed)
	if err == nil {
		err = m.hand(ctx, Message{To: mail.Recipient, Subject: mail.Subject, Text: text, Until: mail.Until, ID: job.Mail})
	}
	switch core.KindOf(err) {
	case core.KindInvalid, core.KindDenied, core.KindTooLarge:
		return m.finish(ctx, job, mail, core.AsError(err).Message)
	case core.KindInternal, core.KindUnauthenticated, core.KindNotFound, core.KindConflict, core.KindStale, core.KindRateLimited, core.KindUnavailable:
	}
	if err != nil {
		return m.postpone(ctx, job, mail, err)
	}
	return m.finish(ctx, job, mail, "")
}

func (m *Mail) hand(ctx context.Context, message Message) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.Sender.Send(ctx, message)
}

func (m *Mail) open(ctx context.Context, q postgres.Querier, workspace, mail core.ID, sealed []byte) (seal.Secret, error) {
	key, err := m.Vault.Open(ctx, q, workspace, workspace, keyField, 1)
	if err != nil {
		return seal.Secret{}, err
	}
	return seal.OpenUnder(key, binding(workspace, mail), sealed)
}

// wait has a mail that another worker is at looked at again when that one must be done; one that is over is done.
func (m *Mail) wait(ctx context.Context, job send, now time.Time) error {
	var busy *time.Time
	err := m.DB.QueryRow(ctx, selectBusy, pgx.StrictNamedArgs{"workspace": job.Workspace, "id": job.Mail}).Scan(&busy)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return postgres.Classify(err)
	case busy == nil:
		return jobs.Snooze(time.Second)
	}
	return jobs.Snooze(busy.Sub(now))
}

const postponeMail = `
update mails set busy = null, reason = @reason where workspace_id = @workspace and id = @id and state = 'queued'`

// postpone has a mail tried again after a while. What was interrupted by the end of its worker is, too.
func (m *Mail) postpone(ctx context.Context, job send, mail claimed, cause error) error {
	_, err := m.DB.Exec(context.WithoutCancel(ctx), postponeMail, pgx.StrictNamedArgs{
		"workspace": job.Workspace, "id": job.Mail, "reason": core.Cut(core.AsError(cause).Message, 500),
	})
	if err != nil {
		return postgres.Classify(err)
	}
	wait := again[min(mail.Attempts, len(again))-1]
	if left := mail.Until.Sub(m.now()); left < wait {
		wait = left
	}
	return jobs.Snooze(wait)
}

const finishMail = `
update mails set state = @state, reason = @reason, sealed = null, busy = null, finished = @now
where workspace_id = @workspace and id = @id and state = 'queued'`

// finish erases a mail that was sent, or given up for a reason.
func (m *Mail) finish(ctx context.Context, job send, mail claimed, reason string) error {
	now, state := m.now(), "sent"
	if reason != "" {
		state = "given_up"
	}
	// Once it is sent that is written down, even if the worker has to stop.
	err := m.DB.Tx(context.WithoutCancel(ctx), func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, finishMail, pgx.StrictNamedArgs{
			"workspace": job.Workspace, "id": job.Mail, "state": state, "reason": core.Cut(reason, 500), "now": now,
		})
		if err != nil || done.RowsAffected() == 0 || reason == "" {
			return postgres.Classify(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.MailGivenUp, job.Workspace, core.NewCause(core.System, now), now,
			core.Target{Kind: "mail", ID: job.Mail, Name: mail.Recipient}).Failed(core.Cut(reason, 500)).With("subject", mail.Subject))
	})
	if err == nil && reason != "" && m.Wake != nil {
		m.Wake()
	}
	return err
}
