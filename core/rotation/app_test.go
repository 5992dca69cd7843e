package rotation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/core/coretest"
	"postern/core/rotation"
	"postern/core/seal"
)

// behaviour is how the simulated app treats one change request.
type behaviour string

const (
	obeys        behaviour = "obeys"         // applies it and says so
	losesAnswer  behaviour = "loses answer"  // applies it; the answer never arrives
	losesRequest behaviour = "loses request" // it never arrives
	dawdles      behaviour = "dawdles"       // applies it while it is probed
	late         behaviour = "late"          // applies it minutes later
	veryLate     behaviour = "very late"     // applies it after the next try
	refuses      behaviour = "refuses"       // does not take the password
	refusesPage  behaviour = "refuses page"  // its page does not even send the password
	liesSuccess  behaviour = "lies success"  // says it applied it, and did not
	liesRefusal  behaviour = "lies refusal"  // says it refused it, and applied it
	asksAgain    behaviour = "asks again"    // says the current password is wrong, and applied nothing
	dropsSignIn  behaviour = "drops sign-in" // turns the right current password away, once
	hangs        behaviour = "hangs"         // nothing is sent, no answer
	mangles      behaviour = "mangles"       // the page would send another password: the gate stays shut
	goesRound    behaviour = "goes round"    // its page sends the password by a way that has no gate, and the app applies it
	slips        behaviour = "slips"         // the same, and the connector is sure that nothing was sent
)

var behaviours = []behaviour{
	obeys, losesAnswer, losesRequest, dawdles, late, veryLate, refuses, refusesPage, liesSuccess, liesRefusal, asksAgain, dropsSignIn, hangs, mangles, goesRound, slips,
}

// application is one account in an app that lives outside Postern: it survives every crash.
type application struct {
	t     testing.TB
	clock *coretest.Clock

	lock      sync.Mutex
	password  string
	pending   []change
	behaviour []behaviour // of the next change requests; then it obeys
	failures  []time.Time
	submitted int
	had       []string // every password it ever had
	also      string   // accepted beside the password
	signIn    rotation.Outcome
	admin     string           // whose password sets this one's
	adminSays rotation.Outcome // what it says of the administrator; empty: it looks at the password
	admins    int              // how often its administrator was turned away
	links     int              // how many links it mailed: the newest is good
	mails     bool             // the link comes
	// check is called with every password the app takes.
	check func(password string)
}

// anyPassword stands for the current one in a change that an administrator makes.
const anyPassword = "whatever it is"

type change struct {
	current, next string
	due           time.Time
}

// settle applies what is due.
func (a *application) settle() {
	now := a.clock.Now()
	a.pending = slices.DeleteFunc(a.pending, func(c change) bool {
		if c.due.After(now) {
			return false
		}
		a.apply(c.current, c.next)
		return true
	})
}

func (a *application) apply(current, next string) {
	if current != anyPassword && a.password != current {
		return
	}
	a.password = next
	a.had = append(a.had, next)
	if a.check != nil {
		a.check(next)
	}
}

// enter is a sign-in as anybody could make it.
func (a *application) enter(password string) rotation.Outcome {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.clock.Pass(100 * time.Millisecond)
	a.settle()
	if a.signIn != "" {
		return a.signIn
	}
	if password == a.password || a.also != "" && password == a.also {
		return rotation.Accepted
	}
	a.failures = append(a.failures, a.clock.Now())
	return rotation.Rejected
}

// worstFailures is the largest number of failed sign-ins within any window.
func (a *application) worstFailures(window time.Duration) int {
	worst := 0
	for i, first := range a.failures {
		count := 0
		for _, other := range a.failures[i:] {
			if other.Sub(first) < window {
				count++
			}
		}
		worst = max(worst, count)
	}
	return worst
}

// life is one run of a process. Its end stops everything it does, in the middle of whatever it is:
// no statement reaches the database any more, and no request the app.
type life struct {
	lock   sync.Mutex
	ticks  int
	endsAt int // the tick it dies at; 0: never
	dead   bool
	frozen chan struct{} // while not nil, it stands still
}

