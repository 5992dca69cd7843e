package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"postern/core"
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
	// Replication is how many brokers keep each event. Default: 3, or as many as there are. One fewer
	// must have an event before it counts as published, so that one may be away.
	Replication int
	// Retention is how long Kafka keeps events. Default 7 days. An outage of a receiver beyond it is
	// refilled from PostgreSQL.
	Retention time.Duration

	TLS   *tls.Config // nil speaks in clear
	Login Login       // zero does not authenticate
}

func (c Cluster) topic() string   { return cmp.Or(c.Topic, "postern.audit") }
func (c Cluster) partitions() int { return cmp.Or(c.Partitions, DefaultPartitions) }

// client opens a client; release gives its connections back.
func (c Cluster) client() (client *kafka.Client, release func(), err error) {
	mechanism, err := c.Login.mechanism()
	if err != nil {
		return nil, nil, err
	}
	transport := &kafka.Transport{ClientID: "postern", TLS: c.TLS, SASL: mechanism, DialTimeout: 5 * time.Second, IdleTimeout: time.Minute, MetadataTTL: 2 * time.Second, MetadataTopics: []string{c.topic()}}
	return &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 15 * time.Second, Transport: transport}, transport.CloseIdleConnections, nil
}

func (c Cluster) dialer() (*kafka.Dialer, error) {
	mechanism, err := c.Login.mechanism()
	if err != nil {
		return nil, err
	}
	return &kafka.Dialer{ClientID: "postern", Timeout: 5 * time.Second, DualStack: true, TLS: c.TLS, SASLMechanism: mechanism}, nil
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
			return nil, c.lacking("Describe", "ask how far the topic reaches", offsets.Error)
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
