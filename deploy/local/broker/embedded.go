package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"

	"postern/deploy/local/process"
)

// Broker is a running broker. Its methods may be called from one goroutine at a time.
type Broker struct {
	// Address is where clients connect, as host:port. It stays the same over Stop and Restart.
	Address string
	// Login and Mutual are where clients of a broker that Secured started show a password or a
	// certificate, both over TLS. Address stays for whoever looks from beside.
	Login, Mutual string

	start func(ctx context.Context) error
	stop  func() error
	kill  func() error
}

// Stop ends the broker cleanly. What it acknowledged stays in its folder.
func (b *Broker) Stop() error { return b.stop() }

// Kill ends Apache Kafka at once, as a machine that loses power would. An embedded broker cannot be
// killed alone: it is stopped.
func (b *Broker) Kill() error { return b.kill() }

// Restart starts the broker again after Stop or Kill, on the same port with the same data, and waits until
// it answers.
func (b *Broker) Restart(ctx context.Context) error { return b.start(ctx) }

// Embedded runs a broker inside this process, its log in a folder, on a port of 127.0.0.1 (0 takes a
// free one). Every batch is on disk before it is acknowledged.
func Embedded(ctx context.Context, folder string, port int) (*Broker, error) {
	if port == 0 {
		var err error
		if port, err = process.FreePort(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	var cluster *kfake.Cluster
	broker := &Broker{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	broker.start = func(context.Context) error {
		if cluster != nil {
			return nil
		}
		started, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(folder), kfake.SyncWrites(),
			kfake.BrokerConfigs(map[string]string{"default.replication.factor": "1", "min.insync.replicas": "1"}))
		if err != nil {
			return fmt.Errorf("the embedded broker cannot start: %w", err)
		}
		cluster = started
		return nil
	}
	broker.stop = func() error {
		if cluster != nil {
			cluster.Close()
			cluster = nil
		}
		return nil
	}
	broker.kill = broker.stop
	return broker, broker.start(ctx)
}