type lifeKey struct{}

// tick is a point at which the process may die.
func (l *life) tick() (alive bool) {
	l.lock.Lock()
	l.ticks++
	if l.endsAt != 0 && l.ticks >= l.endsAt {
		l.dead = true
	}
	l.lock.Unlock()
	return l.stands()
}

// stands reports whether the process lives, and keeps it from going on while it is frozen.
func (l *life) stands() (alive bool) {
	l.lock.Lock()
	dead, frozen := l.dead, l.frozen
	l.lock.Unlock()
	if frozen != nil {
		<-frozen
	}
	return !dead
}

func (l *life) freeze() (thaw func()) {
	frozen := make(chan struct{})
	l.lock.Lock()
	l.frozen = frozen
	l.lock.Unlock()
	return func() {
		l.lock.Lock()
		l.frozen = nil
		l.lock.Unlock()
		close(frozen)
	}
}

func lifeOf(ctx context.Context) *life {
	if l, ok := ctx.Value(lifeKey{}).(*life); ok {
		return l
	}
	return &life{}
}

// simulated is the connector to the application. Every point where a process could die is a tick.
type simulated struct {
	app *application
	// beforeRelease, if set, runs while the change request is held at the gate.
	beforeRelease func(ctx context.Context)
	// beforeVerify, if set, runs before each sign-in that is not part of a change.
	beforeVerify func()
	// detail is what it says of everything, given the passwords it was given.
	detail func(passwords ...string) string
}

var gone = rotation.Report{Outcome: rotation.Unknown, Detail: "the process is dead"}

func (s *simulated) report(outcome rotation.Outcome, released bool) rotation.Report {
	return rotation.Report{
		Outcome: outcome, Finished: s.app.clock.Now(), Hosts: []string{"app.example", "cdn.example"}, Agent: "Simulated/1", Released: released,
	}
}

func (s *simulated) Verify(ctx context.Context, _ rotation.Target, credential rotation.Credential) rotation.Report {
	if !lifeOf(ctx).tick() {
		return gone
	}
	if s.beforeVerify != nil {
		s.beforeVerify()
	}
	outcome := s.app.enter(credential.Password.Reveal())
	if !lifeOf(ctx).tick() {
		return gone
	}
	report := s.report(outcome, false)
	if s.detail != nil {
		report.Detail = s.detail(credential.Password.Reveal())
	}
	return report
}

func (s *simulated) Change(ctx context.Context, _ rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	life, app := lifeOf(ctx), s.app
	if !life.tick() {
		return gone
	}
	app.lock.Lock()
	behaves := obeys
	if len(app.behaviour) > 0 {
		behaves, app.behaviour = app.behaviour[0], app.behaviour[1:]
	}
	app.lock.Unlock()
	switch behaves {
	case hangs:
		return s.report(rotation.TimedOut, false)
	case dropsSignIn:
		app.lock.Lock()
		app.failures = append(app.failures, app.clock.Pass(100*time.Millisecond))
		app.lock.Unlock()
		return s.report(rotation.Rejected, false)
	}
	if outcome := app.enter(current.Password.Reveal()); outcome != rotation.Accepted {
		return s.report(outcome, false)
	}
	return s.send(ctx, life, behaves, current.Password.Reveal(), next, release)
}

