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
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"postern/deploy/local/process"
)

// properties are of every node. What differs comes after: ports, and how clients get in.
const properties = `process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=2000
auto.create.topics.enable=false
log.retention.check.interval.ms=1000
`

// Kafka runs Apache Kafka from its jars (see Jars) as one node in KRaft mode, its log in a folder, on
// a port of 127.0.0.1 (0 takes a free one), and waits until it answers.
func Kafka(ctx context.Context, folder, jars string, port int) (*Broker, error) {
	all, err := start(ctx, folder, jars, 1, port, nil)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Cluster runs several nodes that replicate for each other, each in a folder below, on free ports.
// What it keeps for itself is replicated three times, so that any one of three may die.
func Cluster(ctx context.Context, folder, jars string, nodes int) ([]*Broker, error) {
	return start(ctx, folder, jars, nodes, 0, nil)
}

// start runs nodes; every error ends what runs already.
func start(ctx context.Context, folder, jars string, count, port int, doors *Doors) (all []*Broker, err error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	identity := make([]byte, 16)
	_, _ = rand.Read(identity)
	cluster := base64.RawURLEncoding.EncodeToString(identity)
	var voters []string
	ports := make([][4]int, count) // plain, controller, with a password, with a certificate
	for i := range ports {
		for j := range ports[i] {
			if ports[i][j], err = process.FreePort(); err != nil {
				return nil, err
			}
		}
		if port != 0 {
			ports[i][0] = port
		}
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[i][1]))
	}
	defer func() {
		if err != nil {
			for _, one := range all {
				err = errors.Join(err, one.Stop())
			}
		}
	}()
	var nodes []*node
	for i, taken := range ports {
		one := &node{java: java, folder: folder, classes: filepath.Join(jars, "*")}
		if count > 1 {
			one.folder = filepath.Join(folder, strconv.Itoa(i+1))
		}
		running := &Broker{Address: loopback(taken[0]), stop: one.stop, kill: one.kill}
		running.start = func(ctx context.Context) error {
			if err := one.start(); err != nil {
				return err
			}
			return one.ready(ctx, running.Address)
		}
		settings := fmt.Sprintf("%snode.id=%d\ncontroller.quorum.voters=%s\nlog.dirs=%s\n", properties, i+1, strings.Join(voters, ","), filepath.Join(one.folder, "data"))
		for _, kept := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
			settings += fmt.Sprintf("%s.replication.factor=%d\n", kept, min(count, 3))
		}
		settings += fmt.Sprintf("transaction.state.log.min.isr=%[1]d\nshare.coordinator.state.topic.min.isr=%[1]d\n", max(1, min(count, 3)-1))
		listeners := fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", loopback(taken[0]), loopback(taken[1]))
		if doors != nil {
			running.Login, running.Mutual = loopback(taken[2]), loopback(taken[3])
			listeners += fmt.Sprintf(",SASL_SSL://%s,SSL://%s", running.Login, running.Mutual)
			settings += doors.settings()
		}
		settings += "listeners=" + listeners + "\nadvertised.listeners=" + listeners + "\n"
		if err := one.format(ctx, settings, cluster, doors); err != nil {
			return all, err
		}
		if err := one.start(); err != nil {
			return all, err
		}
		all, nodes = append(all, running), append(nodes, one)
	}
	for i, one := range nodes { // none answers before most of them are there
		if err := one.ready(ctx, all[i].Address); err != nil {
			return all, err
		}
	}
	return all, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// node is the Java process.
type node struct {
	java, folder, classes string

	process *process.Process
}

func (n *node) settings() string { return filepath.Join(n.folder, "server.properties") }

// format makes the folder once; the settings are written again with the ports of this run.
func (n *node) format(ctx context.Context, settings, cluster string, doors *Doors) error {
	if err := os.MkdirAll(n.folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(n.settings(), []byte(settings), 0o600); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(n.folder, "data", "meta.properties")); err == nil {
		return nil
	}
	arguments := []string{"-cp", n.classes, "kafka.tools.StorageTool", "format", "--cluster-id=" + cluster, "-c", n.settings()} // with "=": it may begin with a dash
	if doors != nil {
		arguments = append(arguments, doors.users()...)
	}
	if output, err := exec.CommandContext(ctx, n.java, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting Kafka's folder: %w\n%s", err, bytes.TrimSpace(output))
	}
	return nil
}

func (n *node) start() error {
	if n.process != nil {
		select {
		case <-n.process.Exited():
		default:
			return nil // it runs
		}
	}
	var err error
	n.process, err = process.Start(process.Program{Path: n.java, Folder: n.folder, Arguments: []string{
		"-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", n.classes, "kafka.Kafka", n.settings(),
	}})
	return err
}

// ready waits until the broker answers.
func (n *node) ready(ctx context.Context, address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RetryTimeout(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := n.process.Ready(ctx, "Apache Kafka", 2*time.Minute, client.Ping); err != nil {
		return errors.Join(err, n.stop())
	}
	return nil
}

func (n *node) stop() error {
	if n.process == nil {
		return nil
	}
	return n.process.End(syscall.SIGTERM, 30*time.Second)
}

// kill ends it at once, as a machine that loses power would.
func (n *node) kill() error {
	if n.process == nil {
		return nil
	}
	return n.process.End(syscall.SIGKILL, 30*time.Second)
}
