package mail

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/vault"
)

// Mail queues mails and sends them. It is safe for concurrent use, in many processes.
type Mail struct {
	DB     *postgres.DB
	Vault  *vault.Vault
	Jobs   *jobs.Queue
	Sender Sender // nil: this Postern sends no mail
	// Keep keeps mails where they can be read instead of sending them: in development. Whoever reads them can sign
	// in as whom they are for.
	Keep bool
	Now  func() time.Time // nil is time.Now
	Wake func()           // called after a commit with events, if set
}

// now is the time as PostgreSQL keeps it.
func (m *Mail) now() time.Time { return postgres.Now(m.Now) }

// Ready says that mails go somewhere. Where they do not it is a Conflict (code "mail_off"), and so is Queue.
func (m *Mail) Ready() error {
	if m.Sender == nil && !m.Keep {
		return core.Conflict("mail", "this Postern sends no mail; whoever runs it has to give it a mail server (--smtp-address)").WithCode("mail_off")
	}
	return nil
}

const insertMail = `
insert into mails (id, workspace_id, recipient, subject, sealed, decoy, state, queued, until, finished)
values (@id, @workspace, @recipient, @subject, @sealed, @decoy, @state, @now, @until, @finished)`

// What was sent or given up is remembered for a month.
const sweepMails = `
delete from mails where workspace_id = @workspace and id in (
	select id from mails where workspace_id = @workspace and finished < @now::timestamptz - interval '30 days' limit 100 for update skip locked)`

// Queue has a mail sent once tx has committed, and returns its id.
func (m *Mail) Queue(ctx context.Context, tx pgx.Tx, workspace core.ID, message Message) (core.ID, error) {
	if err := m.Ready(); err != nil {
		return core.ID{}, err
	}
	now := m.now()
	message, err := message.check(now)
	if err != nil {
		return core.ID{}, err
	}
	message.ID = core.NewID()
	key, err := m.Vault.Key(ctx, tx, workspace, keyField)
	if err != nil {
		return core.ID{}, err
	}
	sealed, err := seal.SealUnder(key, binding(workspace, message.ID), message.Text)
	if err != nil {
		return core.ID{}, err
	}
	args := pgx.StrictNamedArgs{
		"id": message.ID, "workspace": workspace, "recipient": message.To, "subject": message.Subject, "sealed": sealed, "decoy": message.Decoy,
		"state": "queued", "now": now, "until": message.Until, "finished": nil,
	}
	if m.Keep {
		args["state"], args["finished"] = "kept", now
	}
	if _, err := tx.Exec(ctx, insertMail, args); err != nil {
		return core.ID{}, postgres.Classify(err)
	}
	if _, err := tx.Exec(ctx, sweepMails, pgx.StrictNamedArgs{"workspace": workspace, "now": now}); err != nil {
		return core.ID{}, postgres.Classify(err)
	}
	if m.Keep {
		return message.ID, nil
	}
	return message.ID, m.Jobs.Add(ctx, tx, send{workspace, message.ID}, jobs.Options{Priority: 1, Prompt: true})
}

// keyField is the vault item's field with the key of a workspace's mails.
const keyField = "mail key"

func binding(workspace, mail core.ID) string {
	return "mail " + workspace.String() + " " + mail.String()
}
