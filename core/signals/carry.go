package signals

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/rotation"
)

// duty is what a signal asks for a person.
type duty struct {
	at       int // in people
	known    incident
	how      relation
	commands []Command // that cannot be taken back, and that nobody did yet
}

// carry does what the policy wants, for each person what was not done yet, and leaves to an administrator what
// is too much at once.
func (t *telling) carry(ctx context.Context, tx pgx.Tx, wanted []Command) error {
	if err := t.undecided(ctx, tx); err != nil {
		return err
	}
	var duties []duty
	told, late, more := 0, 0, 0
	for i, person := range t.people {
		one := duty{at: i}
		one.known, one.how = t.judge(person.ID)
		switch one.how {
		case retold:
			told++
			t.receipt.Duplicate = one.known.signal
		case overtaken:
			late++
			t.receipt.Duplicate = one.known.signal
		case fresh:
		}
		for _, command := range wanted {
			if command.destructive() && one.how != overtaken && (one.how != retold || one.known.waits || !covered(one.known.commands, command)) {
				one.commands = append(one.commands, command)
			}
		}
		if len(one.commands) > 0 && !t.counted(person.ID) {
			more++
		}
		duties = append(duties, one)
	}
	held, err := t.hold(ctx, tx, duties, more)
	if err != nil {
		return err
	}
	for _, one := range duties {
		if one.how != overtaken {
			t.mild(t.people[one.at], wanted)
		}
		if !onlyRecorded(wanted) {
			t.queueIncident(one.known, one.how, one.commands)
		}
	}
	t.describe(wanted, told, late, held)
	if held {
		return nil
	}
	return t.grave(ctx, tx, duties)
}

// covered reports whether a command was carried out by one of those that were.
func covered(done []Command, command Command) bool {
	return slices.Contains(done, command) || (command == RotateSeen && slices.Contains(done, Rotate)) ||
		((command == Rotate || command == RotateSeen) && slices.Contains(done, Deprovision))
}

// hold asks the guard, if anything is to be done that cannot be taken back.
func (t *telling) hold(ctx context.Context, tx pgx.Tx, duties []duty, more int) (bool, error) {
	var asked []Command
	touches := false
	for _, one := range duties {
		for _, command := range one.commands {
			if !slices.Contains(asked, command) {
				asked = append(asked, command)
			}
			// Who has no account loses nothing by a rotation.
			touches = touches || (command != Rotate && command != RotateSeen) || len(t.scope(one)) > 0
		}
	}
	if len(asked) == 0 {
		return false, nil
	}
	held, err := t.guard(ctx, tx, more, touches)
	if err != nil || !held {
		return false, err
	}
	t.receipt.Waiting = inOrder(asked)
	if len(duties) > 1 {
		t.owed = map[core.ID][]Command{}
		for _, one := range duties {
			if len(one.commands) > 0 {
				t.owed[t.people[one.at].ID] = one.commands
			}
		}
	}
	return true, nil
}

// scope is what a duty's rotation is about: what the person was given, or all they could have asked for.
func (t *telling) scope(one duty) []accounts.Exposed {
	if slices.Contains(one.commands, Deprovision) {
		return nil // rotates by itself
	}
	all := t.seen[t.people[one.at].ID]
	if slices.Contains(one.commands, Rotate) {
		return all
	}
	if !slices.Contains(one.commands, RotateSeen) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(account accounts.Exposed) bool { return !account.Saw })
}

// mild does what can be taken back.
func (t *telling) mild(person directory.User, wanted []Command) {
	for _, command := range wanted {
		switch command {
		case StepUp:
			t.Directory.QueueRequireFresh(t.last, person.Workspace, person.ID, t.signal.Received)
			t.events = append(t.events, t.happened(core.UserStepUpRequired, person).With("kind", string(t.signal.Kind)))
		case Restrict:
			t.Directory.QueueRestrict(t.last, person.Workspace, person.ID, t.receipt.ID, string(t.signal.Kind))
			t.events = append(t.events, t.happened(core.UserRestricted, person).With("kind", string(t.signal.Kind)))
		case Lift:
			t.Directory.QueueLift(t.last, person.Workspace, person.ID, string(t.signal.Kind))
			t.events = append(t.events, t.happened(core.UserRestrictionLifted, person).With("kind", string(t.signal.Kind)))
		case ReactivateProposal:
			t.events = append(t.events, t.happened(core.UserReactivationProposed, person).With("kind", string(t.signal.Kind)))
		case EndSessions, RotateSeen, Rotate, Deprovision, Unlink, Relink, Record:
			continue
		}
		t.did(command)
	}
}

func (t *telling) did(command Command) {
	if !slices.Contains(t.receipt.Commands, command) {
		t.receipt.Commands = inOrder(append(t.receipt.Commands, command))
	}
}

// describe settles the outcome and says why.
func (t *telling) describe(wanted []Command, told, late int, held bool) {
	everybody := len(t.people)
	switch {
	case held:
		t.receipt.Outcome = Held
		t.receipt.Note = "too many people within an hour: what cannot be taken back waits for an administrator"
	case everybody > 0 && late == everybody:
		t.receipt.Outcome = Late
		t.receipt.Note = "it happened long before what was done for the person since; nothing is done twice"
	case everybody > 0 && told+late == everybody:
		t.receipt.Outcome = Duplicate
		t.receipt.Note = "the same incident was told before; nothing is done twice"
	case onlyRecorded(wanted):
		t.receipt.Outcome = Ignored
		t.receipt.Note = "the policy records this and does no more"
	}
	if t.receipt.Outcome != Duplicate && t.receipt.Outcome != Late {
		t.receipt.Duplicate = core.ID{}
	}
}

