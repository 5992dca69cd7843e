package sink_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/audit"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/deploy/local/broker"
	"postern/deploy/local/receiver"
	"postern/siem/sumologic"
)

func TestEverythingArrivesAndVerifies(t *testing.T) {
	partstest.Long(t, "a relay, a broker and their restarts")
	onBrokers(t, func(t *testing.T, running *broker.Broker) {
		l := start(t, nil, running)
		sumo := l.splunk(t)
		sumo.Name = "sumo"
		source, err := sumologic.New(sumologic.Settings{}, sumologic.Secrets{URL: func() (seal.Secret, error) {
			return seal.NewSecret(l.url + "/receiver/v1/http/canarysumocode"), nil
		}}, new(net.Dialer).DialContext)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = source.Close() })
		sumo.Receiver = source
		l.run(t, l.splunk(t).Run)
		l.run(t, sumo.Run)
		for range 10 {
			l.append(t, 60)
		}
		l.all(t, "splunk")
		l.all(t, "sumologic")
		if again := l.duplicates("splunk"); again > 0 {
			t.Errorf("%d events came twice though nothing failed", again)
		}
		for _, event := range l.receiver.Events() {
			if event.Door == "splunk" && (event.Fields["event_id"] == "" || event.Fields["workspace"] == "" || event.Fields["sequence"] == "" || event.Time == "") {
				t.Fatalf("not searchable: %+v", event)
			}
		}
		eventually(t, "the sink is running", func() bool { return l.state(t).State == audit.SinkRunning })
		noSecret(t, l.logs.String())
	})
}

func TestKafkaAwayAndBack(t *testing.T) {
	partstest.Long(t, "a relay, a broker and their restarts")
	onBrokers(t, func(t *testing.T, running *broker.Broker) {
		l := start(t, nil, running)
		l.run(t, l.splunk(t).Run)
		l.append(t, 20)
		l.all(t, "splunk")
		if err := running.Stop(); err != nil {
			t.Fatal(err)
		}
		l.append(t, 20) // commands go on
		time.Sleep(2 * time.Second)
		l.append(t, 20)
		if err := running.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.append(t, 20)
		l.all(t, "splunk")
		t.Logf("%d came twice", l.duplicates("splunk"))
	})
}

// A broker that is restarted while a batch is on its way hears too late that it was delivered. The sink knows it.
func TestABrokerRestartedDuringADelivery(t *testing.T) {
	running := embedded(t)
	l := start(t, nil, running)
	l.run(t, l.splunk(t).Run)
	l.append(t, 20)
	l.all(t, "splunk")
	eventually(t, "the relay rests", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), l.db, time.Now())
		return err == nil && backlog.Unsequenced == 0 && backlog.Unpublished == 0
	})
	l.receiver.Behave(receiver.Behaviour{Delay: 2 * time.Second})
	before := l.receiver.Posts()
	l.append(t, 20)
	eventually(t, "a batch is on its way, and all is published", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), l.db, time.Now())
		return err == nil && backlog.Unsequenced == 0 && backlog.Unpublished == 0 && l.receiver.Posts() > before
	})
	if err := running.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the commit has failed", func() bool { return strings.Contains(l.logs.String(), "could not be committed") })
	l.receiver.Behave(receiver.Behaviour{})
	if err := running.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.append(t, 20)
	l.all(t, "splunk")
	if again := l.duplicates("splunk"); again > 0 {
		t.Errorf("%d events came twice over an orderly restart", again)
	}
}

func TestReceiverBusyForAWhile(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.run(t, l.splunk(t).Run)
	l.receiver.Behave(receiver.Behaviour{Status: http.StatusServiceUnavailable, Code: 9})
	l.append(t, 100)
	eventually(t, "the sink says it is retrying", func() bool {
		state := l.state(t)
		return state.State == audit.SinkRetrying && strings.Contains(state.Reason, "Server is busy")
	})
	l.receiver.Behave(receiver.Behaviour{Status: http.StatusTooManyRequests, Code: 26, RetryAfter: 1})
	l.append(t, 10)
	time.Sleep(300 * time.Millisecond)
	l.receiver.Behave(receiver.Behaviour{})
	l.all(t, "splunk")
	eventually(t, "the sink is running", func() bool { return l.state(t).State == audit.SinkRunning })
	if count := l.told(t, l.workspaces[0], core.SinkPaused); count > 0 {
		t.Fatal("a busy receiver paused the sink")
	}
}

func TestAWrongTokenPausesAndARightOneResumes(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.workspaces = l.workspaces[:1] // only one of the two has events waiting
	quiet := core.NewID()
	l.setToken("not-the-" + token)
	delivering := l.splunk(t)
	delivering.ProbeEvery = time.Hour // only Retry asks again
	l.run(t, delivering.Run)
	l.append(t, 30)
	eventually(t, "the sink is paused", func() bool { return l.state(t).State == audit.SinkPaused })
	if state := l.state(t); !strings.Contains(state.Reason, "does not know the token") {
		t.Fatalf("the reason does not help: %s", state.Reason)
	}
	eventually(t, "the pause is told", func() bool { return l.told(t, l.workspaces[0], core.SinkPaused) == 1 })
	if len(l.receiver.Events()) > 0 {
		t.Fatal("something was delivered")
	}
	l.append(t, 30)
	l.setToken(token)
	delivering.Retry()
	l.all(t, "splunk")
	eventually(t, "the end of the pause is told", func() bool { return l.told(t, l.workspaces[0], core.SinkResumed) == 1 })
	if l.told(t, quiet, core.SinkPaused) > 0 {
		t.Fatal("it was told to whom it does not concern")
	}
	noSecret(t, l.logs.String())
}

