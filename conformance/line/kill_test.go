package line

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/deploy/local"
	"postern/deploy/local/broker"
	"postern/deploy/local/receiver"
	"postern/deploy/local/sampleapp"
)

// settling is how long a rotation may take to come to rest after a restart, on a busy machine.
const settling = 3 * time.Minute

// killing is one death of postern in the middle of a rotation.
type killing struct {
	at   string // for a person: when postern dies
	last string // the step that is committed then; the next one is not
	hold string // what postern is caught in front of. Default: the step that follows last

	behaviour sampleapp.Behaviour      // of the app until postern is dead
	setting   func(k *kills, b *berth) // what comes before. Default: nothing
	ask       func(k *kills, b *berth) // starts the rotation. Default: the person leaves
	struck    func(k *kills, b *berth) // waits until it is time. Default: until postern is caught
	dead      func(k *kills, b *berth) // what happens while postern is dead. Default: nothing
	settled   func(k *kills, b *berth) // what a person does after the restart. Default: nothing
	rotations int                      // of the account in the end. Default: 1, and 0 with verify
	unknown   bool                     // somebody set a password in the app that no vault has
	verify    bool                     // a verification, which rotates nothing
}

var killings = []killing{
	{at: "planned", last: "planned"},
	{at: "stored", last: "stored"},
	{at: "armed, the request held at the gate", last: "armed"},
	{at: "submitted, the app has changed it", last: "submitted"},
	{at: "probing, the app has accepted the new one", last: "probing"},
	{at: "new_proven, the app has refused the old one", last: "new_proven"},
	{at: "old_dead", last: "old_dead"},
	{at: "done, and nobody has been told", last: "done", hold: "told"},
	{at: "done, and the receiver's yes is not heard", last: "done", hold: "nothing",
		setting: func(k *kills, _ *berth) {
			// The sink was killed again and again: it has to be there to deliver.
			k.eventually(3*time.Minute, "the receiver holds what was told so far", func() bool {
				return len(k.told(k.t)[k.workspace(k.t)]) >= len(events(k.t, k.API, nil))
			})
			k.Receiver.Behave(receiver.Behaviour{Delay: 15 * time.Second})
			k.arrived, k.posts = len(k.Receiver.Events()), k.Receiver.Posts()
		},
		struck: func(k *kills, b *berth) {
			k.eventually(settling, "the rotation is done, and a delivery under way", func() bool {
				walked := b.walked()
				return walked[len(walked)-1] == "done" && k.Receiver.Posts() > k.posts
			})
		},
		dead: func(k *kills, _ *berth) {
			k.eventually(time.Minute, "the receiver keeps what it was sent", func() bool { return len(k.Receiver.Events()) > k.arrived })
			k.Receiver.Behave(receiver.Behaviour{})
		}},
	{at: "in flight, applied and never answered", last: "submitted", hold: "nothing",
		behaviour: sampleapp.Behaviour{HangAfterChange: true},
		struck: func(k *kills, b *berth) {
			k.eventually(2*time.Minute, "the app has changed the password", func() bool { return !k.Harbour.Works(b.username, b.password) })
		}},
	{at: "in flight, applied while postern is dead", last: "submitted", hold: "nothing",
		behaviour: sampleapp.Behaviour{ApplyAfter: 3 * time.Second}, struck: (*kills).inFlight,
		dead: func(k *kills, b *berth) {
			k.eventually(time.Minute, "the app applies the change late", func() bool { return !k.Harbour.Works(b.username, b.password) })
		}},
	{at: "in flight, applied while postern probes", last: "submitted", hold: "nothing",
		behaviour: sampleapp.Behaviour{ApplyAfter: 8 * time.Second}, struck: (*kills).inFlight},
	{at: "unchanged, applied still later", last: "unchanged",
		behaviour: sampleapp.Behaviour{ApplyAfter: 15 * time.Second, AnswerAtOnce: true}},
	{at: "not_sent, the app is down", last: "not_sent", behaviour: sampleapp.Behaviour{Down: true}},
	{at: "drifted, somebody went back to an older one", last: "drifted", rotations: 2,
		setting: func(k *kills, b *berth) {
			k.again(b)
			b.rests(settling)
			k.byHand(b, b.password)
		}},
	{at: "unknown, and nobody is asked yet", last: "probing", hold: "unknown", unknown: true,
		setting: func(k *kills, b *berth) { k.byHand(b, "Set-at-the-app-by-a-person-7") },
		settled: (*kills).repaired},
	{at: "blocked, when somebody asks again", last: "blocked", unknown: true,
		setting: func(k *kills, b *berth) {
			k.byHand(b, "Set-at-the-app-by-a-person-8")
			b.leaves()
			b.rests(settling)
		},
		ask: func(k *kills, b *berth) {
			// It gets no answer: postern dies first.
			go func() {
				_ = k.API.Call(k.t.Context(), http.MethodPost, "/accounts/"+b.account.String()+"/verification", nil, nil)
			}()
		},
		settled: (*kills).repaired},
	{at: "a verification, the app has accepted it", last: "probing", verify: true,
		ask: func(k *kills, b *berth) {
			tell[struct{}](k.t, k.API, "/accounts/"+b.account.String()+"/verification", nil)
		}},
}

