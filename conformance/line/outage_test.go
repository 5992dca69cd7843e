package line

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/deploy/local"
	"postern/deploy/local/receiver"
	"postern/deploy/local/sampleapp"
)

const outage = time.Minute

// rotated waits for the rotation that a leaver set off, and looks at it from outside.
func (b *berth) rotated(owner *guest) turn {
	b.t.Helper()
	newest := b.rests(settling)
	if newest.State != "done" || newest.Reason != "deprovision" || newest.Receipt == nil {
		b.t.Fatalf("%s: the rotation is %s: %s", b.username, newest.State, newest.Detail)
	}
	b.isLockedOut(owner)
	return newest
}

// sinkState is how the API says that deliveries go.
func (s *stage) sinkState(t *testing.T) (state, reason string) {
	t.Helper()
	for _, one := range ask[listed[struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Reason string `json:"reason"`
	}]](t, s.API, "/sinks").Items {
		if one.Name == "splunk" {
			return one.State, one.Reason
		}
	}
	return "", ""
}

// sinkReason is why, as the operator is told: it may name what workspaces need not know.
func (s *stage) sinkReason(t *testing.T) (reason string) {
	t.Helper()
	if err := s.DB.QueryRow(t.Context(), `select reason from sinks where name = 'splunk'`).Scan(&reason); err != nil {
		t.Fatal(err)
	}
	return reason
}

// positions are how far the log goes and how far Kafka has it.
func (s *stage) positions(t *testing.T) (logged, published int64) {
	t.Helper()
	err := s.DB.QueryRow(t.Context(), `
select (select coalesce(max(position), 0) from audit_log), coalesce((select position from cursors where name = 'relay'), 0)`).Scan(&logged, &published)
	if err != nil {
		t.Fatal(err)
	}
	return logged, published
}

// TestKafkaAndTheReceiverAwayForAMinute takes the receiver away, then Kafka too, then gives back the
// receiver and at last Kafka. Each is away for a minute. Who leaves meanwhile is out at once.
func TestKafkaAndTheReceiverAwayForAMinute(t *testing.T) {
	t.Parallel()
	s := open(t, worldOptions{RealKafka: true})
	owner := s.inside(t, "okta", local.OwnerName)
	berths := s.berths(t, "receiver-away", "both-away", "kafka-away", "all-back")
	flow := s.traffic(t, 1)
	leave := func(b *berth) {
		t.Helper()
		answered := b.leaves()
		found := b.rotated(owner)
		t.Logf("%s: the IdP was answered after %s, the old password dead after %.1fs", b.username, answered.Round(time.Millisecond), found.Receipt.TimeToLockout)
	}

	s.Receiver.Behave(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})
	receiverBack := time.Now().Add(outage)
	s.eventually(time.Minute, "the sink says that it waits for its receiver", func() bool { state, _ := s.sinkState(t); return state == "retrying" })
	_, told := s.sinkState(t)
	if reason := s.sinkReason(t); !strings.Contains(reason, "Server is busy") || told == "" || strings.Contains(told, "Server is busy") {
		t.Errorf("the sink waits because %q, and workspaces are told %q", reason, told)
	}
	arrived := len(s.Receiver.Events())
	leave(berths[0])
	logged, _ := s.positions(t)
	s.eventually(time.Minute, "Kafka takes what the receiver does not", func() bool { _, published := s.positions(t); return published >= logged })

	if err := s.Broker.Stop(); err != nil {
		t.Fatal(err)
	}
	kafkaBack := time.Now().Add(outage)
	leave(berths[1])
	time.Sleep(time.Until(receiverBack))
	if now := len(s.Receiver.Events()); now != arrived {
		t.Errorf("the receiver refused everything, and took %d events", now-arrived)
	}
	s.Receiver.Behave(receiver.Behaviour{})
	leave(berths[2])
	time.Sleep(time.Until(kafkaBack))
	if logged, now := s.positions(t); now >= logged {
		t.Errorf("Kafka was away, and is said to have everything: %d of %d", now, logged)
	}
	waiting := len(events(t, s.API, nil)) - len(s.told(t)[s.workspace(t)])
	if waiting < 10 {
		t.Errorf("after the outage only %d events wait to be told", waiting)
	}
	if err := s.Broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	leave(berths[3])
	flow.stop(t)
	s.delivered(t)
	t.Logf("%d events had waited; all were there %.0fs after Kafka came back", waiting, time.Since(back).Seconds())
	flow.kept(t, s)
	if state, reason := s.sinkState(t); state != "running" {
		t.Errorf("the sink is %s: %s", state, reason)
	}
	s.stop()
}

