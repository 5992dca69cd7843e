package sinks_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/vault"
	"postern/deploy/local/receiver"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/stream"
)

// asChild has the test's program deliver until it is killed, instead of testing.
const asChild = "POSTERN_SINKS_CHILD"

func TestMain(m *testing.M) {
	if told := os.Getenv(asChild); told != "" {
		deliverUntilKilled(told)
		return
	}
	os.Exit(m.Run())
}

// child is what the process that delivers is told.
type child struct {
	Database string
	Key      string
	Brokers  []string
}

func deliverUntilKilled(told string) {
	var given child
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	fatal := func(err error) {
		if err != nil {
			log.Error("the child fails", "error", err)
			os.Exit(1)
		}
	}
	fatal(json.Unmarshal([]byte(told), &given))
	db, err := postgres.Open(context.Background(), given.Database, postgres.Options{})
	fatal(err)
	keys, err := seal.NewLocalKey([]byte(given.Key))
	fatal(err)
	runner := &sinks.Runner{
		Service: &sinks.Service{DB: db, Vault: &vault.Vault{DB: db, Keys: keys}, Kinds: kinds(), Log: log},
		Cluster: stream.Cluster{Brokers: given.Brokers, Partitions: 2}, Look: 50 * time.Millisecond,
	}
	fatal(runner.Run(context.Background()))
}

// TestKilledInTheMiddleOfAReplay kills a process that replays and delivers, by SIGKILL. The next one goes on where
// the first one was, and what comes twice is known by its id.
func TestKilledInTheMiddleOfAReplay(t *testing.T) {
	w := newWorld(t)
	to, url := collector(t)
	key := seal.GenerateLocalKey()
	keys, err := seal.NewLocalKey([]byte(key.Reveal()))
	must(t, err)
	w.service.Vault = &vault.Vault{DB: w.db, Keys: keys}
	one := w.splunk(t, w.acme, "SIEM", url, nil)
	stop := w.run(t, w.runner().Run)
	w.happens(t, w.acme, 4000)
	first := w.caught(t, one)
	stop()
	came := len(to.Events())
	if _, err := w.service.Replay(t.Context(), w.cause, w.acme, one.ID, []sink.Range{{From: 1, To: first.Delivered}}); err != nil {
		t.Fatal(err)
	}

	to.Behave(receiver.Behaviour{Delay: 30 * time.Millisecond})
	program, err := os.Executable()
	must(t, err)
	told, err := json.Marshal(child{Database: w.db.Config().ConnString(), Key: key.Reveal(), Brokers: w.cluster.Brokers})
	must(t, err)
	command := exec.Command(program, "-test.run=^$")
	command.Env = append(os.Environ(), asChild+"="+string(told))
	var said strings.Builder
	command.Stderr = &said
	must(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill() })
	eventually(t, "a part was replayed: "+said.String(), func() bool {
		all, err := w.service.Replays(t.Context(), w.db, w.acme, one.ID, 1)
		must(t, err)
		return all[0].Next > all[0].From && len(to.Events()) > came
	})
	must(t, command.Process.Kill())
	_ = command.Wait()
	if strings.Contains(said.String(), canary) {
		t.Error("the log tells the token")
	}
	all, err := w.service.Replays(t.Context(), w.db, w.acme, one.ID, 1)
	must(t, err)
	if all[0].State != "running" {
		t.Fatalf("it was killed too late to see anything: %+v", all[0])
	}

	to.Behave(receiver.Behaviour{})
	w.happens(t, w.acme, 50)
	w.run(t, w.runner().Run)
	last := w.caught(t, one)
	eventually(t, "the replay is done", func() bool {
		all, err = w.service.Replays(t.Context(), w.db, w.acme, one.ID, 1)
		must(t, err)
		return all[0].State == "done"
	})
	got := sequences(t, to, w.acme)
	times := map[int64]int{}
	for _, sequence := range got {
		times[sequence]++
	}
	crashed := 0
	for sequence := int64(1); sequence <= last.Delivered; sequence++ {
		least := 1
		if sequence <= first.Delivered {
			least = 2
		}
		if times[sequence] < least {
			t.Fatalf("event %d came %d times, want %d", sequence, times[sequence], least)
		}
		crashed += times[sequence] - least
	}
	t.Logf("%d events came, %d of them once more because of the kill", len(got), crashed)
	if crashed > 1000 {
		t.Errorf("the kill had %d events come once more", crashed)
	}
	if last.State != audit.SinkRunning {
		t.Errorf("%+v", last)
	}
}
