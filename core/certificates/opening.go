package certificates

import (
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// DefaultDeadline is after how long a certificate is signed though something is open, where the
// workspace does not say.
const DefaultDeadline = 24 * time.Hour

// Opening is a departure, or a logout, of which there is to be a certificate.
type Opening struct {
	Workspace core.ID
	User      core.ID
	Reason    Reason
	Cause     core.Cause
	Departed  time.Time // since when they can do nothing
	Opened    time.Time // now, when everything is taken
	Exposed   []accounts.Exposed
	Rotations map[core.ID]core.ID // of the exposed accounts; one without is not rotated, by policy
	Events    []core.Event        // what was told of what was taken
}

// Everything they were ever given is listed, dead or not; what they could have looked at is what was
// current. One row, whatever they knew: what came of it is looked up when it is asked for.
const insertCertificate = `
insert into certificates (id, workspace_id, user_id, reason, cause, departed, opened, deadline, taken, accounts, versions, saw, rotations, due)
select @id, @workspace, @user, @reason, @cause, @departed, @opened,
	@departed::timestamptz + coalesce((select s.deadline from certificate_settings s where s.workspace_id = @workspace), @default),
	@taken, coalesce(array_agg(known.account_id order by known.place), '{}'), coalesce(array_agg(known.version order by known.place), '{}'),
	coalesce(array_agg(known.saw order by known.place), '{}'), coalesce(array_agg(planned.rotation_id order by known.place), '{}'), @opened
from (
	select one.account_id, one.version, bool_or(one.saw) as saw, row_number() over (order by bool_or(one.saw) desc, one.account_id, one.version) as place
	from (
		select e.account_id, e.version, true as saw from exposures e
		where e.workspace_id = @workspace and e.user_id = @user and e.level in ` + accounts.PasswordLevels + `
		union all
		select v.account_id, v.version, false from credential_versions v
		where v.workspace_id = @workspace and v.account_id = any(@could::uuid[]) and v.field = 'password' and v.label = 'current'
	) one
	group by one.account_id, one.version
) known
left join unnest(@exposed::uuid[], @rotations::uuid[]) as planned (account_id, rotation_id) on planned.account_id = known.account_id`

// Queue opens a certificate in the transaction that takes everything, as part of what that sends to the
// database next.
func Queue(batch *pgx.Batch, of Opening) {
	could, exposed, rotations := []core.ID{}, make([]core.ID, len(of.Exposed)), make([]core.ID, len(of.Exposed))
	for i, one := range of.Exposed {
		exposed[i], rotations[i] = one.Account, of.Rotations[one.Account]
		if one.Could {
			could = append(could, one.Account)
		}
	}
	batch.Queue(insertCertificate, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": of.Workspace, "user": of.User, "reason": of.Reason, "cause": of.Cause,
		"departed": of.Departed, "opened": of.Opened, "default": DefaultDeadline, "taken": takenOf(of.Events),
		"could": could, "exposed": exposed, "rotations": rotations,
	})
}

// takenOf reads what was taken from what was told of it.
func takenOf(events []core.Event) Taken {
	taken := Taken{Grants: []Grant{}, Passed: []Passed{}, Orphaned: []Named{}}
	for _, event := range events {
		switch event.Type {
		case core.SessionEnded:
			taken.Sessions++
		case core.AccountUnshared:
			taken.Grants = append(taken.Grants, Grant{named(event), event.Data["role"]})
		case core.AccountOwnerSucceeded:
			taken.Passed = append(taken.Passed, Passed{named(event), event.Targets[1], event.Reason})
		case core.AccountOrphaned:
			taken.Orphaned = append(taken.Orphaned, named(event))
		}
	}
	return taken
}

// named is the account an event tells of: its first target.
func named(event core.Event) Named { return Named{event.Targets[0].ID, event.Targets[0].Name} }
