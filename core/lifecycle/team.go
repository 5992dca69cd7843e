package lifecycle

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
)

// TeamEdit is what is to become of a team. Replace, if not nil, is first: those are the members from
// now on. Then Remove goes, then Add comes. Listing somebody who is back from having left, in Add or
// Replace, lets the team count for them again.
type TeamEdit struct {
	directory.Team
	Add     []core.ID
	Remove  []core.ID // nobody minds an id that is not a member
	Replace *[]core.ID
}

// CreateTeam adds a team with its members to team.Workspace and returns it as stored. A taken name is
// a Conflict on "displayName", an unknown member Invalid on "members".
func (l *Lifecycle) CreateTeam(ctx context.Context, cause core.Cause, team directory.Team, members []core.ID) (directory.Team, error) {
	if team.ID.IsZero() {
		team.ID = core.NewID()
	}
	var made directory.Team
	err := l.commit(ctx, team.ID, func(tx pgx.Tx, s *story) (err error) {
		if made, err = l.Directory.InsertTeam(ctx, tx, team); err != nil {
			return err
		}
		added, err := l.Directory.AddMembers(ctx, tx, made.Workspace, made.ID, members)
		if err != nil {
			return err
		}
		created := core.NewEvent(core.TeamCreated, made.Workspace, cause, l.now(), made.Target())
		return l.appendTeam(ctx, tx, s, cause, made, []core.Event{created}, nil, added)
	})
	return made, err
}

// ChangeTeam edits a team and its members, and returns the team as stored; when nothing differs,
// nothing happens, not even a new version. Changes of one team happen one after the other, so none is
// lost. What the team owns is orphaned when nobody is left in it. edit sees the team locked, may run more than once, and its error ends the command; what it
// writes to ID, Workspace, Connection, Version and the times is ignored.
func (l *Lifecycle) ChangeTeam(ctx context.Context, cause core.Cause, workspace, team core.ID, edit func(*TeamEdit) error) (directory.Team, error) {
	var after directory.Team
	err := l.commitTeam(ctx, team, func(tx pgx.Tx, s *story) error {
		before, err := l.Directory.LockTeam(ctx, tx, workspace, team)
		if err != nil {
			return err
		}
		wanted := TeamEdit{Team: before}
		wanted.Attributes = slices.Clone(before.Attributes)
		if err := edit(&wanted); err != nil {
			return err
		}
		wanted.ID, wanted.Workspace, wanted.Connection = before.ID, before.Workspace, before.Connection
		wanted.Version, wanted.Created, wanted.Updated = before.Version, before.Created, before.Updated
		after, err = l.changeTeam(ctx, tx, s, cause, before, wanted)
		return err
	})
	return after, err
}

// commitTeam is commit of a command that may take people out of a team. Who is leaving has lost
// everything before it: see refuseLeavers.
func (l *Lifecycle) commitTeam(ctx context.Context, team core.ID, work func(tx pgx.Tx, s *story) error) error {
	return l.afterLeavers(ctx, func() error { return l.commit(ctx, team, work) })
}

func (l *Lifecycle) changeTeam(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, before directory.Team, wanted TeamEdit) (directory.Team, error) {
	adds, removes, err := l.members(ctx, tx, wanted)
	if err != nil {
		return directory.Team{}, err
	}
	if err := l.Directory.HoldUsers(ctx, tx, before.Workspace, slices.Concat(adds, removes)); err != nil {
		return directory.Team{}, err
	}
	if len(removes) > 0 {
		if err := refuseLeavers(ctx, tx, before.Workspace, selectLeaversOf, pgx.StrictNamedArgs{"users": removes}); err != nil {
			return directory.Team{}, err
		}
	}
	var owners owners
	if len(adds)+len(removes) > 0 {
		if owners, err = l.watchOwned(ctx, tx, before.Workspace, accounts.Subject{Team: before.ID}); err != nil {
			return directory.Team{}, err
		}
	}
	added, err := l.Directory.AddMembers(ctx, tx, before.Workspace, before.ID, adds)
	if err != nil {
		return directory.Team{}, err
	}
	removed, err := l.Directory.RemoveMembers(ctx, tx, before.Workspace, before.ID, removes)
	if err != nil {
		return directory.Team{}, err
	}
	fields := teamDifference(before, wanted.Team)
	if len(fields)+len(added)+len(removed) == 0 {
		return before, nil
	}
	after, err := l.Directory.UpdateTeam(ctx, tx, wanted.Team)
	if err != nil {
		return directory.Team{}, err
	}
	var events []core.Event
	if len(fields) > 0 {
		events = append(events, core.NewEvent(core.TeamUpdated, before.Workspace, cause, l.now(), after.Target()).
			With("changed", strings.Join(fields, ",")))
	}
	if err := l.appendTeam(ctx, tx, s, cause, after, events, removed, added); err != nil || len(added)+len(removed) == 0 {
		return after, err
	}
	if len(removed) > 0 {
		if err := l.leftTeam(ctx, tx, cause, before.Workspace, before.ID, removed); err != nil {
			return after, err
		}
	}
	if err := l.checkOwned(ctx, tx, s, cause, before.Workspace, accounts.Subject{Team: before.ID}); err != nil {
		return after, err
	}
	return after, owners.changed(ctx, tx, cause)
}

