package services

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Owner is who answers for a service account: a person or a team.
type Owner struct {
	ID     core.ID   `db:"id"`
	User   core.ID   `db:"user_id"`
	Team   core.ID   `db:"team_id"`
	Name   string    `db:"name"`
	Living bool      `db:"living"` // counts as an owner now
	Added  time.Time `db:"added"`
}

// Target is the owner as what something happened to.
func (o Owner) Target() core.Target {
	if !o.Team.IsZero() {
		return core.Target{Kind: "team", ID: o.Team, Name: o.Name}
	}
	return core.Target{Kind: "user", ID: o.User, Name: o.Name}
}

const selectOwners = `
select o.id, o.user_id, o.team_id, coalesce(nullif(p.display_name, ''), p.user_name, t.display_name, '') as name, o.added,
	case when o.user_id is not null then exists (select from users u where u.workspace_id = o.workspace_id and u.id = o.user_id and ` + living + `)
	else t.deleted is null and exists (
		select from team_members m join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
		where m.workspace_id = o.workspace_id and m.team_id = o.team_id and m.suspended is null and ` + living + `) end as living
from service_owners o
left join users p on p.workspace_id = o.workspace_id and p.id = o.user_id
left join teams t on t.workspace_id = o.workspace_id and t.id = o.team_id
where o.workspace_id = @workspace and o.service_account_id = @account
order by o.added, o.id`

// Owners lists who answers for a service account, those who left too, in the order in which they came.
func (s *Services) Owners(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Owner, error) {
	return postgres.Many[Owner](ctx, q, selectOwners, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

const insertOwner = `
insert into service_owners (id, workspace_id, service_account_id, user_id, team_id, added)
values (@id, @workspace, @account, @user, @team, @now)`

// insertOwner adds somebody who may own something.
func (s *Services) insertOwner(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, account core.Target, subject accounts.Subject) (core.Event, error) {
	if subject.User.IsZero() == subject.Team.IsZero() {
		return core.Event{}, core.Invalid("owners", "an owner is either a user or a team")
	}
	owner := Owner{ID: core.NewID(), User: subject.User, Team: subject.Team, Added: s.now()}
	if !owner.User.IsZero() {
		user, err := s.Directory.HoldUser(ctx, tx, workspace, owner.User)
		switch {
		case core.KindOf(err) == core.KindNotFound:
			return core.Event{}, core.Invalid("owners", "there is no such user in this workspace")
		case err != nil:
			return core.Event{}, err
		case !user.Active:
			return core.Event{}, core.Invalid("owners", "%s is deactivated; only active people can own a service account", user.Name())
		case !user.Role.MayOwn():
			return core.Event{}, core.Invalid("owners", "guests and login-only users own nothing").WithCode("capped")
		}
		owner.Name = user.Name()
	} else {
		team, err := s.Directory.Team(ctx, tx, workspace, owner.Team)
		switch {
		case core.KindOf(err) == core.KindNotFound:
			return core.Event{}, core.Invalid("owners", "there is no such team in this workspace")
		case err != nil:
			return core.Event{}, err
		}
		owner.Name = team.DisplayName
	}
	_, err := tx.Exec(ctx, insertOwner, pgx.StrictNamedArgs{
		"id": owner.ID, "workspace": workspace, "account": account.ID, "user": owner.User, "team": owner.Team, "now": owner.Added,
	})
	if err != nil {
		return core.Event{}, collision(err)
	}
	return core.NewEvent(core.ServiceAccountOwnerAdded, workspace, cause, owner.Added, account, owner.Target()), nil
}

// AddOwner has one more person or team answer for a service account. Its owners may, administrators, other service accounts
// and the system.
func (s *Services) AddOwner(ctx context.Context, cause core.Cause, workspace, account core.ID, subject accounts.Subject) ([]Owner, error) {
	var owners []Owner
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		found, err := s.ownersOf(ctx, tx, cause, workspace, account)
		if err != nil {
			return nil, err
		}
		event, err := s.insertOwner(ctx, tx, cause, workspace, found.Target(), subject)
		if err != nil {
			return nil, err
		}
		if owners, err = s.Owners(ctx, tx, workspace, account); err != nil {
			return nil, err
		}
		if len(owners) > maxOwners {
			return nil, core.Conflict("owners", "a service account has %d owners at most", maxOwners).WithCode("too_many_owners")
		}
		events, err := s.judge(ctx, tx, cause, workspace, account)
		return append([]core.Event{event}, events...), err
	})
	return owners, err
}

