package lifecycle_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// person is what the model knows of a user.
type person struct {
	user      directory.User
	active    bool
	removed   bool
	grants    map[int]bool // accounts
	member    bool
	counts    bool // the membership gives something
	live      int  // sessions
	loggedOut bool // once, by an administrator
	left      int  // how often they left, and everything was or is to be taken
	leaving   bool // shut out, and nothing was taken yet

	// waits is the departure of which nothing was taken yet, if there is one.
	waits *wait

	saw map[int]int // account to the generation of the password that was seen
	// owed is which accounts must have been rotated since when, because the person left exposed to them.
	owed map[int]time.Time
}

// wait is a departure that is, or was, held.
type wait struct {
	state   lifecycle.State
	deleted bool
	hold    int // number of the hold
	counted int // how many decisions there had been
	number  int // in the order of departures
}

// decision is what was decided about a hold and is to be carried out.
type decision struct {
	hold     int
	approved bool
}

// String keeps a failed history readable.
func (p *person) String() string {
	return fmt.Sprintf("%s active=%t leaving=%t removed=%t grants=%v member=%t counts=%t live=%d saw=%v waits=%+v",
		p.user.UserName, p.active, p.leaving, p.removed, p.grants, p.member, p.counts, p.live, p.saw, p.waits)
}

// GoString is String: rapid prints what it drew with %#v.
func (p *person) GoString() string { return p.String() }

// history is a model of one workspace beside the real one.
type history struct {
	house
	t          *testing.T
	people     []*person
	teamHas    map[int]bool // accounts the team was given
	generation []int        // of each account's password

	floor     int // of the guard; negative: off
	taken     int // departures the connection caused since the latest decision, of which everything was taken
	decisions int
	holds     int // opened so far
	open      bool
	pending   []decision
	numbered  int
}

// share is the guard's, in percent: with so few people it is reached together with the floor, or later.
const share = 40

// could is which accounts a person can look at now.
func (s *history) could(p *person) map[int]bool {
	if !p.active || p.removed {
		return nil
	}
	return s.given(p)
}

// given is what was given to a person and not taken back.
func (s *history) given(p *person) map[int]bool {
	found := maps.Clone(p.grants)
	if p.member && p.counts {
		maps.Copy(found, s.teamHas)
	}
	return found
}

// behind is given, and what the person knows the present password of.
func (s *history) behind(p *person) map[int]bool {
	found := s.given(p)
	for account, generation := range p.saw {
		if generation == s.generation[account] {
			found[account] = true
		}
	}
	return found
}

// counted is how many departures the guard counts.
func (s *history) counted() int {
	held := 0
	for _, p := range s.people {
		if p.waits != nil && p.waits.state == lifecycle.Held && p.waits.counted == s.decisions {
			held++
		}
	}
	return s.taken + held
}

// isHeld decides as the guard does, before the departure changes anything.
func (s *history) isHeld() bool {
	if s.floor < 0 {
		return false
	}
	if s.open {
		return true
	}
	active, counted := 1, s.counted() // Ana, whom no history touches
	for _, p := range s.people {
		if p.active {
			active++
		}
	}
	if counted+1 <= s.floor || (counted+1)*100 <= share*(active+counted) {
		return false
	}
	s.open = true
	s.holds++
	return true
}

// leaves is what the model expects of somebody told to leave: asked is for those requests that mean
// something of an inactive person too. Nothing is taken by it but from the sessions of who is held: it
// returns how many those were.
func (s *history) leaves(p *person, by core.Cause, deleted, asked bool) (ended int) {
	connection := by.Actor.Kind == core.ActorConnection
	switch {
	case p.active:
	case !asked || p.waits == nil:
		return 0
	case connection && p.waits.state == lifecycle.Held:
		p.waits.deleted = p.waits.deleted || deleted
		return 0
	}
	before := p.waits
	if connection && s.isHeld() {
		ended, p.live, p.active = p.live, 0, false
		s.numbered++
		p.waits = &wait{state: lifecycle.Held, deleted: deleted, hold: s.holds, counted: s.decisions, number: s.numbered}
		if before != nil {
			p.waits.number = before.number
		}
		return ended
	}
	if connection || before != nil && before.state == lifecycle.Held && before.counted == s.decisions {
		s.taken++
	}
	p.active, p.waits, p.leaving = false, nil, true
	p.left++
	return 0
}

// take takes from somebody if they are leaving, and returns what that is expected to do.
func (s *history) take(p *person, at time.Time) (want lifecycle.Effect) {
	if p.leaving {
		want = lifecycle.Effect{SessionsEnded: p.live, GrantsRevoked: len(p.grants), Rotations: make([]core.ID, len(s.behind(p)))}
		s.takes(p, at)
	}
	return want
}

// takes takes everything from somebody.
func (s *history) takes(p *person, at time.Time) {
	for account := range s.behind(p) {
		p.owed[account] = at
	}
	p.counts, p.leaving, p.live = false, false, 0
	p.grants = map[int]bool{}
}

// returns is somebody becoming active: whoever is still leaving loses everything first.
func (s *history) returns(p *person, at time.Time) {
	s.take(p, at)
	p.active, p.waits = true, nil
}

func (s *history) meet(user directory.User) *person {
	return &person{user: user, active: true, grants: map[int]bool{}, saw: map[int]int{}, owed: map[int]time.Time{}}
}
