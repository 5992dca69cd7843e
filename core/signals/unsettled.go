package signals

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// unsettled is a signal whose sessions are dead, and the rest of which is to be done.
type unsettled struct {
	id        core.ID // the receipt's
	workspace core.ID
	users     []core.ID // whose sessions they were
	text      []byte    // what follows, as it was read
	attempts  int       // that failed

	Cause  core.Cause
	Signal Signal
	Digest []byte    // of its evidence
	At     time.Time // when its sessions died
}

// wish is a signal on its way to be unsettled, with others that came at the same time.
type wish struct {
	unsettled
	once    *Once
	written []byte        // what is kept of it
	granted bool          // its sessions are dead
	done    chan struct{} // closed when that is known
}

const (
	// together is how many signals make their sessions dead in one transaction at most, and lanes how many such
	// transactions are under way: while one waits for the disk the next one gathers. A further one is worth its while
	// for a crowd: fewer are better off in the next transaction of one that is under way.
	together = 64
	lanes    = 2
	crowd    = 16
	// gathered bounds such a transaction. Nobody waits for another's lock in it.
	gathered = 10 * time.Second
)

// gathering is what has not been sent yet.
type gathering struct {
	lock    sync.Mutex
	waiting []*wish
	sending int
}

// Where the policy asks for more than ends sessions and rotates, nothing is left for later: who is to be shut out in
// other ways too must not come back in between.
const plainPolicy = `not exists (
	select from signal_policies p
	where p.workspace_id = @workspace and p.signal_case = 'logout' and (p.connection_id is null or p.connection_id = @connection)
		and not p.commands <@ array['end_sessions', 'rotate', 'rotate_seen'])`

const insertUnsettled = `
insert into signals_unsettled (id, workspace_id, users, said, due)
select o.id, @workspace::uuid, o.ids, o.said::json, o.due from out o
returning id, users`

var (
	outByEmail   = directory.OutByEmail(plainPolicy, insertUnsettled)
	outBySubject = directory.OutBySubject(plainPolicy, insertUnsettled)
	outLatest    = directory.OutLatest(`
	select n.workspace_id, m.user_id from signals_unsettled n cross join lateral unnest(n.users) m (user_id)
	where n.id = any((select @ids::uuid[])::uuid[]) and n.workspace_id = any((select @workspaces::uuid[])::uuid[])`)
)

// atOnce makes a signal's sessions dead and leaves the rest for later, if that is all its policy cannot wait with. It is
// not ok when the signal is not of that kind, when the token came before, when it means nobody, and whenever anything
// is unusual: then nothing has happened, or it is known that the token was used.
func (s *Signals) atOnce(ctx context.Context, cause core.Cause, signal Signal, once *Once) (left unsettled, ok bool) {
	if once == nil || signal.Judged == 0 || signal.Kind != Logout || signal.SID != "" || cause.Actor.Kind != core.ActorConnection ||
		len(signal.cases()) != 1 || once.TokenID == "" {
		return unsettled{}, false
	}
	one := &wish{
		unsettled: unsettled{
			id: core.NewID(), workspace: signal.Workspace, Cause: cause, Signal: signal, Digest: signal.Evidence.Digest, At: s.now(),
		},
		once: once, done: make(chan struct{}),
	}
	switch signal.Subject.Format {
	case FormatEmail, FormatAccount, FormatIssSub:
	default:
		return unsettled{}, false
	}
	var err error
	if one.written, err = json.Marshal(one.unsettled); err != nil {
		return unsettled{}, false
	}
	if s.gathering.add(one) {
		s.lead(context.WithoutCancel(ctx))
	}
	select {
	case <-one.done:
		return one.unsettled, one.granted
	case <-ctx.Done(): // whoever asks next learns what came of it by the token
		return unsettled{}, false
	}
}

// add has a wish sent with the next transaction, and reports whether whoever adds it has to send that.
func (g *gathering) add(one *wish) (lead bool) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.waiting = append(g.waiting, one)
	lead = g.sending == 0 || g.sending < lanes && len(g.waiting) >= crowd
	if lead {
		g.sending++
	}
	return lead
}

// next is what the next transaction is about: no token twice. None: whoever asks need not send any more.
func (g *gathering) next() []*wish {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.sending > 1 && len(g.waiting) < crowd { // another one that is under way takes them
		g.sending--
		return nil
	}
	type use struct {
		connection core.ID
		token      string
	}
	used := map[use]bool{}
	var taken, left []*wish
	for _, one := range g.waiting {
		key := use{one.Signal.Connection, one.once.TokenID}
		if len(taken) == together || used[key] {
			left = append(left, one)
			continue
		}
		used[key] = true
		taken = append(taken, one)
	}
	g.waiting = left
	if len(taken) == 0 {
		g.sending--
	}
	return taken
}

