package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"postern/deploy/local/process"
)

const properties = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
auto.create.topics.enable=false
log.retention.check.interval.ms=1000
`

// Kafka runs Apache Kafka from its jars (see Jars) as one node in KRaft mode, its log in a folder, on
// a port of 127.0.0.1 (0 takes a free one), and waits until it answers.
func Kafka(ctx context.Context, folder, jars string, port int) (*Broker, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	if port == 0 {
		if port, err = process.FreePort(); err != nil {
			return nil, err
		}
	}
	controller, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	node := &node{java: java, folder: folder, classes: filepath.Join(jars, "*")}
	broker := &Broker{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), stop: node.stop}
	broker.start = func(ctx context.Context) error { return node.start(ctx, broker.Address) }
	if err := node.format(ctx, port, controller); err != nil {
		return nil, err
	}
	return broker, broker.start(ctx)
}

// node is the Java process.
type node struct {
	java, folder, classes string

	process *process.Process
}

func (n *node) settings() string { return filepath.Join(n.folder, "server.properties") }

// format makes the folder once; the settings are written again with the ports of this run.
func (n *node) format(ctx context.Context, port, controller int) error {
	data := filepath.Join(n.folder, "data")
	if err := os.MkdirAll(n.folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(n.settings(), fmt.Appendf(nil, properties, port, controller, data), 0o600); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(data, "meta.properties")); err == nil {
		return nil
	}
	cluster := make([]byte, 16)
	_, _ = rand.Read(cluster)
	format := exec.CommandContext(ctx, n.java, "-cp", n.classes, "kafka.tools.StorageTool", "format", "--standalone",
		"--cluster-id="+base64.RawURLEncoding.EncodeToString(cluster), "-c", n.settings()) // with "=": it may begin with a dash
	if output, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting Kafka's folder: %w\n%s", err, bytes.TrimSpace(output))
	}
	return nil
}

func (n *node) start(ctx context.Context, address string) error {
	var err error
	n.process, err = process.Start(process.Program{Path: n.java, Folder: n.folder, Arguments: []string{
		"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", n.classes, "kafka.Kafka", n.settings(),
	}})
	if err != nil {
		return err
	}
	return n.ready(ctx, address)
}

// ready waits until the broker answers.
func (n *node) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RetryTimeout(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		if err = client.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-n.process.Exited():
			return fmt.Errorf("Apache Kafka stopped at its start:\n%s", n.process.Output())
		case <-ctx.Done():
			return errors.Join(n.stop(), fmt.Errorf("Apache Kafka did not answer: %w\n%s", err, n.process.Output()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (n *node) stop() error {
	if n.process == nil {
		return nil
	}
	return n.process.End(syscall.SIGTERM, 30*time.Second)
}