// deactivation is what Okta sends.
const deactivation = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`

// TestPostgreSQLRestarts takes the database away in the middle of a rotation: once by a clean restart
// while the browser is on its way to the app, and once by a crash when the app has changed the
// password and nobody can write that down. The IdP is told to come back, and does.
func TestPostgreSQLRestarts(t *testing.T) {
	t.Parallel()
	s := open(t, worldOptions{})
	owner := s.inside(t, "okta", local.OwnerName)
	berths := s.berths(t, "restart-before", "restart-during", "crash-before", "crash-during")
	flow := s.traffic(t, 1)
	for i, end := range []func() error{s.Server.Stop, s.Server.Kill} {
		before, during := berths[2*i], berths[2*i+1]
		crash := i == 1
		s.Harbour.Behave(sampleapp.Behaviour{HangAfterChange: crash})
		before.leaves()
		s.eventually(time.Minute, before.username+" is being rotated", func() bool {
			if crash {
				return !s.Harbour.Works(before.username, before.password)
			}
			return before.taken() && len(before.walked()) >= 3
		})
		refused := flow.count("503")
		if err := end(); err != nil {
			t.Fatal(err)
		}
		deactivate := sent{Method: http.MethodPatch, Path: "/scim/v2/Users/" + during.id, Token: s.Stack.SCIM["okta"].Token, Type: "application/scim+json", Body: deactivation}
		s.unavailable(t, s.send(t, deactivate))
		if got := s.send(t, sent{Method: http.MethodGet, Path: "/api/v1/apps", Token: s.Stack.APIToken}); got.status != 503 || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("the API answers %d %s", got.status, got.text)
		}
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 503} {
			if got := s.send(t, sent{Method: http.MethodGet, Path: path}); got.status != want {
				t.Errorf("%s answers %d, want %d", path, got.status, want)
			}
		}
		s.eventually(time.Minute, "the traffic is refused for a while", func() bool { return flow.count("503") >= refused+8 })
		s.unavailable(t, s.send(t, deactivate))
		if err := s.Server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Harbour.Behave(sampleapp.Behaviour{})
		back := time.Now()
		s.eventually(time.Minute, "the IdP's retry is accepted", func() bool { return s.send(t, deactivate).status/100 == 2 })
		accepted := time.Since(back)
		first, second := before.rotated(owner), during.rotated(owner)
		t.Logf("%s: done after %.1fs, walked %v", before.username, first.Receipt.TimeToLockout, before.walked())
		t.Logf("%s: accepted %s after the database came back, done after %.1fs", during.username, accepted.Round(time.Millisecond), second.Receipt.TimeToLockout)
	}
	flow.stop(t, "503")
	s.delivered(t)
	flow.kept(t, s)
	s.stop()
}

// unavailable checks that an IdP is told, in its own language, when to come back.
func (s *stage) unavailable(t *testing.T, got answer) {
	t.Helper()
	var body struct {
		Schemas []string `json:"schemas"`
		Status  string   `json:"status"`
		Detail  string   `json:"detail"`
	}
	err := json.Unmarshal([]byte(got.text), &body)
	if err != nil || got.status != http.StatusServiceUnavailable || body.Status != "503" || body.Detail == "" ||
		len(body.Schemas) != 1 || body.Schemas[0] != "urn:ietf:params:scim:api:messages:2.0:Error" ||
		!strings.HasPrefix(got.header.Get("Content-Type"), "application/scim+json") {
		t.Errorf("the IdP is answered %d %s %s", got.status, got.header.Get("Content-Type"), got.text)
	}
	if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}
}

// TestStoppedInTheMiddleOfTraffic stops postern with SIGTERM while requests arrive and a browser is
// at work: twice with time to finish, and once at an app that never answers. What is under way is
// finished if it can be; what is not goes on afterwards, and nothing is told twice.
func TestStoppedInTheMiddleOfTraffic(t *testing.T) {
	t.Parallel()
	s := open(t, worldOptions{Arguments: []string{"--grace", "10s"}})
	owner := s.inside(t, "okta", local.OwnerName)
	berths := s.berths(t, "first-stop", "second-stop", "no-answer")
	flow := s.traffic(t, 4)
	for i, b := range berths {
		hangs := i == 2
		s.Harbour.Behave(sampleapp.Behaviour{HangAfterChange: hangs})
		accepted := flow.count("200")
		b.leaves()
		s.eventually(time.Minute, b.username+" is being rotated", func() bool {
			if hangs {
				return !s.Harbour.Works(b.username, b.password)
			}
			return b.taken() && len(b.walked()) >= 3 && flow.count("200") >= accepted+20
		})
		pid, process, began := s.process.Process.Pid, s.process, time.Now()
		s.stop()
		took := time.Since(began)
		if code := process.ProcessState.ExitCode(); code != 0 {
			t.Errorf("postern ended with %d", code)
		}
		if left := append(profiles(pid), survivors(pid, nil)...); len(left) > 0 {
			t.Errorf("postern left behind: %v", left)
		}
		walked := b.walked()
		if working := b.working(); len(working) != 1 {
			t.Errorf("%s: postern stopped, and the app takes versions %v", b.username, working)
		}
		s.Harbour.Behave(sampleapp.Behaviour{})
		s.serve()
		b.rotated(owner)
		t.Logf("%s: stopped after %s; walked %v, and went on to %v", b.username, took.Round(time.Millisecond), walked, b.walked()[len(walked):])
	}
	flow.stop(t, "503", nobodyListens)
	if _, twice := s.delivered(t); twice != 0 {
		t.Errorf("%d deliveries are repetitions, though every stop was clean", twice)
	}
	flow.kept(t, s)
	// A migration beside a running postern, as a deployment does it.
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), built, "migrate", "--database", "file:"+s.Folder.In("secrets", "database")).CombinedOutput(); err != nil {
		t.Errorf("migrate: %v %s", err, text)
	}
	s.stop()
}

// TestTheReceiverRefusesTheToken replaces the token's file by a wrong one, as a mistake in a secret
// store would, and puts the right one back.
func TestTheReceiverRefusesTheToken(t *testing.T) {
	t.Parallel()
	s := open(t, worldOptions{})
	flow := s.traffic(t, 1)
	s.secret("hec", "pst_hec_of-somebody-else")
	s.eventually(time.Minute, "the sink is paused", func() bool { state, _ := s.sinkState(t); return state == "paused" })
	reason := s.sinkReason(t)
	if !strings.Contains(reason, "token") || strings.Contains(reason, "somebody-else") {
		t.Errorf("the sink is paused because %q", reason)
	}
	arrived := len(s.Receiver.Events())
	s.eventually(time.Minute, "the log tells of the pause", func() bool { return s.tells(t, core.SinkPaused) == 1 })
	logged := len(events(t, s.API, nil))
	s.eventually(time.Minute, "the log goes on growing", func() bool { return len(events(t, s.API, nil)) >= logged+20 })
	if now := len(s.Receiver.Events()); now != arrived {
		t.Errorf("the receiver knows no such token, and took %d events", now-arrived)
	}
	s.secret("hec", s.hecToken.Reveal())
	s.eventually(2*time.Minute, "the sink runs again by itself", func() bool { state, _ := s.sinkState(t); return state == "running" })
	flow.stop(t)
	_, twice := s.delivered(t)
	if twice != 0 {
		t.Errorf("%d deliveries are repetitions, though the refused ones were not kept", twice)
	}
	flow.kept(t, s)
	if paused, resumed := s.tells(t, core.SinkPaused), s.tells(t, core.SinkResumed); paused != 1 || resumed != 1 {
		t.Errorf("the log tells %d times of a pause and %d times of its end", paused, resumed)
	}
	t.Logf("paused because: %s", reason)
	s.stop()
}

// tells counts the events of a type in the log.
func (s *stage) tells(t *testing.T, kind core.EventType) int {
	t.Helper()
	return len(events(t, s.API, map[string][]string{"type": {string(kind)}}))
}
