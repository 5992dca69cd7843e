package mailbox

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

const (
	purgeEvery = time.Minute
	purgeBatch = 1000
	// digestsKept is how long a message is known for having come: longer than any sender repeats itself, and than a
	// captured request is worth anything.
	digestsKept = 400 * 24 * time.Hour
)

const deleteMessages = `
delete from messages where (workspace_id, id) in (select workspace_id, id from messages where received < @before order by received limit @batch for update skip locked)`

const deleteDigests = `
delete from message_digests where (workspace_id, account_id, digest) in (
	select workspace_id, account_id, digest from message_digests where received < @before order by received limit @batch for update skip locked)`

// Purge erases the messages of all workspaces that are older than their retention, and returns how many.
func (m *Mailboxes) Purge(ctx context.Context) (erased int64, err error) {
	now := m.now()
	for _, one := range []struct {
		statement string
		before    time.Time
		counts    bool
	}{{deleteMessages, now.Add(-m.Options.withDefaults().Retention), true}, {deleteDigests, now.Add(-digestsKept), false}} {
		for {
			done, err := m.DB.Exec(ctx, one.statement, pgx.StrictNamedArgs{"before": one.before, "batch": purgeBatch})
			if err != nil {
				return erased, postgres.Classify(err)
			}
			if one.counts {
				erased += done.RowsAffected()
			}
			if done.RowsAffected() < purgeBatch {
				break
			}
		}
	}
	return erased, nil
}

// Run erases messages after their retention, until ctx ends. It may run in many processes.
func (m *Mailboxes) Run(ctx context.Context) error {
	ticker := time.NewTicker(purgeEvery)
	defer ticker.Stop()
	for {
		if erased, err := m.Purge(ctx); err != nil && ctx.Err() == nil && m.Log != nil {
			m.Log.WarnContext(ctx, "messages that are old enough could not be erased", "error", err)
		} else if erased > 0 && m.Log != nil {
			m.Log.InfoContext(ctx, "messages erased after their retention", "count", erased)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