func TestPauseEndsByItself(t *testing.T) {
	partstest.Long(t, "a relay, a broker and their restarts")
	for name, behaviour := range map[string]receiver.Behaviour{
		"disabled token": {Status: http.StatusForbidden, Code: 1},
		"no token":       {Status: http.StatusUnauthorized, Code: 2},
		"index":          {Status: http.StatusBadRequest, Code: 7},
		"not a receiver": {Status: http.StatusNotFound, Code: 404},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, nil, embedded(t))
			l.receiver.Behave(behaviour)
			l.run(t, l.splunk(t).Run)
			l.append(t, 10)
			eventually(t, "the sink is paused", func() bool { return l.state(t).State == audit.SinkPaused })
			l.receiver.Behave(receiver.Behaviour{})
			l.all(t, "splunk")
			eventually(t, "the sink is running", func() bool { return l.state(t).State == audit.SinkRunning })
		})
	}
}

func TestAPoisonEventGoesAloneToTheDeadLetters(t *testing.T) {
	for name, behaviour := range map[string]receiver.Behaviour{
		"named":            {},
		"named and partly": {Partly: true},
		"nameless":         {Nameless: true, Partly: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, nil, embedded(t))
			behaviour.Poison = isUser("user 7")
			l.receiver.Behave(behaviour)
			l.run(t, l.splunk(t).Run)
			l.append(t, 40)
			eventually(t, "one event of each workspace is dead", func() bool {
				letters := 0
				for _, workspace := range l.workspaces {
					found, err := audit.DeadLetters(t.Context(), l.db, workspace, 10)
					if err != nil {
						t.Fatal(err)
					}
					for _, letter := range found {
						if !strings.Contains(letter.Record, "user 7") || !strings.Contains(letter.Answer, "code 6") || letter.Sink != "splunk" {
							t.Fatalf("%+v", letter)
						}
					}
					letters += len(found)
				}
				return letters == 2
			})
			distinct := func() int {
				seen := map[string]bool{}
				for _, event := range l.receiver.Events() {
					seen[event.Fields["event_id"]] = true
				}
				arrived := 0
				for id := range l.appended {
					if seen[id.String()] {
						arrived++
					}
				}
				return arrived
			}
			eventually(t, "all others have arrived", func() bool { return distinct() == len(l.appended)-2 })
			eventually(t, "it is told", func() bool {
				return l.told(t, l.workspaces[0], core.SinkDeadLettered) == 1 && l.told(t, l.workspaces[1], core.SinkDeadLettered) == 1
			})
		})
	}
}

func TestAReceiverThatRefusesEverythingPauses(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.receiver.Behave(receiver.Behaviour{Status: http.StatusBadRequest, Code: 6})
	l.run(t, l.splunk(t).Run)
	l.append(t, 100)
	eventually(t, "the sink is paused", func() bool {
		state := l.state(t)
		return state.State == audit.SinkPaused && strings.Contains(state.Reason, "one event after the other")
	})
	time.Sleep(500 * time.Millisecond) // several probes, of every partition
	l.receiver.Behave(receiver.Behaviour{})
	eventually(t, "every event has arrived or is dead", func() bool {
		found := map[core.ID]bool{}
		for _, event := range l.receiver.Events() {
			id, err := core.ParseID(event.Fields["event_id"])
			if err != nil {
				t.Fatal(err)
			}
			found[id] = true
		}
		dead := 0
		for _, workspace := range l.workspaces {
			letters, err := audit.DeadLetters(t.Context(), l.db, workspace, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, letter := range letters {
				found[letter.Event] = true
			}
			dead += len(letters)
		}
		if dead > 3*20 {
			t.Fatalf("%d dead letters before anybody thought twice", dead)
		}
		for id := range l.appended {
			if !found[id] {
				return false
			}
		}
		return true
	})
}

func TestARecordThatPosternDidNotWrite(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.append(t, 5)
	l.run(t, l.splunk(t).Run)
	l.all(t, "splunk")
	client, err := kgo.NewClient(kgo.SeedBrokers(l.broker.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "postern.audit", Value: []byte("who \x00\xff knows")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	l.append(t, 5)
	l.all(t, "splunk")
	eventually(t, "it is among the dead letters", func() bool {
		letters, err := audit.DeadLetters(t.Context(), l.db, core.ID{}, 10)
		return err == nil && len(letters) == 1 && strings.HasPrefix(letters[0].Record, "who ")
	})
}

func TestPostgreSQLRestarts(t *testing.T) {
	partstest.Long(t, "a relay, a broker and their restarts")
	server := postgrestest.Server(t, nil)
	db := postgrestest.Database(t, server, "postern")
	l := start(t, db, embedded(t))
	l.run(t, l.splunk(t).Run)
	l.append(t, 50)
	l.all(t, "splunk")
	for _, end := range []func() error{server.Stop, server.Kill} {
		l.append(t, 50)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "commands work again", func() bool { return db.Ping(context.Background()) == nil })
		l.append(t, 50)
		l.all(t, "splunk")
	}
}

func TestStoppingLosesNothingAndRepeatsNothing(t *testing.T) {
	l := start(t, nil, embedded(t))
	l.receiver.Behave(receiver.Behaviour{Delay: 50 * time.Millisecond})
	for range 4 {
		l.append(t, 100)
		stop := l.run(t, l.splunk(t).Run)
		l.append(t, 100)
		eventually(t, "something has arrived", func() bool { return l.receiver.Posts() > 0 })
		stop()
	}
	l.run(t, l.splunk(t).Run)
	l.all(t, "splunk")
	if again := l.duplicates("splunk"); again > 0 {
		t.Errorf("%d events came twice over orderly stops", again)
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	value, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
