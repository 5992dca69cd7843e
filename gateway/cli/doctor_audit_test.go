package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"postern/deploy/local/broker"
)

// TestTheStreamIsMadeAndExamined makes the topic by migrate, and has the doctor tell of a transaction that stays open,
// of a topic that is wrong and of brokers that are away.
func TestTheStreamIsMadeAndExamined(t *testing.T) {
	d := newDesk(t)
	kafka, err := broker.Embedded(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Stop() })
	lacks := func(says string, out string) {
		t.Helper()
		if !strings.Contains(out, says) {
			t.Errorf("%q is not in\n%s", says, out)
		}
	}
	code, out, _ := run("doctor", "audit", "--database", d.database, "--kafka", kafka.Address)
	lacks("FAULT    topic: there is no topic postern.audit", out)
	if code != 1 {
		t.Errorf("a missing topic is a fault: %d", code)
	}
	for _, what := range []string{"was made", "is there"} {
		lacks("the topic postern.audit "+what+": 6 partitions on 1 of 1 brokers each", d.do("migrate", "--kafka", kafka.Address))
	}
	out = d.do("doctor", "audit", "--kafka", kafka.Address)
	lacks("ok       topic: postern.audit has 6 partitions on 1 brokers each, and is set as it should be", out)
	lacks("ok       sequencer: every event is in the log", out)

	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request, one, compact := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewCreateTopicsRequestTopic(), "compact"
	one.Topic, one.NumPartitions, one.ReplicationFactor = "wrong", 2, 1
	one.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "cleanup.policy", Value: &compact}}
	request.Topics = append(request.Topics, one)
	if _, err := request.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	code, out, told := run("migrate", "--database", d.database, "--kafka", kafka.Address, "--kafka-topic", "wrong")
	lacks("FAULT  the number of partitions is 2, should be 6: a workspace's events would be on another partition", out)
	lacks("FAULT  cleanup.policy is compact, should be delete", out)
	lacks("--add-config cleanup.policy=delete", out)
	if code != 5 || !strings.Contains(told, "cannot be used as it is") {
		t.Errorf("%d %s", code, told)
	}
	if code, _, told := run("migrate", "--database", d.database, "--kafka", "127.0.0.1:1"); code != 6 || !strings.HasPrefix(told, "postern: Kafka cannot be reached") {
		t.Errorf("%d %s", code, told)
	}
	d.refused(2, "--kafka-sasl: the password", "migrate", "--kafka", "kafka-1:9092", "--kafka-sasl", "plain", "--kafka-user", "postern", "--kafka-password", d.key)
	if code, out, _ := run("doctor", "audit", "--database", d.database, "--kafka", "127.0.0.1:1"); code != 1 || !strings.Contains(out, "FAULT    Kafka: Kafka cannot be reached") {
		t.Errorf("%d %s", code, out)
	}

	config := d.db.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "nightly-report"
	other, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	open, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Exec(t.Context(), `select pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	d.workspace("acme")
	var begun time.Time
	if err := open.QueryRow(t.Context(), `select now()`).Scan(&begun); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		_, out, _ = run("doctor", "audit", "--database", d.database)
		if strings.Contains(out, "holds the stream back") || time.Now().After(deadline) {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	lacks("sequencer: a transaction open since "+begun.UTC().Format("2006-01-02 15:04:05 MST"), out)
	lacks("by nightly-report (pid ", out)
	lacks("idle in transaction) holds the stream back: 1 event waits, the oldest for", out)
	lacks("select pg_terminate_backend(", out)
	if strings.Contains(out, " Kafka: ") || strings.Contains(out, " topic: ") {
		t.Errorf("nobody asked about Kafka:\n%s", out)
	}
}