// kills is the world in which postern is killed again and again.
type kills struct {
	*stage
	t       *testing.T
	site    *watched
	owner   *guest
	changes int64 // that had reached the app before
	arrived int   // events at the receiver before
	posts   int   // deliveries it was sent before
}

// inFlight waits until the change request has reached the app whole.
func (k *kills) inFlight(*berth) {
	k.eventually(2*time.Minute, "the change request reaches the app", func() bool { return k.site.changes.Load() > k.changes })
}

// byHand sets a password in the app, as somebody would who knows nothing of Postern.
func (k *kills) byHand(b *berth, password string) {
	k.t.Helper()
	if err := k.Harbour.SetPassword(b.username, password); err != nil {
		k.t.Fatal(err)
	}
}

// again asks for the account's password to be replaced.
func (k *kills) again(b *berth) {
	k.t.Helper()
	tell[struct{}](k.t, k.API, "/accounts/"+b.account.String()+"/rotations", nil)
}

// repaired is what a person does about a blocked rotation: reset the password in the app to a known
// one, and have Postern look for it. The rotation goes on by itself then.
func (k *kills) repaired(b *berth) {
	k.t.Helper()
	if found := b.rests(settling); found.State != "blocked" {
		k.t.Fatalf("no stored password works, and the rotation is %s: %s", found.State, found.Detail)
	}
	if state := b.state(); state != "desynced" {
		k.t.Fatalf("no stored password works, and the account is %s", state)
	}
	tell := func(path string) error {
		return k.API.Call(k.t.Context(), http.MethodPost, "/accounts/"+b.account.String()+path, nil, nil)
	}
	if err := tell("/rotations"); err == nil || !strings.Contains(err.Error(), "set it right first") {
		k.t.Fatalf("a rotation of a login nobody can sign in to: %v", err)
	}
	k.byHand(b, b.password)
	if err := tell("/resync"); err != nil {
		k.t.Fatal(err)
	}
	k.eventually(settling, "the rotation goes on", func() bool { return b.turns()[0].State != "blocked" })
}

// TestNoKillLosesAPassword kills postern between two commits of a rotation, at every state there is,
// starts it again and lets it settle. What counts is checked at the app.
func TestNoKillLosesAPassword(t *testing.T) {
	// Apache Kafka finds out sooner than the embedded broker that a member of a group was killed.
	_, noKafka := broker.Jars(t.Context())
	k := &kills{stage: &stage{world: newWorld(t, worldOptions{RealKafka: noKafka == nil}), secrets: &canaries{}}, t: t}
	k.site = k.watch()
	k.serve()
	k.furnish()
	k.stage.owner = k.user(t, "okta", local.OwnerName).ID
	k.guard(t, map[string]any{"enabled": false}) // they all leave within an hour
	k.owner = k.inside(t, "okta", local.OwnerName)
	if _, err := k.DB.Exec(t.Context(), installHolds); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range killings {
		names = append(names, fmt.Sprintf("berth-%02d", i+1))
	}
	all := k.berths(t, names...)
	var table strings.Builder
	for i, killing := range killings {
		t.Logf("%s: %s", all[i].username, killing.at)
		fmt.Fprintln(&table, k.play(killing, all[i]))
	}
	if _, twice := k.delivered(t); twice == 0 {
		t.Error("what the receiver took from a dying postern did not come again: the test has lost its point")
	}
	for i, killing := range killings {
		k.storyOf(killing, all[i])
	}
	t.Logf("%d deaths\n%-46s %-10s %-8s %-7s %s\n%s", len(killings), "killed when", "committed", "app took", "settled", "and went on by", table.String())
	k.stop()
}

