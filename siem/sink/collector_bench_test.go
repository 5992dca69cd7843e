package sink_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/postgres/postgrestest"
	"postern/siem/stream"
)

// BenchmarkCollector races from Kafka to an HTTP Event Collector that swallows all: our sink beside the OpenTelemetry
// Collector's kafkareceiver and splunkhecexporter. Each runs alone, as a process of its own, on the same topic of
// 1 KB events, in turns. Time runs from the first request that arrives to the last, so that no start counts; after a
// quarter of a minute the slower one is stopped, and what it did is taken. Memory is the most the process ever had.
//
//	synced-files   the collector with its queue in files, synced: what it took is not lost when the machine stops
//	files          the same, not synced: what it took is not lost when the collector is killed
//	no-queue       the collector without a queue: it marks a message in Kafka once the receiver has it
//	in-memory      the collector with its queue in memory, which is lost when it is killed
//
// Ours commits in Kafka what the receiver has said yes to, in all of them.
func BenchmarkCollector(b *testing.B) {
	partstest.Long(b, "the OpenTelemetry Collector")
	program := filepath.Join(partstest.Suites(b, "collector/collector"), "collector", "collector")
	address := embedded(b).Address
	count := races(b)
	publishEvents(b, address, count)
	for _, one := range []struct{ name, queue string }{
		{"synced-files", "{enabled: true, storage: file_storage, " + batched},
		{"files", "{enabled: true, storage: file_storage, " + batched},
		{"no-queue", "{enabled: false}"},
		{"in-memory", "{enabled: true, " + batched},
	} {
		b.Run(one.name, func(b *testing.B) {
			var ours, theirs []runner
			for b.Loop() {
				ours = append(ours, race(b, count, func(hole string) *exec.Cmd {
					return child{Broker: address, Collector: hole, Database: postgrestest.URL(b)}.command()
				}))
				theirs = append(theirs, race(b, count, func(hole string) *exec.Cmd {
					folder := b.TempDir()
					file := filepath.Join(folder, "settings.yaml")
					text := fmt.Sprintf(collectorSettings, address, core.NewID(), hole, one.queue, folder, one.name == "synced-files")
					if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
						b.Fatal(err)
					}
					return exec.Command(program, "--config", file)
				}))
			}
			b.ReportMetric(mean(ours, runner.rate), "events/s")
			b.ReportMetric(mean(theirs, runner.rate), "collector-events/s")
			b.ReportMetric(mean(ours, runner.rate)/mean(theirs, runner.rate), "of-collector")
			b.ReportMetric(mean(ours, runner.megabytes), "MB")
			b.ReportMetric(mean(theirs, runner.megabytes), "collector-MB")
		})
	}
}

const batched = "num_consumers: 6, queue_size: 100000, block_on_overflow: true, batch: {flush_timeout: 200ms, min_size: 1000, max_size: 1000}}"

const collectorSettings = `
receivers:
  kafka:
    brokers: [%s]
    group_id: collector-%s
    initial_offset: earliest
    max_fetch_size: 10485760
    message_marking: {after: true, on_error: false}
    logs: {topics: [postern.audit], encoding: json}
exporters:
  splunk_hec:
    endpoint: %s/services/collector
    token: ` + token + `
    max_content_length_logs: 1000000
    sending_queue: %s
extensions:
  file_storage: {directory: %s, fsync: %t}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [kafka], exporters: [splunk_hec]}
`

// races is how many events are raced for: $POSTERN_RACE, or 200,000.
func races(b *testing.B) int {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("POSTERN_RACE"), "200000"))
	if err != nil {
		b.Fatal(err)
	}
	return count
}

// publishEvents puts events of 1 KB into the topic, of 24 workspaces.
func publishEvents(b *testing.B, address string, count int) {
	b.Helper()
	producer, err := stream.NewProducer(stream.Cluster{Brokers: []string{address}})
	if err != nil {
		b.Fatal(err)
	}
	defer producer.Close()
	var workspaces [24]core.ID
	for i := range workspaces {
		workspaces[i] = core.NewID()
	}
	for done := 0; done < count; {
		events := make([]stream.Event, min(5000, count-done))
		for i := range events {
			done++
			event := stream.Event{
				ID: core.NewID(), Workspace: workspaces[done%len(workspaces)], Correlation: core.NewID(), Type: core.AccountPasswordFilled,
				Occurred: time.Now().UTC(), Sequence: int64(done/len(workspaces) + 1), Position: int64(done),
			}
			event.Value = fmt.Appendf(nil, `{"counted":%d,"metadata":{"uid":%q,"tenant_uid":%q,"event_code":%q},"message":"`, done, event.ID, event.Workspace, event.Type)
			for i := 0; len(event.Value) < 1022; i++ {
				event.Value = append(event.Value, "what else there is to know about it "[i%36])
			}
			event.Value = append(event.Value, `"}`...)
			events[i] = event
		}
		if err := producer.Publish(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
}

// runner is what came of one of the two.
type runner struct {
	events int
	took   time.Duration
	memory int // kilobytes
}

func (r runner) rate() float64      { return float64(r.events) / r.took.Seconds() }
func (r runner) megabytes() float64 { return float64(r.memory) / 1024 }

func mean(runners []runner, of func(runner) float64) float64 {
	sum := 0.0
	for _, one := range runners {
		sum += of(one)
	}
	return sum / float64(len(runners))
}

// race runs a program until all events arrived, or for a while.
func race(b *testing.B, count int, program func(hole string) *exec.Cmd) runner {
	b.Helper()
	swallowed := &hole{}
	server := httptest.NewServer(swallowed)
	defer server.Close()
	command := program(server.URL)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	var result runner
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		result.events, result.took = swallowed.so()
		if memory := peak(command.Process.Pid); memory > 0 {
			result.memory = memory
		}
		if result.events >= count || result.took > 15*time.Second || time.Since(start) > time.Minute {
			break
		}
	}
	_ = command.Process.Signal(syscall.SIGTERM)
	stop := time.AfterFunc(10*time.Second, func() { _ = command.Process.Kill() })
	_ = command.Wait()
	stop.Stop()
	if result.events == 0 {
		b.Fatalf("nothing arrived: %s", said.String())
	}
	return result
}