// Reset implements rotation.Resetter. Of what an app can do to a change some can only be done to who signs in for it.
func (s *simulated) Reset(ctx context.Context, _ rotation.Target, admin rotation.Credential, _ string, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	life, app := lifeOf(ctx), s.app
	if !life.tick() {
		return gone
	}
	app.lock.Lock()
	behaves := obeys
	if len(app.behaviour) > 0 {
		behaves, app.behaviour = app.behaviour[0], app.behaviour[1:]
	}
	says := app.adminSays
	if says == "" && admin.Password.Reveal() != app.admin {
		says = rotation.AdminRejected
	}
	if says == rotation.AdminRejected {
		app.admins++
	}
	app.clock.Pass(100 * time.Millisecond)
	app.lock.Unlock()
	stage := func(report rotation.Report) rotation.Report {
		report.Stage = rotation.StageSignIn
		return report
	}
	switch {
	case says != "":
		return stage(s.report(says, false))
	case behaves == hangs:
		return stage(s.report(rotation.TimedOut, false))
	case behaves == dropsSignIn:
		return stage(s.report(rotation.Unreachable, false))
	}
	return s.send(ctx, life, behaves, anyPassword, next, release)
}

// Recover implements rotation.Recoverer.
func (s *simulated) Recover(ctx context.Context, _ rotation.Target, forgotten rotation.Forgotten, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	life, app := lifeOf(ctx), s.app
	if !life.tick() {
		return gone
	}
	app.lock.Lock()
	behaves := obeys
	if len(app.behaviour) > 0 {
		behaves, app.behaviour = app.behaviour[0], app.behaviour[1:]
	}
	app.links++
	newest := fmt.Sprint(app.links)
	app.clock.Pass(100 * time.Millisecond)
	app.lock.Unlock()
	if !life.tick() { // asked for a mail, and nobody waits for it
		return gone
	}
	switch behaves {
	case hangs:
		return s.report(rotation.TimedOut, false)
	case dropsSignIn:
		return s.report(rotation.NoMessage, false)
	}
	link, err := forgotten.Link(ctx)
	if err != nil || link.Reveal() != newest {
		return s.report(rotation.NoMessage, false)
	}
	return s.send(ctx, life, behaves, anyPassword, next, release)
}

// send is a change request, held at the gate and then sent.
func (s *simulated) send(ctx context.Context, life *life, behaves behaviour, current string, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	app := s.app
	switch behaves {
	case mangles:
		return s.report(rotation.NotSent, false)
	case refusesPage:
		return s.report(rotation.Refused, false)
	case goesRound, slips:
		app.receive(obeys, current, next.Reveal())
		report := s.report(rotation.Unknown, false)
		if behaves == slips {
			report.Outcome = rotation.NotSent
		}
		report.Stage = rotation.StageSubmit
		return report
	}
	if !life.tick() {
		return gone
	}
	if s.beforeRelease != nil {
		s.beforeRelease(ctx)
	}
	if err := release(ctx); err != nil {
		return s.report(rotation.NotSent, false)
	}
	if !life.tick() { // released, and never left
		return gone
	}
	outcome := app.receive(behaves, current, next.Reveal())
	if !life.tick() { // done, and nobody heard
		return gone
	}
	report := s.report(outcome, true)
	if s.detail != nil {
		report.Detail = s.detail(current, next.Reveal())
		report.Model, _ = json.Marshal(report.Detail)
	}
	return report
}

// receive is the change request arriving.
func (a *application) receive(behaves behaviour, current, next string) rotation.Outcome {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.submitted++
	now := a.clock.Pass(100 * time.Millisecond)
	if a.check != nil {
		a.check(next)
	}
	wait := func(d time.Duration) rotation.Outcome {
		a.pending = append(a.pending, change{current, next, now.Add(d)})
		return rotation.TimedOut
	}
	switch behaves {
	case losesAnswer:
		a.apply(current, next)
		return rotation.Unknown
	case losesRequest:
		return rotation.TimedOut
	case dawdles:
		return wait(150 * time.Millisecond) // after the candidate was tried, before the current one is
	case late:
		return wait(5 * time.Minute)
	case veryLate:
		return wait(25 * time.Minute)
	case refuses:
		return rotation.Refused
	case liesSuccess:
		return rotation.Applied
	case liesRefusal:
		a.apply(current, next)
		return rotation.Refused
	case asksAgain:
		return rotation.Rejected
	}
	a.apply(current, next)
	return rotation.Applied
}
