package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

// An account that lets nobody in any more, or that nobody owns, needs a person: its owners are mailed, or the workspace's administrators
// where none is left. What happens together is one mail, and what is over by then is in none.

const (
	// gather is how long others are waited for that may need a person too.
	gather = 5 * time.Minute
	// oncePer is how often it is mailed at most that a rotation of an account waits: schedules may have it tried again and again.
	oncePer = 24 * time.Hour
	// mostListed is how many accounts one mail names.
	mostListed = 20
)

// What an alarm is beside the states of accounts.
const (
	stuck    = "rotation_blocked"
	orphaned = "orphaned"
)

// alarming is the alarm an event is; "" for none.
func alarming(event core.Event) string {
	switch event.Type {
	case core.AccountDesynced, core.AccountAppDisabled:
		if event.Data["before"] != event.Data["state"] { // else more became known of what was told
			return event.Data["state"]
		}
	case core.AccountOrphaned:
		return orphaned
	case core.RotationBlocked:
		return stuck
	}
	return ""
}

const upsertAlarm = `
insert into account_alarms as x (workspace_id, account_id, state, due)
select a.workspace_id, a.id, @state, @due from accounts a where a.workspace_id = @workspace and a.id = @account
on conflict (workspace_id, account_id, state) do update set due = excluded.due
where x.due is null and (x.state <> 'rotation_blocked' or x.mailed <= @again)`

const selectAlarmed = `select distinct workspace_id from account_alarms where due <= @now order by workspace_id limit 100`

// What is over needs nobody any more, and is told anew when it comes back.
const takeAlarms = `
with taken as (
	update account_alarms set due = null, mailed = @now where workspace_id = @workspace and due is not null returning account_id, state
)
select a.id, p.name as app, a.username, array_agg(t.state order by t.state) as states
from taken t
join accounts a on a.workspace_id = @workspace and a.id = t.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where t.state = a.state or t.state = 'orphaned' and a.orphaned or t.state = 'rotation_blocked' and exists (
	select from rotations r where r.workspace_id = a.workspace_id and r.account_id = a.id and r.finished is null and r.state = 'blocked')
group by a.id, p.name, a.username
order by p.name, a.username, a.id`

const forgetAlarms = `delete from account_alarms where due is null and mailed <= @again`

// alarmed is an account that needs a person.
type alarmed struct {
	ID       core.ID  `db:"id"`
	App      string   `db:"app"`
	Username string   `db:"username"`
	States   []string `db:"states"`
}

var alarmWords = map[string]string{
	string(accounts.Desynced): "the app refuses the stored password", string(accounts.AppDisabled): "the app has locked or disabled the login",
	orphaned: "nobody active owns it", stuck: "changing its password waits for a person",
}

// Alarm mails what is due to be mailed, in all workspaces, and returns how many mails that are. What fails keeps no other workspace from it.
func (h *Health) Alarm(ctx context.Context) (int, error) {
	now := h.now()
	if _, err := h.DB.Exec(ctx, forgetAlarms, pgx.StrictNamedArgs{"again": now.Add(-oncePer)}); err != nil {
		return 0, postgres.Classify(err)
	}
	workspaces, err := postgres.Column[core.ID](ctx, h.DB, selectAlarmed, pgx.StrictNamedArgs{"now": now})
	total := 0
	for _, workspace := range workspaces {
		sent := 0
		failed := h.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
			sent, err = h.alarm(ctx, tx, workspace)
			return err
		})
		if failed == nil {
			total += sent
		}
		err = errors.Join(err, failed)
	}
	return total, err
}

