package signals

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/policies"
)

// Receive carries out a signal and returns its receipt, after the commit. With Later, a logout by a token is answered
// as soon as its sessions are dead: the receipt that is returned says no more, and KeepSettled does the rest and writes
// it. Everything else is one transaction: whom the signal
// means inside its connection, what the policy makes of it, whether the incident was told before, whether too
// many are meant at once, the effect, the receipt, the events, and the single use of what carried it (once; nil:
// none). A signal that means nobody is NotFound, with its receipt. The same carrier for another request is
// Unauthenticated with code "replayed". What a command refuses does not undo the others: the receipt says so.
func (s *Signals) Receive(ctx context.Context, cause core.Cause, signal Signal, once *Once) (Receipt, error) {
	signal, err := s.checked(cause, signal)
	if err != nil {
		return Receipt{}, err
	}
	if left, ok := s.atOnce(ctx, cause, signal, once); ok {
		return s.answer(ctx, left, once), nil
	}
	var t *telling
	err = s.DB.Command(ctx, directory.Collision, func(batch *pgx.Batch) {
		t = s.tell(cause, signal, once)
		t.open(batch)
	}, func(tx pgx.Tx, last *pgx.Batch) error { return t.work(ctx, tx, last) })
	if errors.Is(err, errUsed) {
		err = s.DB.Tx(ctx, func(tx pgx.Tx) error { return t.again(ctx, tx) })
	}
	if err != nil {
		return Receipt{}, err
	}
	if t.receipt.Replayed {
		return t.receipt, nil
	}
	s.wake()
	if s.Meter != nil {
		s.Meter.Ended(signal.Door, s.now().Sub(signal.Received))
	}
	if t.receipt.Outcome == Nobody {
		return t.receipt, core.NotFound("user in this connection")
	}
	return t.receipt, nil
}

// answer is the receipt of a signal whose sessions are dead. Where nobody does the rest later, it is done now.
func (s *Signals) answer(ctx context.Context, left unsettled, once *Once) Receipt {
	if s.Meter != nil {
		s.Meter.Ended(left.Signal.Door, s.now().Sub(left.Signal.Received))
	}
	if s.Later {
		s.settleSoon()
	} else {
		receipt, done, err := s.settle(ctx, left)
		s.warn(ctx, "do what is left of a signal", err)
		if done {
			receipt.Status = once.Status
			return receipt
		}
	}
	return Receipt{
		ID: left.id, Signal: left.Signal, Outcome: Done, Users: left.users, Commands: []Command{EndSessions}, Committed: left.At, Status: once.Status,
	}
}

// checked fills in what a door may leave out, and refuses what no door should send.
func (s *Signals) checked(cause core.Cause, signal Signal) (Signal, error) {
	now := s.now()
	if signal.Received.IsZero() || signal.Received.After(now) {
		signal.Received = now
	}
	if signal.Occurred.IsZero() || signal.Occurred.After(signal.Received) {
		signal.Occurred = signal.Received
	}
	signal.Occurred, signal.Received = signal.Occurred.UTC().Truncate(time.Microsecond), signal.Received.UTC().Truncate(time.Microsecond)
	if signal.SID == "" {
		signal.SID = signal.Subject.sid()
	}
	signal.SID, signal.Transaction = core.Cut(signal.SID, maxIdentifier), core.Cut(signal.Transaction, maxIdentifier)
	switch {
	case signal.Workspace.IsZero() || signal.Door == "" || signal.Kind == "":
		return Signal{}, core.Invalid("", "a signal has a workspace, a door and a kind")
	case signal.Connection.IsZero() && cause.Actor.Kind == core.ActorConnection:
		return Signal{}, core.Invalid("", "a signal of an identity provider has a connection")
	case signal.Subject.IsZero() && signal.SID == "":
		return Signal{}, core.Invalid("sub_id", "a signal is about somebody, or about a session")
	}
	return signal, nil
}