// lead sends what waits, and leaves what came meanwhile to a goroutine of its own: whoever leads waits for what is theirs.
func (s *Signals) lead(ctx context.Context) {
	wishes := s.gathering.next()
	if len(wishes) == 0 {
		return
	}
	defer func() {
		if rest := s.gathering.next(); len(rest) > 0 {
			go s.send(ctx, rest)
		}
	}()
	s.grant(ctx, wishes)
}

// send sends as long as somebody waits.
func (s *Signals) send(ctx context.Context, wishes []*wish) {
	for ; len(wishes) > 0; wishes = s.gathering.next() {
		s.grant(ctx, wishes)
	}
}

// grant makes the sessions dead that wishes mean, and tells whoever waits for it.
func (s *Signals) grant(ctx context.Context, wishes []*wish) {
	if err := s.shutOut(ctx, wishes); err != nil {
		s.warn(ctx, "end the sessions of several at once", err)
		// One that cannot be written spoils it for all: each is done by itself.
		for _, one := range wishes {
			one.granted = false
		}
	}
	for _, one := range wishes {
		close(one.done)
	}
}

func (s *Signals) shutOut(ctx context.Context, wishes []*wish) error {
	ctx, cancel := context.WithTimeout(ctx, gathered)
	defer cancel()
	return s.DB.Batch(ctx, nil, func(batch *pgx.Batch) error {
		ids, workspaces := make([]core.ID, len(wishes)), make([]core.ID, len(wishes))
		alike := map[likeness][]*wish{}
		for i, one := range wishes {
			one.granted = false
			ids[i], workspaces[i] = one.id, one.workspace
			like := one.likeness()
			alike[like] = append(alike[like], one)
		}
		for like, some := range alike {
			s.queueOut(batch, like, some)
		}
		batch.Queue(outLatest, pgx.StrictNamedArgs{"ids": ids, "workspaces": workspaces})
		s.Directory.QueueSweepUses(batch, wishes[0].Signal.Connection, wishes[0].once.TokenID)
		return nil
	})
}

// likeness is what wishes that one statement grants have in common.
type likeness struct {
	workspace, connection core.ID
	judged                uint32
	byEmail               bool
	issuer                string // of the subjects; empty by e-mail
}

func (w *wish) likeness() likeness {
	like := likeness{workspace: w.workspace, connection: w.Signal.Connection, judged: w.Signal.Judged, byEmail: w.Signal.Subject.Format != FormatIssSub}
	if !like.byEmail {
		like.issuer = w.Signal.Subject.Issuer
	}
	return like
}

// name is what whom it means is found by.
func (w *wish) name() string {
	switch subject := w.Signal.Subject; subject.Format {
	case FormatEmail:
		return subject.Email
	case FormatAccount:
		return accountAddress(subject.URI)
	default:
		return subject.Subject
	}
}

func (s *Signals) queueOut(batch *pgx.Batch, like likeness, wishes []*wish) {
	count, byID := len(wishes), make(map[core.ID]*wish, len(wishes))
	ids, names, tokens, said := make([]core.ID, count), make([]string, count), make([]string, count), make([]string, count)
	bodies, statuses, expires, due := make([][]byte, count), make([]int, count), make([]time.Time, count), make([]time.Time, count)
	for i, one := range wishes {
		byID[one.id] = one
		ids[i], names[i], tokens[i], said[i] = one.id, one.name(), one.once.TokenID, string(one.written)
		bodies[i], statuses[i], expires[i], due[i] = one.once.BodyHash, one.once.Status, one.once.Expires, one.At
	}
	args := pgx.StrictNamedArgs{
		"workspace": like.workspace, "connection": like.connection, "row": int64(like.judged), "now": s.Directory.OutMoment(),
		"ids": ids, "names": names, "tokens": tokens, "bodies": bodies, "statuses": statuses, "expires": expires, "said": said, "due": due,
	}
	statement := outByEmail
	if !like.byEmail {
		statement, args["issuer"] = outBySubject, like.issuer
	}
	var id core.ID
	var users []core.ID
	batch.Queue(statement, args).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&id, &users}, func() error {
			byID[id].granted, byID[id].users, users = true, users, nil
			return nil
		})
		return err
	})
}
