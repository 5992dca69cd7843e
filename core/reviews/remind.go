package reviews

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

// begun marks the mail somebody gets who is asked for the first time. The others are marked by how many days before
// the last one they are for.
const begun = 1000

// mailsTogether is how many mails are queued in one transaction.
const mailsTogether = 100

// mark is which mail is in its time now, and when the next one will be.
func (r Review) mark(now time.Time) (current int, next time.Time) {
	current, next = begun, r.Due
	for _, before := range r.Reminders { // in falling order
		at := r.LastDay().AddDate(0, 0, -before)
		if !at.After(r.Started) {
			continue // who is asked only then knows
		}
		if at.After(now) {
			return current, at
		}
		current = before
	}
	return current, next
}

// Whoever was sent this mail, or a later one, gets it no more. Who is new gets what is in its time.
const insertMails = `
insert into review_mails (workspace_id, review_id, user_id, mark, sent)
select @workspace, @review, asked.reviewer_id, @mark, @now
from (
	select distinct i.reviewer_id from review_items i
	where i.workspace_id = @workspace and i.review_id = @review and i.decision is null and i.reviewer_id is not null
) asked
where not exists (
	select from review_mails m where m.workspace_id = @workspace and m.review_id = @review and m.user_id = asked.reviewer_id and m.mark <= @mark)
order by asked.reviewer_id limit @limit
on conflict do nothing
returning user_id`

const selectAddressees = `
select u.email, coalesce(nullif(u.display_name, ''), u.user_name) as name, k.waiting::integer as waiting
from (
	select i.reviewer_id, count(*) as waiting from review_items i
	where i.workspace_id = @workspace and i.review_id = @review and i.reviewer_id = any(@users::uuid[]) and i.decision is null group by i.reviewer_id
) k join users u on u.workspace_id = @workspace and u.id = k.reviewer_id
where u.active and u.deleted is null`

// remind queues the mails of an open review that are due, each once whatever happens, and says when to look again.
func (r *Reviews) remind(ctx context.Context, tx pgx.Tx, of Review) (*time.Time, error) {
	now := r.now()
	mark, next := of.mark(now)
	next = earliest(next, of.Due, now.Add(lookAtLeast))
	if sends := r.Mail != nil && r.Mail.Ready() == nil; !sends {
		return &next, nil
	}
	rows, err := tx.Query(ctx, insertMails, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "review": of.ID, "mark": mark, "now": now, "limit": mailsTogether,
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	if err != nil || len(users) == 0 {
		return &next, postgres.Classify(err)
	}
	addressees, err := postgres.Many[addressee](ctx, tx, selectAddressees, pgx.StrictNamedArgs{"workspace": of.Workspace, "review": of.ID, "users": users})
	if err != nil {
		return nil, err
	}
	for _, to := range addressees {
		address, err := mail.Address(to.Email)
		if err != nil {
			continue // there is no way to write to them; the console tells them
		}
		message := to.message(of, mark, r.PublicURL)
		message.To = address
		if _, err := r.Mail.Queue(ctx, tx, of.Workspace, message); err != nil {
			return nil, err
		}
	}
	if len(users) == mailsTogether {
		return &now, nil
	}
	return &next, nil
}

// addressee is a reviewer mail goes to.
type addressee struct {
	Email   string `db:"email"`
	Name    string `db:"name"`
	Waiting int    `db:"waiting"`
}

func (a addressee) message(of Review, mark int, publicURL string) mail.Message {
	decisions := "1 decision"
	if a.Waiting != 1 {
		decisions = number(a.Waiting) + " decisions"
	}
	last := of.LastDay().Format("2 January 2006")
	until := "until the end of " + last + " (UTC)"
	if mark == 0 {
		until = "until the end of today, " + last + " (UTC)"
	}
	otherwise := "What nobody decides about is revoked then."
	if of.Fallback == Keep {
		otherwise = "What nobody decides about is kept then, and the record says that nobody did."
	}
	name := strings.Join(strings.Fields(core.Cut(of.Name, 100)), " ")
	return mail.Message{
		Subject: core.Cut("Access review "+name+": "+decisions+" for you", mail.MaxSubject),
		Text: seal.NewSecret(fmt.Sprintf(
			"Hello %s,\n\nThe access review \"%s\" waits for %s of yours, %s. For each access, say whether it is still needed, and why.\n\n%s/reviews/%s/mine\n\n%s You can hand on what somebody else knows better.\n",
			core.Cut(a.Name, 200), name, decisions, until, strings.TrimSuffix(publicURL, "/"), of.ID, otherwise)),
		Until: of.Due,
	}
}

func earliest(one time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.Before(one) {
			one = other
		}
	}
	return one
}
