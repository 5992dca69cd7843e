package signals

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
)

// incident is the latest one of a class about a person.
type incident struct {
	user         core.ID
	class        string
	signal       core.ID
	occurred     time.Time
	taken        time.Time
	transactions []string
	commands     []Command
	counted      time.Time
	waits        bool // for an administrator, who says the same by themselves now
}

// maxTransactions bounds how many tellings of an incident are known by their transaction.
const maxTransactions = 8

// By each person's key, whatever the statistics say. Most people have nothing: what they were exposed to is a large
// question, asked only of who may have something.
const selectIncidents = `
select ` + accounts.MeantHasAnything + `, i.user_id, i.class, i.signal_id, i.occurred, i.taken, i.transactions, i.commands, i.counted
from ` + directory.MeantUsers + ` meant left join lateral (
	select user_id, class, signal_id, occurred, taken, transactions, commands, counted
	from signal_incidents where workspace_id = @workspace and user_id = meant.id offset 0) i on true`

// queueIncidents reads what was done lately for everybody meant, and whether any of them has anything. They are
// locked: no other telling is under way.
func (t *telling) queueIncidents(batch *pgx.Batch) {
	batch.Queue(selectIncidents, pgx.StrictNamedArgs{"workspace": t.signal.Workspace}).Query(func(rows pgx.Rows) error {
		t.known, t.rich = nil, false
		var rich bool
		var class *string
		var occurred, taken, counted *time.Time
		var one incident
		_, err := pgx.ForEachRow(rows, []any{
			&rich, &one.user, &class, &one.signal, &occurred, &taken, &one.transactions, &one.commands, &counted,
		}, func() error {
			t.rich = t.rich || rich
			if class != nil {
				one.class, one.occurred, one.taken, one.counted = *class, *occurred, *taken, *counted
				t.known = append(t.known, one)
			}
			one.transactions, one.commands = nil, nil
			return nil
		})
		return err
	})
}

// relation is how a signal stands to the incident that is known.
type relation int

const (
	fresh relation = iota // nothing of it is known
	retold
	overtaken // it happened long before an effect that was taken since
)

// judge tells how the signal stands to what is known of its class about a person.
func (t *telling) judge(person core.ID) (incident, relation) {
	class := t.signal.Kind.class()
	at := slices.IndexFunc(t.known, func(one incident) bool { return one.user == person && one.class == class })
	if at < 0 {
		return incident{user: person, class: class}, fresh
	}
	known := t.known[at]
	occurred, window := t.signal.Occurred, t.around.window
	switch {
	case t.signal.Door == Console && t.signedIn(person):
		return known, fresh // an administrator means what the person did since
	case t.signal.Transaction != "" && slices.Contains(known.transactions, t.signal.Transaction):
		return known, retold
	case occurred.Before(known.occurred.Add(-window)):
		return known, overtaken
	case !occurred.After(known.taken.Add(window)):
		return known, retold
	}
	return known, fresh
}

// signedIn reports whether a person had a session that the signal ended.
func (t *telling) signedIn(person core.ID) bool {
	return slices.ContainsFunc(t.ended, func(one directory.Ended) bool { return one.User.ID == person && one.Live })
}

// counted reports whether the guard counted a person within its window already.
func (t *telling) counted(person core.ID) bool {
	since := t.signal.Received.Add(-directory.GuardWindow)
	return slices.ContainsFunc(t.known, func(one incident) bool { return one.user == person && one.counted.After(since) })
}

const upsertIncident = `
insert into signal_incidents (workspace_id, user_id, class, signal_id, occurred, taken, transactions, commands, counted)
values (@workspace, @user, @class, @signal, @occurred, @taken, @transactions, @commands, @counted)
on conflict (workspace_id, user_id, class) do update set
	signal_id = excluded.signal_id, occurred = excluded.occurred, taken = excluded.taken, transactions = excluded.transactions,
	commands = excluded.commands, counted = excluded.counted`

const extendIncident = `
update signal_incidents set transactions = @transactions, commands = @commands
where workspace_id = @workspace and user_id = @user and class = @class`

// queueIncident keeps what was done for a person, or that it was told once more.
func (t *telling) queueIncident(known incident, how relation, commands []Command) {
	switch how {
	case fresh:
		counted := t.signal.Received
		for _, one := range t.known {
			// Counted once within the guard's window, whatever the class.
			if one.user == known.user && one.counted.After(counted.Add(-directory.GuardWindow)) {
				counted = one.counted
			}
		}
		t.last.Queue(upsertIncident, pgx.StrictNamedArgs{
			"workspace": t.signal.Workspace, "class": known.class, "signal": t.receipt.ID, "occurred": t.signal.Occurred, "taken": t.now(),
			"transactions": transactions(nil, t.signal.Transaction), "user": known.user, "commands": words(commands),
			"counted": counted,
		})
	case retold:
		all := append(slices.Clone(known.commands), commands...)
		next := transactions(known.transactions, t.signal.Transaction)
		if len(commands) == 0 && slices.Equal(next, known.transactions) {
			return
		}
		t.last.Queue(extendIncident, pgx.StrictNamedArgs{
			"workspace": t.signal.Workspace, "user": known.user, "class": known.class, "transactions": next, "commands": words(all),
		})
	case overtaken:
	}
}

// transactions adds one to those known, which stay few.
func transactions(known []string, next string) []string {
	all := append([]string{}, known...)
	if next == "" || slices.Contains(all, next) {
		return all
	}
	all = append(all, next)
	return all[max(0, len(all)-maxTransactions):]
}