// telling is one signal on its way through the pipeline.
type telling struct {
	*Signals
	cause   core.Cause
	signal  Signal
	once    *Once
	receipt Receipt

	left   *unsettled // the sessions are dead: this is the rest
	unused bool       // what carried the signal came for the first time
	around surroundings
	people []directory.User
	looked bool // what was done lately was read, and sessions ended, with the first look
	rich   bool // somebody meant may have been exposed to something
	ended  []directory.Ended
	seen   map[core.ID][]accounts.Exposed // what each was exposed to, if it may be rotated
	choice *policies.Choice
	spared bool // a policy leaves out some of what the signal would have rotated
	known  []incident
	owed   map[core.ID][]Command // what waits, for whom; nil: for everybody meant
	last   *pgx.Batch
	events []core.Event // in the order in which they are told
	later  []core.Event // what follows from them
}

func (s *Signals) tell(cause core.Cause, signal Signal, once *Once) *telling {
	return &telling{Signals: s, cause: cause, signal: signal, once: once, unused: true, receipt: Receipt{ID: core.NewID(), Signal: signal, Outcome: Done}}
}

// now is when the signal takes effect.
func (t *telling) now() time.Time {
	if t.left != nil {
		return t.left.At
	}
	return t.Signals.now()
}

// keepPlans has the transaction go by the plans it has: what a signal asks is always the same.
const keepPlans = `set local plan_cache_mode = force_generic_plan`

// open is sent with the transaction's begin. People are locked last: what they are judged by is read after.
func (t *telling) open(batch *pgx.Batch) {
	batch.Queue(keepPlans)
	t.queueSurroundings(batch)
	if t.left != nil {
		t.openRest(batch)
		return
	}
	if t.once != nil {
		// A name that cannot be kept is told by work, which asks again.
		if err := t.Directory.QueueTokenUse(batch, t.signal.Connection, t.once.TokenID, t.once.BodyHash, t.once.Status, t.once.Expires, &t.unused); err != nil {
			t.unused = false
		}
	}
	names := t.signal.Subject.names()
	if len(names) == 0 {
		names = []Subject{{}} // the session alone
	}
	for _, name := range names {
		if meant, ok := t.meant(name); ok {
			t.Directory.QueueLockMeant(batch, meant, &t.people)
		}
	}
	if t.looked = t.certain(); t.looked {
		t.queueLook(batch)
	}
}

// errUsed ends a transaction that found what carried the signal to have come before: what the first look did goes
// with it.
var errUsed = core.Conflict("", "what carried the signal came before").WithCode("used")

// certain reports whether every session of whom the signal means ends whatever the policy says.
func (t *telling) certain() bool {
	return t.signal.SID == "" && t.signal.Door != FrontChannelLogout && Case(t.signal.Kind).mustEnd()
}

// queueLook reads, of whom the first look locked, what was done for them lately, and ends their sessions: the one
// thing every telling does.
func (t *telling) queueLook(batch *pgx.Batch) {
	t.queueIncidents(batch)
	t.Directory.QueueEndMeant(batch, t.signal.Workspace, t.reason(), &t.ended)
}

// work is what comes after the first look.
func (t *telling) work(ctx context.Context, tx pgx.Tx, last *pgx.Batch) error {
	t.last = last
	if t.signal.Judged != 0 && t.signal.Judged != t.around.row {
		return core.Conflict("", "the connection is another one than the signal was judged by").WithCode(JudgedByOld)
	}
	if !t.unused {
		return errUsed
	}
	if t.cause.Actor.Kind != core.ActorConnection {
		if err := t.Accounts.Administrator(ctx, tx, t.cause, t.signal.Workspace); err != nil {
			return err
		}
	} else if !t.around.found && t.left == nil {
		return core.NotFound("connection")
	}
	for _, person := range t.people {
		t.receipt.Users = append(t.receipt.Users, person.ID)
	}
	if len(t.people) == 0 {
		return t.nobody(ctx, tx)
	}
	wanted := t.around.commands(t.signal)
	if t.signal.Door == FrontChannelLogout {
		wanted = []Command{EndSessions} // nobody signed it
	}
	if err := t.look(ctx, tx, wanted); err != nil {
		return err
	}
	if err := t.carry(ctx, tx, wanted); err != nil {
		return err
	}
	return t.finish()
}

