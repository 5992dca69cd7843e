package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"postern/core"
	"postern/core/seal"
)

// DefaultPartitions is how many partitions the topic has when nothing else is said.
const DefaultPartitions = 6

// Cluster is a Kafka cluster and the topic Postern keeps there. It is a value: copy it freely.
type Cluster struct {
	Brokers []string // host:port, any of them
	Topic   string   // default "postern.audit"

	// Partitions is how many the topic has. Default 6. Never change it for a topic in use: a
	// workspace would move to another partition and lose its order.
	Partitions int
	// Replication is how many brokers keep each event. Default: what the brokers are set to.
	Replication int
	// Retention is how long Kafka keeps events. Default 7 days. An outage of a receiver beyond it is
	// refilled from PostgreSQL.
	Retention time.Duration

	TLS   *tls.Config // nil speaks in clear
	Login Login       // zero does not authenticate
}

// Login is how to authenticate to the brokers (SASL).
type Login struct {
	Mechanism string // "plain", "scram-sha-256" or "scram-sha-512"
	User      string
	Password  seal.Secret
}

func (c Cluster) topic() string   { return cmp.Or(c.Topic, "postern.audit") }
func (c Cluster) partitions() int { return cmp.Or(c.Partitions, DefaultPartitions) }

func (c Cluster) mechanism() (sasl.Mechanism, error) {
	switch c.Login.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: c.Login.User, Password: c.Login.Password.Reveal()}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, c.Login.User, c.Login.Password.Reveal())
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, c.Login.User, c.Login.Password.Reveal())
	}
	return nil, core.Invalid("mechanism", "Kafka's login mechanism is plain, scram-sha-256 or scram-sha-512")
}

// client opens a client; release gives its connections back.
func (c Cluster) client() (client *kafka.Client, release func(), err error) {
	mechanism, err := c.mechanism()
	if err != nil {
		return nil, nil, err
	}
	transport := &kafka.Transport{ClientID: "postern", TLS: c.TLS, SASL: mechanism, DialTimeout: 5 * time.Second, IdleTimeout: time.Minute, MetadataTTL: 2 * time.Second, MetadataTopics: []string{c.topic()}}
	return &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 15 * time.Second, Transport: transport}, transport.CloseIdleConnections, nil
}

func (c Cluster) dialer() (*kafka.Dialer, error) {
	mechanism, err := c.mechanism()
	if err != nil {
		return nil, err
	}
	return &kafka.Dialer{ClientID: "postern", Timeout: 5 * time.Second, DualStack: true, TLS: c.TLS, SASLMechanism: mechanism}, nil
}

// Ensure makes the topic if it is absent and checks that it has the right number of partitions: a
// Conflict says it has another.
func (c Cluster) Ensure(ctx context.Context) error {
	client, release, err := c.client()
	if err != nil {
		return err
	}
	defer release()
	count, err := c.count(ctx, client)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		if err := c.create(ctx, client); err != nil {
			return err
		}
		// A new topic takes a moment to be known everywhere.
		for range 100 {
			if count, err = c.count(ctx, client); err == nil || ctx.Err() != nil {
				break
			}
			sleep(ctx, 100*time.Millisecond)
		}
	}
	if err != nil {
		return unavailable(err)
	}
	if count != c.partitions() {
		return core.Conflict("partitions", "the Kafka topic %s has %d partitions, but %d are configured; set it to what the topic has", c.topic(), count, c.partitions())
	}
	return nil
}

func (c Cluster) create(ctx context.Context, client *kafka.Client) error {
	response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: c.topic(), NumPartitions: c.partitions(), ReplicationFactor: cmp.Or(c.Replication, -1),
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(cmp.Or(c.Retention, 7*24*time.Hour).Milliseconds(), 10)},
		},
	}}})
	if err != nil {
		return unavailable(err)
	}
	if err := response.Errors[c.topic()]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return unavailable(err)
	}
	return nil
}

// count asks how many partitions the topic has.
func (c Cluster) count(ctx context.Context, client *kafka.Client) (int, error) {
	response, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{c.topic()}})
	if err != nil {
		return 0, err
	}
	for _, topic := range response.Topics {
		if topic.Name != c.topic() {
			continue
		}
		for _, partition := range topic.Partitions {
			if topic.Error == nil && partition.Error != nil {
				topic.Error = partition.Error
			}
		}
		return len(topic.Partitions), topic.Error
	}
	return 0, kafka.UnknownTopicOrPartition
}

// bounds asks where the partitions' logs begin and end (the offset the next event will get).
func (c Cluster) bounds(ctx context.Context, client *kafka.Client, partitions ...int) (map[int]kafka.PartitionOffsets, error) {
	var requests []kafka.OffsetRequest
	for _, partition := range partitions {
		requests = append(requests, kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition))
	}
	response, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{c.topic(): requests}})
	if err != nil {
		return nil, err
	}
	found := map[int]kafka.PartitionOffsets{}
	for _, offsets := range response.Topics[c.topic()] {
		if offsets.Error != nil {
			return nil, offsets.Error
		}
		found[offsets.Partition] = offsets
	}
	for _, partition := range partitions {
		if _, answered := found[partition]; !answered {
			return nil, fmt.Errorf("the brokers do not tell the offsets of partition %d", partition)
		}
	}
	return found, nil
}

// Lag is how many events of the topic a group has not committed yet.
func (c Cluster) Lag(ctx context.Context, group string) (int64, error) {
	client, release, err := c.client()
	if err != nil {
		return 0, err
	}
	defer release()
	all := make([]int, c.partitions())
	for i := range all {
		all[i] = i
	}
	bounds, err := c.bounds(ctx, client, all...)
	if err != nil {
		return 0, unavailable(err)
	}
	committed, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{c.topic(): all}})
	if err == nil && committed.Error != nil {
		err = committed.Error
	}
	if err != nil {
		return 0, unavailable(err)
	}
	var lag int64
	for _, partition := range committed.Topics[c.topic()] {
		if partition.Error != nil {
			return 0, unavailable(partition.Error)
		}
		bound := bounds[partition.Partition]
		lag += bound.LastOffset - min(max(partition.CommittedOffset, bound.FirstOffset), bound.LastOffset)
	}
	return lag, nil
}

// Partition is where the events of a workspace go.
func Partition(workspace core.ID, partitions int) int {
	all := make([]int, partitions)
	for i := range all {
		all[i] = i
	}
	return (&kafka.Hash{}).Balance(kafka.Message{Key: []byte(workspace.String())}, all...)
}

// unavailable classifies an error of the brokers.
func unavailable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	message := "Kafka does not do what it is asked"
	if _, network := errors.AsType[net.Error](err); network {
		message = "Kafka cannot be reached"
	}
	return core.Unavailable(5*time.Second, "%s", message).Because(err)
}

// sleep waits for a while, or until ctx ends.
func sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
