package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// leaver is somebody who is shut out, and who has what they had until it is taken.
type leaver struct {
	user     directory.User
	departed time.Time
	cause    core.Cause
	attempts int // that failed
}

const insertLeaver = `
insert into leavers (workspace_id, user_id, departed, cause, due) values (@workspace, @user, @departed, @cause, @due)`

const insertCountedLeaver = countDeparture + insertLeaver

// patience is how long the takers leave somebody to the command that made them leave, when that waits
// for the effect and takes it by itself.
const patience = 2 * time.Second

// leave has everything taken from somebody as soon as the story has committed.
func (l *Lifecycle) leave(s *story, cause core.Cause, user directory.User, departed time.Time, counted bool) {
	now := l.now()
	due := now
	if s.waits {
		due = due.Add(patience)
	}
	args := pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "departed": departed, "cause": cause, "due": due}
	insert := insertLeaver
	if counted {
		insert = insertCountedLeaver
		args["connection"], args["since"] = cause.Actor.ID, now.UTC().Truncate(bucket)
	}
	s.batch.Queue(insert, args)
	s.left = true
}

// Gone at once, so that nobody who asks later in the same transaction takes it again.
const deleteLeaver = `
delete from leavers where workspace_id = @workspace and user_id = @user returning departed, cause`

// takeLeaver takes everything from a locked user if they are leaving, and reports whether they were.
func (l *Lifecycle) takeLeaver(ctx context.Context, tx pgx.Tx, s *story, user directory.User) (effect Effect, leaving bool, err error) {
	one := leaver{user: user}
	err = tx.QueryRow(ctx, deleteLeaver, pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID}).Scan(&one.departed, &one.cause)
	if errors.Is(err, pgx.ErrNoRows) {
		return Effect{}, false, nil
	}
	if err != nil {
		return Effect{}, false, err
	}
	effect, err = l.take(ctx, tx, s, one)
	return effect, err == nil, err
}

const lockPerson = `select user_name, display_name from users where workspace_id = @workspace and id = @user for update`

// takeNow takes from one person, deleted or not, if they are leaving and nobody has taken it yet.
func (l *Lifecycle) takeNow(ctx context.Context, workspace, user core.ID) (Effect, error) {
	plain := l.Recording(nil)
	var effect Effect
	err := plain.commit(ctx, user, func(tx pgx.Tx, s *story) error {
		person := directory.User{ID: user, Workspace: workspace}
		err := tx.QueryRow(ctx, lockPerson, pgx.StrictNamedArgs{"workspace": workspace, "user": user}).Scan(&person.UserName, &person.DisplayName)
		if err != nil {
			return err
		}
		effect, _, err = plain.takeLeaver(ctx, tx, s, person)
		return err
	})
	return effect, err
}

// leavers are people who have to have lost everything before a command about their team.
type leavers struct {
	workspace core.ID
	people    []core.ID
}

func (*leavers) Error() string { return "lifecycle: somebody is leaving" }

const selectLeaversOf = `
select user_id from leavers where workspace_id = @workspace and user_id = any(@users::uuid[]) order by user_id`

const selectLeaversIn = `
select l.user_id from team_members m join leavers l on l.workspace_id = m.workspace_id and l.user_id = m.user_id
where m.workspace_id = @workspace and m.team_id = @team
order by l.user_id`

// refuseLeavers ends a command that takes people out of a team if some of them are leaving: what they
// could see through the team is known only as long as they are in it.
func refuseLeavers(ctx context.Context, tx pgx.Tx, workspace core.ID, query string, args pgx.StrictNamedArgs) error {
	args["workspace"] = workspace
	rows, err := tx.Query(ctx, query, args)
	if err != nil {
		return err
	}
	people, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	if err != nil || len(people) == 0 {
		return err
	}
	return &leavers{workspace, people}
}

// afterLeavers runs a command and, as long as it finds people leaving, takes from them first. Each is a
// transaction of their own: together they would lock accounts out of order.
func (l *Lifecycle) afterLeavers(ctx context.Context, command func() error) error {
	for {
		err := command()
		found, leaving := errors.AsType[*leavers](err)
		if !leaving {
			return err
		}
		for _, user := range found.people {
			if _, err := l.takeNow(ctx, found.workspace, user); err != nil {
				return err
			}
		}
	}
}