// again answers a carrier that came before.
func (t *telling) again(ctx context.Context, tx pgx.Tx) error {
	status, replay, err := t.Directory.UseTokenID(ctx, tx, t.signal.Connection, t.once.TokenID, t.once.BodyHash, t.once.Status, t.once.Expires)
	if err != nil {
		if core.KindOf(err) == core.KindUnauthenticated {
			return core.AsError(err).WithCode("replayed")
		}
		return err
	}
	if !replay { // it was forgotten meanwhile
		return core.Unauthenticated("the token has expired").WithCode("replayed")
	}
	t.receipt.Replayed, t.receipt.Status = replay, status
	return nil
}

// nobody notes a signal about somebody the connection does not have, or not yet: a sign-in under way of that
// session or subject does not survive it.
func (t *telling) nobody(ctx context.Context, tx pgx.Tx) error {
	t.receipt.Outcome = Nobody
	meant := t.session()
	if (meant.SID != "" || meant.Subject != "") && t.signal.Door != FrontChannelLogout && !t.signal.Connection.IsZero() && t.ends() {
		ended, err := t.Directory.EndIdPSessions(ctx, tx, t.cause, meant, t.reason())
		if err != nil {
			return err
		}
		t.count(ended)
	}
	if t.once != nil && t.once.Nobody != 0 {
		t.Directory.QueueTokenAnswer(t.last, t.signal.Connection, t.once.TokenID, t.once.Nobody)
	}
	return t.finish()
}

// ends reports whether the policy lets the signal end sessions.
func (t *telling) ends() bool { return slices.Contains(t.around.commands(t.signal), EndSessions) }

// finish writes the receipt and tells what happened.
func (t *telling) finish() error {
	t.receipt.Committed = t.now()
	if t.receipt.Status == 0 && t.once != nil {
		t.receipt.Status = t.once.Status
	}
	if err := t.queueReceipt(t.last); err != nil {
		return err
	}
	told := append([]core.Event{t.accepted()}, t.events...)
	return audit.Queue(t.last, append(told, t.later...)...)
}

// accepted is the event of the signal itself.
func (t *telling) accepted() core.Event {
	targets := make([]core.Target, 0, len(t.people)+1)
	for _, person := range t.people {
		targets = append(targets, person.Target())
	}
	if !t.signal.Connection.IsZero() {
		targets = append(targets, t.connection())
	}
	event := core.NewEvent(core.SignalAccepted, t.signal.Workspace, t.cause, t.receipt.Committed, targets...)
	event.Reason = t.receipt.Note
	event.Data = map[string]string{
		"signal": string(t.signal.Door), "kind": string(t.signal.Kind), "subject": t.signal.Subject.String(), "receipt": t.receipt.ID.String(),
		"outcome": string(t.receipt.Outcome),
	}
	for name, value := range map[string]string{
		"credential_type": core.Cut(t.signal.Evidence.Facts["credential_type"], 200), "change_type": core.Cut(t.signal.Evidence.Facts["change_type"], 200),
		"token_id": core.Cut(t.signal.Evidence.TokenID, 200), "sid": core.Cut(t.signal.SID, 200), "transaction": core.Cut(t.signal.Transaction, 200),
		"duplicate_of": t.receipt.Duplicate.String(), "hold": t.receipt.Hold.String(),
	} {
		if value != "" {
			event.Data[name] = value
		}
	}
	return event
}

func (t *telling) connection() core.Target {
	name := t.around.name
	if name == "" {
		name = t.signal.ConnectionName
	}
	return core.Target{Kind: "connection", ID: t.signal.Connection, Name: name}
}

