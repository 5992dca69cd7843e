package delivery

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"postern/core"
	"postern/core/postgres"
)

// State says how a lane goes.
type State string

// The states of a lane.
const (
	Running  State = "running"
	Paused   State = "paused"   // what is for it waits
	Disabled State = "disabled" // given up, or turned off
)

// States are all of them.
var States = []State{Running, Paused, Disabled}

// Lane is a destination.
type Lane struct {
	ID          core.ID    `db:"id"`
	Workspace   core.ID    `db:"workspace_id"`
	Kind        string     `db:"kind"` // of its carrier, and of the target in events
	Name        string     `db:"name"`
	Ordered     bool       `db:"ordered"`
	Carried     bool       `db:"carried"` // false: its destination fetches
	State       State      `db:"state"`
	Reason      string     `db:"reason"`
	Succeeded   *time.Time `db:"succeeded"`
	Failures    int        `db:"failures"` // in a row
	LastError   string     `db:"last_error"`
	LastErrorAt *time.Time `db:"last_error_at"`
}

// Target is the lane as an event names it.
func (l Lane) Target() core.Target { return core.Target{Kind: l.Kind, ID: l.ID, Name: l.Name} }

// Delivery is one message for one lane.
type Delivery struct {
	ID        core.ID         `db:"id"` // the same at every attempt
	Workspace core.ID         `db:"workspace_id"`
	Lane      core.ID         `db:"lane_id"`
	Event     core.ID         `db:"event_id"`
	Type      string          `db:"type"`
	Payload   json.RawMessage `db:"payload"`
	Urgent    bool            `db:"urgent"`
	State     string          `db:"state"` // waiting, delivered or dead
	Attempts  int             `db:"attempts"`
	Next      time.Time       `db:"next"`
	LastError string          `db:"last_error"`
	Status    int             `db:"status"` // of the last answer; 0: there was none
	Created   time.Time       `db:"created"`
	Finished  *time.Time      `db:"finished"`
}

// Verdict is what became of an attempt.
type Verdict uint8

// The verdicts.
const (
	Delivered Verdict = iota
	Again             // the destination is down, busy, or set up wrongly: tried again later
	Refused           // it does not take this message: a dead letter
	Gone              // it takes no message any more: the lane is disabled
)

// Outcome is what came of an attempt.
type Outcome struct {
	Verdict Verdict
	Status  int           // of the answer, if there was one
	Why     string        // in words, without secrets
	After   time.Duration // with Again: at least so long
}

// Carrier delivers to the lanes of one kind.
type Carrier struct {
	// Carry makes one attempt. It must end by itself within a minute.
	Carry func(ctx context.Context, lane Lane, delivery Delivery) Outcome
	// Schedule is how long to wait after each failed attempt. When it is used up, the message becomes a dead
	// letter and the lane is disabled.
	Schedule []time.Duration
}

// Standard is the schedule of Standard Webhooks 1.0: ten attempts within four days.
func Standard() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// Patient is a schedule for what holds up what comes after it: soon at first, then every half hour, for three
// days.
func Patient() []time.Duration {
	waits := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}
	for range 144 {
		waits = append(waits, 30*time.Minute)
	}
	return waits
}

// Deliveries keeps what is to be delivered, and delivers it. It is safe for concurrent use; do not copy it
// after first use.
type Deliveries struct {
	DB       *postgres.DB
	Carriers map[string]Carrier // by the kind of lane
	Now      func() time.Time   // nil: time.Now
	Log      *slog.Logger       // nil: nothing is logged
	Wake     func()             // called after a commit with events, if set
	Meter    Meter              // nil: nobody counts
	// Look is how often it is looked for what is due. Default 250 ms.
	Look time.Duration
	// Lease is how long a lane stays with a process that is silent. Default 2 min.
	Lease time.Duration
	// Keep is how long what is finished can be read and sent again. Default 7 days, dead letters 90.
	Keep time.Duration

	once sync.Once
	work core.Bell
	news *news
}

func (d *Deliveries) prepare() {
	d.once.Do(func() {
		d.news = &news{waiting: map[core.ID]chan struct{}{}}
		if d.Look <= 0 {
			d.Look = 250 * time.Millisecond
		}
		if d.Lease <= 0 {
			d.Lease = 2 * time.Minute
		}
		if d.Keep <= 0 {
			d.Keep = 7 * 24 * time.Hour
		}
	})
}

// now is the time as PostgreSQL keeps it.
func (d *Deliveries) now() time.Time { return postgres.Now(d.Now) }

func (d *Deliveries) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (d *Deliveries) wake() {
	if d.Wake != nil {
		d.Wake()
	}
}

// Nudge says that something may be due. Call it after the commit of what was added.
func (d *Deliveries) Nudge() {
	d.prepare()
	d.work.Ring()
	d.news.tell()
}

// news wakes who waits for messages of a lane that is fetched, in this process.
type news struct {
	lock    sync.Mutex
	waiting map[core.ID]chan struct{}
}

// listen returns a channel that is closed at the next news.
func (n *news) listen(lane core.ID) <-chan struct{} {
	n.lock.Lock()
	defer n.lock.Unlock()
	if _, there := n.waiting[lane]; !there {
		n.waiting[lane] = make(chan struct{})
	}
	return n.waiting[lane]
}

func (n *news) tell() {
	n.lock.Lock()
	defer n.lock.Unlock()
	for lane, channel := range n.waiting {
		close(channel)
		delete(n.waiting, lane)
	}
}