// play kills postern once and sees what becomes of the rotation. It returns a line for the table.
func (k *kills) play(killing killing, b *berth) string {
	t := k.t
	t.Helper()
	if killing.setting != nil {
		killing.setting(k, b)
	}
	k.changes = k.site.changes.Load()
	k.Harbour.Behave(killing.behaviour)
	grip := b.holdAfter(cmp.Or(killing.hold, killing.last))
	if killing.ask != nil {
		killing.ask(k, b)
	} else if killing.last != "blocked" {
		b.leaves()
	}
	if killing.struck != nil {
		killing.struck(k, b)
	} else {
		grip.caught()
	}
	left := k.killWhole()

	before := b.walked()
	if last := before[len(before)-1]; last != killing.last {
		t.Fatalf("%s: the last step is %s", b.username, last)
	}
	works := k.some(killing, b)
	grip.release()
	if killing.dead != nil {
		killing.dead(k, b)
	}
	k.some(killing, b)
	k.Harbour.Behave(sampleapp.Behaviour{})

	restarted := time.Now()
	k.serve()
	for _, folder := range left {
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Errorf("%s: the killed browser's profile %s was not swept", b.username, folder)
		}
	}
	if killing.settled != nil {
		killing.settled(k, b)
	}
	newest := b.rests(settling)
	took := time.Since(restarted)
	if newest.State != "done" {
		t.Fatalf("%s: the rotation is %s: %s", b.username, newest.State, newest.Detail)
	}
	after := b.walked()[len(before):]
	if killing.verify {
		if working := b.working(); !slices.Equal(working, []int{1}) || newest.Receipt != nil || b.state() != "validated" {
			t.Fatalf("%s: the app takes versions %v, the account is %s", b.username, working, b.state())
		}
	} else {
		b.isLockedOut(k.owner)
	}
	return fmt.Sprintf("%-46s %-10s %-8s %5.1fs  %s", killing.at, killing.last, works, took.Seconds(), strings.Join(after, " "))
}

// some checks that the app takes a password the vault has, unless a person set another one there.
func (k *kills) some(killing killing, b *berth) string {
	k.t.Helper()
	working := b.working()
	if (len(working) == 0) != killing.unknown {
		k.t.Fatalf("%s, postern dead: the app takes versions %v of the vault", b.username, working)
	}
	if killing.unknown {
		return "none"
	}
	return fmt.Sprint("v", working[0])
}

// storyOf checks what is on record of an account: each rotation once, from its planning to its
// receipt.
func (k *kills) storyOf(killing killing, b *berth) {
	t := k.t
	t.Helper()
	rotations := cmp.Or(killing.rotations, 1)
	if killing.verify {
		rotations = 0
	}
	var receipts, others int
	for _, turn := range b.turns() {
		switch {
		case turn.Finished == nil:
			t.Errorf("%s: a rotation is still open: %s", b.username, turn.State)
		case turn.Reason == "verify":
		case turn.Receipt == nil || turn.Receipt.OldRefused.Before(turn.Receipt.NewAccepted) || turn.Receipt.Agent == "":
			others++
		default:
			receipts++
		}
	}
	if receipts != rotations || others != 0 {
		t.Errorf("%s: %d rotations have a receipt and %d have none, want %d", b.username, receipts, others, rotations)
	}
	told := map[core.EventType]int{}
	for _, one := range events(t, k.API, map[string][]string{"target": {b.account.String()}}) {
		if one.Event.Data["reason"] != "verify" && one.Event.Data["joined"] == "" {
			told[one.Event.Type]++
		}
	}
	for _, kind := range []core.EventType{core.RotationPlanned, core.RotationStarted, core.AccountPasswordRotated} {
		if told[kind] != rotations {
			t.Errorf("%s: %s is told %d times, want %d", b.username, kind, told[kind], rotations)
		}
	}
}