func (h *Health) alarm(ctx context.Context, tx pgx.Tx, workspace core.ID) (int, error) {
	found, err := postgres.Many[alarmed](ctx, tx, takeAlarms, pgx.StrictNamedArgs{"workspace": workspace, "now": h.now()})
	if err != nil || len(found) == 0 || h.Mail == nil || h.Mail.Ready() != nil {
		return 0, err
	}
	settings, err := h.Settings(ctx, tx, workspace)
	if err != nil || settings.Quiet {
		return 0, err
	}
	theirs, err := h.concerned(ctx, tx, workspace, found)
	if err != nil {
		return 0, err
	}
	sent := 0
	for _, one := range theirs {
		address, err := mail.Address(one.Email)
		if err != nil {
			continue // there is no way to write to them; the console tells them
		}
		if _, err := h.Mail.Queue(ctx, tx, workspace, h.letter(address, one)); err != nil {
			return sent, err
		}
		sent++
	}
	return sent, nil
}

// concern is what one person is mailed about.
type concern struct {
	ID       core.ID   `db:"id"`
	Email    string    `db:"email"`
	Name     string    `db:"name"`
	Accounts []alarmed `db:"-"`
}

const selectConcerned = `
select u.id, u.email, coalesce(nullif(u.display_name, ''), u.user_name) as name from users u
where u.workspace_id = @workspace and u.active and u.deleted is null
	and u.id = any(@users::uuid[])
order by u.id`

const selectAdministrators = `
select id from users where workspace_id = @workspace and active and deleted is null and role in ('owner', 'super_admin', 'admin')`

// concerned are the people who are mailed about accounts: who owns them, and the administrators of what nobody owns.
func (h *Health) concerned(ctx context.Context, tx pgx.Tx, workspace core.ID, found []alarmed) ([]concern, error) {
	ids := make([]core.ID, len(found))
	for i, one := range found {
		ids[i] = one.ID
	}
	owners, err := h.Accounts.Owners(ctx, tx, workspace, ids...)
	if err != nil {
		return nil, err
	}
	administrators, err := postgres.Column[core.ID](ctx, tx, selectAdministrators, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, err
	}
	of := map[core.ID][]core.ID{} // account to people
	for _, one := range owners {
		of[one.Account] = append(of[one.Account], one.User)
	}
	lists := map[core.ID][]alarmed{} // person to accounts
	var people []core.ID
	for _, one := range found {
		to := of[one.ID]
		if len(to) == 0 {
			to = administrators
		}
		for _, person := range to {
			if lists[person] == nil {
				people = append(people, person)
			}
			lists[person] = append(lists[person], one)
		}
	}
	told, err := postgres.Many[concern](ctx, tx, selectConcerned, pgx.StrictNamedArgs{"workspace": workspace, "users": people})
	for i := range told {
		told[i].Accounts = lists[told[i].ID]
	}
	return told, err
}

// letter is the mail about a person's accounts. It names them and where to look, and says nothing that an app or a person wrote but names.
func (h *Health) letter(address string, to concern) mail.Message {
	count, need := fmt.Sprintf("%d accounts", len(to.Accounts)), "need"
	if len(to.Accounts) == 1 {
		count, need = "1 account", "needs"
	}
	var list strings.Builder
	for i, one := range to.Accounts {
		if i == mostListed {
			fmt.Fprintf(&list, "And %d more.\n\n", len(to.Accounts)-i)
			break
		}
		why := make([]string, len(one.States))
		for at, state := range one.States {
			why[at] = alarmWords[state]
		}
		fmt.Fprintf(&list, "%s (%s): %s.\n%s/accounts/%s\n\n", line(one.App), line(one.Username), strings.Join(why, "; "), strings.TrimSuffix(h.PublicURL, "/"), one.ID)
	}
	return mail.Message{
		To: address, Subject: core.Cut(count+" "+need+" you", mail.MaxSubject),
		Text: seal.NewSecret(fmt.Sprintf("Hello %s,\n\n%s in Postern %s a person. Each page says what to do next.\n\n%sThis is mailed once for each time an account gets into that.\n",
			line(to.Name), count, need, list.String())),
	}
}

// line is a name on one line.
func line(name string) string { return strings.Join(strings.Fields(core.Cut(name, 100)), " ") }