// leftTeam has rotated, as the policies say, what people know through a team they are in no more.
func (l *Lifecycle) leftTeam(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, team core.ID, users []core.ID) error {
	shared, err := l.Accounts.Shared(ctx, tx, workspace, team)
	if err != nil || len(shared) == 0 {
		return err
	}
	lost, err := l.Accounts.LostByUsers(ctx, tx, workspace, users, shared)
	if err != nil {
		return err
	}
	_, err = l.revoked(ctx, tx, cause, workspace, lost)
	return err
}

// members turns an edit into who comes and who goes; nobody is in both. It costs what differs, not
// what the team holds.
func (l *Lifecycle) members(ctx context.Context, tx pgx.Tx, wanted TeamEdit) (adds, removes []core.ID, err error) {
	come, leave := map[core.ID]bool{}, map[core.ID]bool{}
	if wanted.Replace != nil {
		missing, extra, err := l.Directory.MemberDifference(ctx, tx, wanted.Workspace, wanted.ID, *wanted.Replace)
		if err != nil {
			return nil, nil, err
		}
		for _, user := range missing {
			come[user] = true
		}
		for _, user := range extra {
			leave[user] = true
		}
	}
	for _, user := range wanted.Remove {
		leave[user] = true
		delete(come, user)
	}
	for _, user := range wanted.Add {
		come[user] = true
		delete(leave, user)
	}
	return list(come), list(leave), nil
}

// list is the one order in which every command locks.
func list(set map[core.ID]bool) []core.ID {
	return slices.SortedFunc(maps.Keys(set), func(one, other core.ID) int { return bytes.Compare(one[:], other[:]) })
}

// DeleteTeam removes a team: its grants are revoked and nobody has anything through it any more.
// NotFound for a second time. check, if not nil, sees the team locked, may run more than once, and its
// error ends the command.
func (l *Lifecycle) DeleteTeam(ctx context.Context, cause core.Cause, workspace, team core.ID, check func(directory.Team) error) error {
	return l.commitTeam(ctx, team, func(tx pgx.Tx, s *story) error {
		found, err := l.Directory.LockTeam(ctx, tx, workspace, team)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(found); err != nil {
				return err
			}
		}
		if err := refuseLeavers(ctx, tx, workspace, selectLeaversIn, pgx.StrictNamedArgs{"team": team}); err != nil {
			return err
		}
		owners, err := l.watchOwned(ctx, tx, workspace, accounts.Subject{Team: team})
		if err != nil {
			return err
		}
		shared, err := l.Accounts.Shared(ctx, tx, workspace, team)
		if err != nil {
			return err
		}
		grants, err := l.Accounts.RevokeTeam(ctx, tx, cause, workspace, team)
		if err != nil {
			return err
		}
		if len(shared) > 0 {
			lost, err := l.Accounts.LostByTeam(ctx, tx, workspace, team, shared)
			if err != nil {
				return err
			}
			if _, err := l.revoked(ctx, tx, cause, workspace, lost); err != nil {
				return err
			}
		}
		members, err := l.Directory.DeleteTeam(ctx, tx, workspace, team)
		if err != nil {
			return err
		}
		s.tell(core.NewEvent(core.TeamDeleted, workspace, cause, l.now(), found.Target()).
			With("members", strconv.Itoa(members)).With("grants_revoked", strconv.Itoa(grants)))
		return owners.changed(ctx, tx, cause)
	})
}

// appendTeam appends a team's events and one for each member who went or came.
func (l *Lifecycle) appendTeam(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, team directory.Team, events []core.Event, removed, added []core.ID) error {
	named, err := l.Directory.Targets(ctx, tx, team.Workspace, slices.Concat(removed, added))
	if err != nil {
		return err
	}
	now := l.now()
	for _, user := range removed {
		events = append(events, core.NewEvent(core.TeamMemberRemoved, team.Workspace, cause, now, team.Target(), named[user]))
	}
	for _, user := range added {
		events = append(events, core.NewEvent(core.TeamMemberAdded, team.Workspace, cause, now, team.Target(), named[user]))
	}
	s.tell(events...)
	return nil
}