// happened tells something about a person.
func (t *telling) happened(kind core.EventType, person directory.User) core.Event {
	return core.NewEvent(kind, t.signal.Workspace, t.cause, t.now(), person.Target()).With("receipt", t.receipt.ID.String())
}

func (t *telling) count(ended []directory.Ended) {
	for _, one := range ended {
		if one.Live {
			t.receipt.Sessions++
		}
	}
}

// reason is why sessions end, for a person.
func (t *telling) reason() string {
	if t.signal.Kind == Logout || t.signal.Kind == SessionRevoked {
		return "logged out"
	}
	return "signal: " + string(t.signal.Kind)
}

// look does what the first look left, and tells whose sessions ended.
func (t *telling) look(ctx context.Context, tx pgx.Tx, wanted []Command) error {
	ending, whole := slices.Contains(wanted, EndSessions), t.signal.SID == ""
	batch := &pgx.Batch{}
	if (t.rich || !t.looked) && (slices.Contains(wanted, Rotate) || slices.Contains(wanted, RotateSeen)) {
		t.queueExposed(batch)
		t.queueGuard(batch)
	}
	if !t.looked && ending && whole {
		t.Directory.QueueEndMeant(batch, t.signal.Workspace, t.reason(), &t.ended)
	}
	if !t.looked && !onlyRecorded(wanted) {
		t.queueIncidents(batch)
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
	if err := t.chosen(ctx, tx); err != nil {
		return err
	}
	if !ending {
		return nil
	}
	t.receipt.Commands = append(t.receipt.Commands, EndSessions)
	if !whole {
		return t.endNamed(ctx, tx)
	}
	now := t.now()
	for _, person := range t.people {
		if t.left == nil {
			t.Directory.QueueRaiseEpochNow(t.last, person.Workspace, person.ID)
		}
		var ended []core.Event
		for _, one := range t.ended {
			if one.User.ID == person.ID && one.Live {
				ended = append(ended, core.NewEvent(core.SessionEnded, person.Workspace, t.cause, now,
					person.Target(), core.Target{Kind: "session", ID: one.ID}).Because(t.reason()))
			}
		}
		// Who is told of logouts is told once of an incident: what comes back from there is a telling of the same.
		if _, how := t.judge(person.ID); how == fresh || len(ended) > 0 {
			t.events = append(t.events, core.NewEvent(core.UserLoggedOut, person.Workspace, t.cause, now, person.Target()))
		}
		t.receipt.Sessions += len(ended)
		t.events = append(t.events, ended...)
	}
	return nil
}

// endNamed ends the sessions the identity provider calls by the signal's sid. Sessions of which it never said
// how it calls them may be the ones: those of whom it names go too.
func (t *telling) endNamed(ctx context.Context, tx pgx.Tx) error {
	end := t.Directory.EndIdPSessions
	if t.signal.Door == FrontChannelLogout {
		end = t.Directory.EndFramedSession
	}
	ended, err := end(ctx, tx, t.cause, t.session(), t.reason())
	if err != nil {
		return err
	}
	t.count(ended)
	if t.signal.Door == FrontChannelLogout || len(t.signal.Subject.names()) == 0 {
		return nil
	}
	for _, person := range t.people {
		ended, err := t.Directory.EndUnnamedSessions(ctx, tx, t.cause, person, t.reason())
		if err != nil {
			return err
		}
		t.count(ended)
	}
	return nil
}

// session is the signal's session, or person, in the identity provider's words.
func (t *telling) session() directory.IdPSession {
	meant := directory.IdPSession{Workspace: t.signal.Workspace, Connection: t.signal.Connection, SID: t.signal.SID}
	for _, name := range t.signal.Subject.names() {
		if name.Format == FormatIssSub {
			meant.Subject = name.Subject
		}
	}
	return meant
}
