package sink_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/deploy/local/receiver"
	"postern/siem/ocsf"
	"postern/siem/sink"
)

func (l *line) cause() core.Cause { return core.NewCause(core.System, time.Now()) }

// shared is the sink as the operator sees it.
func (l *line) shared(t testing.TB, workspace core.ID) sink.Shared {
	t.Helper()
	all, err := sink.ReadShared(t.Context(), l.db, workspace, l.cluster.Partitions)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all[0]
}

func TestTheOperatorHoldsASinkThatWaits(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.run(t, l.splunk(t).Run)
	l.append(t, 20)
	l.all(t, "splunk")
	l.receiver.Behave(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})
	l.append(t, 30)
	eventually(t, "the sink waits", func() bool { return l.state(t).State == audit.SinkRetrying })
	if said := l.state(t); said.Told() == "" || strings.Contains(said.Told(), "busy\"") || said.Told() == said.Reason {
		t.Errorf("workspaces are told %q", said.Told())
	}
	if err := audit.HoldSink(t.Context(), l.db, l.cause(), "splunk", "an upgrade", time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process has heard it", func() bool { return strings.Contains(l.logs.String(), "held=true") })
	l.receiver.Behave(receiver.Behaviour{})
	before := l.arrived(t, "splunk")
	l.append(t, 20)
	held := l.shared(t, core.ID{})
	if !held.Held || held.State != audit.SinkPaused || !strings.Contains(held.Reason, "an upgrade") || held.Kind != "splunk" || held.Silent(time.Now()) || held.Told() != "paused by the operator" {
		t.Errorf("%+v", held)
	}
	for _, workspace := range l.workspaces {
		eventually(t, "it is known how much waits", func() bool { return l.shared(t, workspace).Lag >= 50 })
		if l.told(t, workspace, core.SinkPaused) == 0 {
			t.Error("a workspace was not told")
		}
	}
	if now := l.arrived(t, "splunk"); now != before {
		t.Errorf("%d events arrived while the sink was held", now-before)
	}
	if err := audit.ReleaseSink(t.Context(), l.db, l.cause(), "splunk", time.Now()); err != nil {
		t.Fatal(err)
	}
	l.all(t, "splunk")
	eventually(t, "nothing waits, and the sink runs", func() bool {
		now := l.shared(t, core.ID{})
		return now.Lag == 0 && now.State == audit.SinkRunning && !now.Held
	})
}

func TestASinkIsReplayed(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.run(t, l.splunk(t).Run)
	l.append(t, 40)
	l.all(t, "splunk")
	if again := l.duplicates("splunk"); again != 0 {
		t.Fatalf("%d came twice", again)
	}
	if _, err := audit.ReplaySink(t.Context(), l.db, l.cause(), "splunk", 0, l.cluster.Partitions, time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of it came once more", func() bool { return l.duplicates("splunk") >= len(l.appended) })
	l.append(t, 10)
	l.all(t, "splunk")
	eventually(t, "the replay is over", func() bool { return !l.shared(t, core.ID{}).Replaying })
}

func TestASinkIsForgottenOnceNobodyDelivers(t *testing.T) {
	l := start(t, nil, embedded(t))
	stop := l.run(t, l.splunk(t).Run)
	l.append(t, 10)
	l.all(t, "splunk")
	stop()
	if err := audit.ForgetSink(t.Context(), l.db, l.cause(), "splunk", time.Now()); core.KindOf(err) != core.KindConflict {
		t.Fatalf("a sink that is served: %v", err)
	}
	if err := audit.ForgetSink(t.Context(), l.db, l.cause(), "splunk", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	states, err := audit.SinkStates(t.Context(), l.db)
	cursors, failed := audit.SinkCursors(t.Context(), l.db, "splunk")
	if err != nil || failed != nil || len(states) != 0 || len(cursors) != 0 {
		t.Fatalf("%v %v %v %v", states, cursors, err, failed)
	}
	if err := audit.ForgetSink(t.Context(), l.db, l.cause(), "splunk", time.Now()); core.KindOf(err) != core.KindNotFound {
		t.Fatalf("once more: %v", err)
	}
}

func TestDeadLettersOfTheOperatorsSinks(t *testing.T) {
	l := start(t, nil, embedded(t))
	operators := l.splunk(t)
	l.run(t, operators.Run)
	refuse := func(event string) { l.receiver.Behave(receiver.Behaviour{Poison: isUser(event)}) }
	refuse("user 3")
	l.append(t, 5)
	letters := sink.Letters{DB: l.db, Mapper: ocsf.Mapper{}}
	count := func(name string) int64 {
		all, err := audit.CountSharedLetters(t.Context(), l.db, core.ID{})
		if err != nil {
			t.Fatal(err)
		}
		return all[name]
	}
	eventually(t, "two are refused", func() bool { return count("splunk") == 2 })
	done, err := letters.Retry(t.Context(), l.cause(), "splunk", core.ID{}, operators.Receiver)
	if err != nil || done.Refused != 2 || done.Delivered != 0 || count("splunk") != 2 {
		t.Fatalf("%+v %v", done, err)
	}
	l.receiver.Behave(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})
	if done, err = letters.Retry(t.Context(), l.cause(), "splunk", core.ID{}, operators.Receiver); err != nil || done.Left != 2 || done.Answer == "" {
		t.Fatalf("%+v %v", done, err)
	}
	l.receiver.Behave(receiver.Behaviour{})
	// The log does not have one of them any more: it is sent as it was.
	all, err := audit.SharedLetters(t.Context(), l.db, "splunk", core.ID{}, core.ID{}, 10)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	if _, err := l.db.Exec(t.Context(), `delete from audit_log where event_id = @event`, pgx.StrictNamedArgs{"event": all[0].Event}); err != nil {
		t.Fatal(err)
	}
	if done, err = letters.Retry(t.Context(), l.cause(), "splunk", core.ID{}, operators.Receiver); err != nil || done.Delivered != 2 || count("splunk") != 0 {
		t.Fatalf("%+v %v", done, err)
	}
	came := map[string]bool{}
	for _, event := range l.receiver.Events() {
		came[event.Fields["event_id"]] = true
	}
	for _, letter := range all {
		if !came[letter.Event.String()] {
			t.Errorf("%s never came", letter.Event)
		}
	}

	// What the relay could not read, and what is given up.
	workspace := l.workspaces[0]
	damaged := audit.DeadLetter{Sink: audit.Relayed, Workspace: workspace, Event: core.NewID(), Sequence: 1, Record: "{", Answer: "damaged", Created: time.Now()}
	if err := l.db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.AddDeadLetter(t.Context(), tx, damaged) }); err != nil {
		t.Fatal(err)
	}
	if done, err = letters.Retry(t.Context(), l.cause(), audit.Relayed, core.ID{}, operators.Receiver); err != nil || done.Refused != 1 || !strings.Contains(done.Answer, "damaged in the log") {
		t.Fatalf("%+v %v", done, err)
	}
	if _, err := letters.Discard(t.Context(), l.cause(), audit.Relayed, core.ID{}, ""); core.KindOf(err) != core.KindInvalid {
		t.Errorf("without a reason: %v", err)
	}
	if gone, err := letters.Discard(t.Context(), l.cause(), audit.Relayed, core.ID{}, "compared with the backup"); err != nil || gone != 1 || count(audit.Relayed) != 0 {
		t.Fatal(gone, err)
	}
	eventually(t, "the workspace is told", func() bool {
		return l.told(t, workspace, core.SinkDiscarded) == 1 && l.told(t, workspace, core.SinkReplayed) == 1
	})
}