// ownersOf locks a service account for a change of its owners.
func (s *Services) ownersOf(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (Account, error) {
	if err := itself(cause, account); err != nil {
		return Account{}, err
	}
	found, err := s.lock(ctx, tx, workspace, account)
	if err != nil {
		return Account{}, err
	}
	return found, s.owner(ctx, tx, cause, workspace, account)
}

const selectOwnersAccount = `select service_account_id from service_owners where workspace_id = @workspace and id = @owner`

const deleteOwner = `delete from service_owners where workspace_id = @workspace and service_account_id = @account and id = @owner`

// RemoveOwner takes an owner away. That would leave fewer than two living people and no living team: Conflict, code
// "too_few_owners", and of two removals at once the second. Who left can always be taken away.
func (s *Services) RemoveOwner(ctx context.Context, cause core.Cause, workspace, owner core.ID) error {
	return s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		args := pgx.StrictNamedArgs{"workspace": workspace, "owner": owner}
		of, err := postgres.Column[core.ID](ctx, tx, selectOwnersAccount, args)
		if err != nil {
			return nil, err
		}
		if len(of) == 0 {
			return nil, core.NotFound("owner")
		}
		before, err := s.ownersOf(ctx, tx, cause, workspace, of[0])
		if err != nil {
			return nil, err
		}
		owners, err := s.Owners(ctx, tx, workspace, before.ID)
		if err != nil {
			return nil, err
		}
		var gone Owner
		for _, one := range owners {
			if one.ID == owner {
				gone = one
			}
		}
		if gone.ID.IsZero() { // another removal was first
			return nil, core.NotFound("owner")
		}
		args["account"] = before.ID
		if _, err := tx.Exec(ctx, deleteOwner, args); err != nil {
			return nil, postgres.Classify(err)
		}
		after, err := s.Account(ctx, tx, workspace, before.ID)
		if err != nil {
			return nil, err
		}
		if gone.Living && !after.Owned() {
			return nil, core.Conflict("owners", "a service account has two active people as owners, or a team with active members; add another one first").WithCode("too_few_owners")
		}
		events, err := s.judge(ctx, tx, cause, workspace, before.ID)
		told := core.NewEvent(core.ServiceAccountOwnerRemoved, workspace, cause, s.now(), before.Target(), gone.Target())
		return append([]core.Event{told}, events...), err
	})
}

// judge finds out whether service accounts have the owners they must have, under their locks. One that does not is a finding,
// which ends by itself when it does again.
func (s *Services) judge(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, accounts ...core.ID) ([]core.Event, error) {
	var events []core.Event
	for _, id := range accounts {
		account, err := s.lock(ctx, tx, workspace, id)
		if core.KindOf(err) == core.KindNotFound { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		lacking := FindingKind("")
		switch {
		case account.Owned():
		case account.People == 1:
			lacking = OneOwner
		default:
			lacking = Ownerless
		}
		for _, kind := range []FindingKind{Ownerless, OneOwner} {
			if kind == lacking {
				continue
			}
			over, err := s.over(ctx, tx, cause, account, kind, "")
			if err != nil {
				return nil, err
			}
			events = append(events, over...)
		}
		if lacking == "" {
			continue
		}
		opened, err := s.raise(ctx, tx, cause, account, lacking, "", lacksOwners[lacking], again)
		if err != nil {
			return nil, err
		}
		events = append(events, opened...)
	}
	return events, nil
}

var lacksOwners = map[FindingKind]string{
	Ownerless: "nobody active answers for this service account any more; name two people or a team",
	OneOwner:  "only one person answers for this service account; name another one, or a team",
}