// grave does what cannot be taken back.
func (t *telling) grave(ctx context.Context, tx pgx.Tx, duties []duty) error {
	var people []lifecycle.Exposure
	rotates := false
	for _, one := range duties {
		// A departure is written by the version the person has at its end.
		for _, command := range []Command{Unlink, Relink, Deprovision} {
			if !slices.Contains(one.commands, command) {
				continue
			}
			if err := t.part(ctx, tx, one, command); err != nil {
				return err
			}
		}
		rotates = rotates || slices.Contains(one.commands, Rotate) || slices.Contains(one.commands, RotateSeen)
		if len(one.commands) > 0 && t.receipt.Outcome == Duplicate {
			t.receipt.Outcome, t.receipt.Note = Done, "the incident was told before; this telling asks for more"
		}
		person := t.people[one.at]
		people = append(people, lifecycle.Exposure{User: person.ID, Exposed: t.scope(one), Events: t.toldOf(person.ID)})
	}
	if !rotates {
		return nil
	}
	rotations, events, err := t.Lifecycle.RotateIn(ctx, tx, t.last, t.cause, t.signal.Workspace, t.signal.Kind.because(), people...)
	if err != nil {
		return err
	}
	t.receipt.Rotations, t.later = append(t.receipt.Rotations, rotations...), append(t.later, events...)
	if t.spared && t.receipt.Note == "" {
		t.receipt.Note = "a policy about logouts leaves out some of the accounts"
	}
	for _, one := range duties {
		for _, command := range one.commands {
			if command == Rotate || command == RotateSeen {
				t.did(command)
			}
		}
	}
	return nil
}

// toldOf is what this signal told of a person so far.
func (t *telling) toldOf(person core.ID) []core.Event {
	var told []core.Event
	for _, event := range t.events {
		if slices.ContainsFunc(event.Targets, func(target core.Target) bool { return target.ID == person }) {
			told = append(told, event)
		}
	}
	return told
}

// because is the reason a rotation goes by.
func (k Kind) because() rotation.Reason {
	if k == Logout || k == SessionRevoked {
		return rotation.ReasonLogout
	}
	return rotation.ReasonRevocation
}

// part carries out a command that may be refused, as a part that can be taken back by itself: a refusal is
// noted, and undoes nothing else.
func (t *telling) part(ctx context.Context, tx pgx.Tx, one duty, command Command) error {
	last := &pgx.Batch{}
	var events []core.Event
	var rotations []core.ID
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) (err error) {
		person := t.people[one.at]
		switch command {
		case Unlink:
			events, err = t.unlink(ctx, tx, person)
		case Relink:
			events, err = t.relink(ctx, tx, person)
		default:
			// Read anew: what came before in this signal may have changed them.
			if person, err = t.Directory.LockUser(ctx, tx, person.Workspace, person.ID); err != nil {
				return err
			}
			effect, told, failed := t.Lifecycle.DeprovisionIn(ctx, tx, last, t.cause, person)
			rotations, events, err = effect.Rotations, told, failed
		}
		return err
	})
	switch core.KindOf(err) {
	case core.KindDenied, core.KindConflict, core.KindInvalid, core.KindNotFound:
		if err != nil {
			t.receipt.Outcome = Failed
			t.receipt.Note = strings.TrimPrefix(t.receipt.Note+"; "+string(command)+": "+core.AsError(err).Message, "; ")
			return nil
		}
	}
	if err != nil {
		return err
	}
	t.last.QueuedQueries = append(t.last.QueuedQueries, last.QueuedQueries...)
	t.events, t.receipt.Rotations = append(t.events, events...), append(t.receipt.Rotations, rotations...)
	t.did(command)
	return nil
}

func (t *telling) unlink(ctx context.Context, tx pgx.Tx, person directory.User) ([]core.Event, error) {
	for _, name := range t.signal.Subject.names() {
		subject, email := "", name.Email
		switch name.Format {
		case FormatIssSub:
			subject = name.Subject
		case FormatAccount:
			email = accountAddress(name.URI)
		case FormatEmail:
		default:
			continue
		}
		if err := t.Directory.Unlink(ctx, tx, person, subject, email); err != nil {
			return nil, err
		}
	}
	return []core.Event{t.happened(core.UserUnlinked, person).With("subject", t.signal.Subject.String())}, nil
}

func (t *telling) relink(ctx context.Context, tx pgx.Tx, person directory.User) ([]core.Event, error) {
	to := t.signal.Evidence.Facts[FactNewValue]
	for _, name := range t.signal.Subject.names() {
		var err error
		switch name.Format {
		case FormatIssSub:
			err = t.Directory.Relink(ctx, tx, person, true, name.Subject, to)
		case FormatEmail:
			err = t.Directory.Relink(ctx, tx, person, false, name.Email, to)
		case FormatAccount:
			err = t.Directory.Relink(ctx, tx, person, false, accountAddress(name.URI), accountAddress(to))
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return []core.Event{t.happened(core.UserRelinked, person).With("subject", t.signal.Subject.String())}, nil
}

// inOrder are commands in the order in which they are carried out, each once.
func inOrder(commands []Command) []Command {
	var ordered []Command
	for _, command := range Commands {
		if slices.Contains(commands, command) {
			ordered = append(ordered, command)
		}
	}
	return ordered
}

func onlyRecorded(wanted []Command) bool { return len(wanted) == 1 && wanted[0] == Record }
