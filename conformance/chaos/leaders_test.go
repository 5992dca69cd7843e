package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
)

// kcat reads the whole topic with a client that nobody here wrote.
func (w *world) kcat() []came {
	w.t.Helper()
	command := exec.Command("kcat", "-C", "-J", "-e", "-q", "-b", w.addresses(), "-t", "postern.audit", "-o", "beginning")
	var said bytes.Buffer
	command.Stderr = &said
	text, err := command.Output()
	if err != nil {
		w.t.Fatalf("kcat: %v\n%s", err, said.String())
	}
	var all []came
	partitions := map[core.ID]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var message struct {
			Partition int      `json:"partition"`
			Key       string   `json:"key"`
			Headers   []string `json:"headers"`
			Payload   string   `json:"payload"`
		}
		check(w.t, json.Unmarshal(lines.Bytes(), &message))
		headers := map[string]string{}
		for pair := range slices.Chunk(message.Headers, 2) {
			headers[pair[0]] = pair[1]
		}
		var document struct {
			Time     int64  `json:"time"`
			Class    int    `json:"class_uid"`
			Message  string `json:"message"`
			Metadata struct {
				UID         string `json:"uid"`
				Sequence    int64  `json:"sequence"`
				EventCode   string `json:"event_code"`
				Correlation string `json:"correlation_uid"`
				Tenant      string `json:"tenant_uid"`
			} `json:"metadata"`
		}
		check(w.t, json.Unmarshal([]byte(message.Payload), &document))
		one := came{}
		one.id, err = core.ParseID(document.Metadata.UID)
		check(w.t, err)
		one.workspace, err = core.ParseID(message.Key)
		check(w.t, err)
		one.sequence = document.Metadata.Sequence
		position, err := strconv.ParseInt(headers["ce_position"], 10, 64)
		for name, want := range map[string]string{
			"ce_specversion": "1.0", "content-type": "application/json", "ce_id": document.Metadata.UID, "ce_source": "/workspaces/" + message.Key,
			"ce_type": document.Metadata.EventCode, "ce_partitionkey": message.Key, "ce_workspace": message.Key,
			"ce_sequence": strconv.FormatInt(one.sequence, 10), "ce_correlation": document.Metadata.Correlation,
		} {
			if headers[name] != want || want == "" {
				w.t.Fatalf("the header %s is %q, want %q in %s", name, headers[name], want, lines.Text())
			}
		}
		occurred, fault := time.Parse(time.RFC3339Nano, headers["ce_time"])
		if err != nil || position < 1 || fault != nil || occurred.UnixMilli() != document.Time || document.Class == 0 || document.Message == "" {
			w.t.Fatalf("the headers %v do not fit %s", headers, message.Payload)
		}
		if before, known := partitions[one.workspace]; known && before != message.Partition {
			w.t.Fatalf("the workspace %s is on the partitions %d and %d", one.workspace, before, message.Partition)
		}
		partitions[one.workspace] = message.Partition
		all = append(all, one)
	}
	check(w.t, lines.Err())
	return all
}

// TestTheStreamOutlivesItsLeaders kills the process that leads, by SIGKILL, and then one of three brokers, while events
// flow; at last it hands the lead over as an operator would. The stream is read back with kcat.
func TestTheStreamOutlivesItsLeaders(t *testing.T) {
	_, err := exec.LookPath("kcat")
	if err != nil {
		err = core.NotFound("kcat on this machine")
	}
	partstest.Need(t, "kcat", err)
	w := newWorld(t, 3)
	first := w.serve("relay")
	events := w.flow()
	events.write(40, "before")
	events.settled() // so it leads
	second := w.serve("relay")

	// published is how far the stream has come.
	published := func() (position int64) {
		check(t, w.DB.QueryRow(t.Context(), `select coalesce((select position from cursors where name = 'relay'), 0)`).Scan(&position))
		return position
	}
	// during does something in the middle of events, and returns how long the stream stood still after it.
	during := func(what func()) time.Duration {
		before, done, written := published(), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(written)
			events.while(4000, done)
		}()
		w.eventually("a part is published", func() bool { return published() > before })
		what()
		began, at := time.Now(), published()
		w.eventually("the stream goes on", func() bool { return published() > at })
		took := time.Since(began)
		close(done)
		<-written
		events.settled()
		return took
	}

	took := during(first.kill)
	all, killed := events.judged(w.kcat, nil)
	t.Logf("the leader was killed: the other went on after %s; %d events, none lost, in order, %d came again", took.Round(time.Millisecond), len(all), len(killed))

	took = during(func() {
		for _, one := range w.Brokers {
			if leads(t, w, one.Address) {
				check(t, one.Kill())
				return
			}
		}
		t.Fatal("no broker leads")
	})
	all, lost := events.judged(w.kcat, nil)
	t.Logf("a broker of three was killed: publishing went on after %s; %d events, none lost, in order, %d more came again", took.Round(time.Millisecond), len(all), len(lost)-len(killed))
	text, _ := w.run("doctor", "audit", "--kafka", w.addresses())
	if !strings.Contains(text, "WARNING  Kafka: some partition is on 3 brokers and in sync on 2 of them") {
		t.Errorf("the doctor says\n%s", text)
	}
	first.start()
	took = during(second.stop)
	all, repeated := events.judged(w.kcat, nil)
	t.Logf("the lead was handed over by SIGTERM: the other went on after %s; %d events, none lost, in order, %d more came again", took.Round(time.Millisecond), len(all), len(repeated)-len(lost))
	if len(repeated) != len(lost) {
		t.Errorf("a planned restart repeated %d events", len(repeated)-len(lost))
	}
	w.forgotten(first, events)
	first.stop()
}

// forgotten prepares a transaction that nobody ends: later events wait for it, and the metrics and the doctor say so.
func (w *world) forgotten(relay *server, events *flow) {
	w.t.Helper()
	connection, err := w.DB.Acquire(w.t.Context())
	check(w.t, err)
	defer connection.Release()
	for _, sql := range []string{`begin`, `select pg_current_xact_id()`, `prepare transaction 'forgotten'`} {
		_, err := connection.Exec(w.t.Context(), sql)
		check(w.t, err)
	}
	events.write(40, "after")
	w.eventually("the metrics tell of 40 events that are held", func() bool {
		answer, err := http.Get(relay.address + "/metrics")
		check(w.t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		check(w.t, err)
		return strings.Contains(string(text), "\npostern_events_held 40\n") && !strings.Contains(string(text), "\npostern_events_held_seconds 0\n")
	})
	w.eventually("the doctor names the transaction", func() bool {
		text, _ := w.run("doctor", "audit")
		return strings.Contains(text, `as the prepared transaction "forgotten" of postern, with nobody connected holds the stream back: 40 events wait`) &&
			strings.Contains(text, "ROLLBACK PREPARED 'forgotten'")
	})
	_, err = connection.Exec(w.t.Context(), `rollback prepared 'forgotten'`)
	check(w.t, err)
	events.settled()
}

// leads says whether a broker leads a partition, asked by kcat.
func leads(t *testing.T, w *world, address string) bool {
	t.Helper()
	text, err := exec.Command("kcat", "-L", "-J", "-b", w.addresses(), "-t", "postern.audit").Output()
	check(t, err)
	var found struct {
		Brokers []struct {
			ID   int    `json:"id"`
			Name string `json:"name"`
		} `json:"brokers"`
		Topics []struct {
			Partitions []struct {
				Leader int `json:"leader"`
			} `json:"partitions"`
		} `json:"topics"`
	}
	check(t, json.Unmarshal(text, &found))
	for _, broker := range found.Brokers {
		for _, topic := range found.Topics {
			for _, partition := range topic.Partitions {
				if broker.Name == address && partition.Leader == broker.ID {
					return true
				}
			}
		}
	}
	return false
}
