package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"postern/core"
)

// DefaultRetention is how long Kafka keeps events when nothing else is said.
const DefaultRetention = 7 * 24 * time.Hour

// Topic is what the topic is like.
type Topic struct {
	Name       string
	Partitions int
	Brokers    int // that answer now
	// Replication is of the partition that has least, InSync how many of the one that has least are in sync.
	Replication, InSync int
	// Settings are the topic's; empty when they are Hidden: the login may not see them.
	Settings map[string]string
	Hidden   bool
}

// Difference is one respect in which the topic is not as it should be.
type Difference struct {
	Setting, Is, Should string
	Means, Advice       string
	// Grave ones lose events or their order: Postern does not work with such a topic.
	Grave bool
}

// String is the whole of it in one sentence or two.
func (d Difference) String() string {
	return fmt.Sprintf("%s is %s, should be %s: %s. %s", d.Setting, d.Is, d.Should, d.Means, d.Advice)
}

// The settings that are looked at.
const (
	cleanupPolicy  = "cleanup.policy"
	retentionTime  = "retention.ms"
	retentionBytes = "retention.bytes"
	minInSync      = "min.insync.replicas"
	unclean        = "unclean.leader.election.enable"
)

// replication is how many brokers should keep each event, of so many.
func (c Cluster) replication(brokers int) int { return cmp.Or(c.Replication, min(3, max(1, brokers))) }

func (c Cluster) retention() time.Duration { return cmp.Or(c.Retention, DefaultRetention) }

// Ensure makes the topic if it is absent. A Conflict says that the topic loses events or their order,
// and what to do: it is not changed. Compare finds what is merely not as it should be.
func (c Cluster) Ensure(ctx context.Context) error {
	topic, _, err := c.Make(ctx)
	if err != nil {
		return err
	}
	for _, one := range c.Compare(topic) {
		if one.Grave {
			return core.Conflict("topic", "the Kafka topic %s cannot be used: %s", c.topic(), one)
		}
	}
	return nil
}

// Make makes the topic if it is absent, and tells what it is like and whether it was made. It is not
// made with fewer replicas than are asked for because brokers are away: that is Unavailable.
func (c Cluster) Make(ctx context.Context) (Topic, bool, error) {
	client, release, err := c.client()
	if err != nil {
		return Topic{}, false, err
	}
	defer release()
	topic, err := c.describe(ctx, client)
	if !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return topic, false, unavailable(err)
	}
	if lacking := min(3, len(c.Brokers)) - topic.Brokers; c.Replication == 0 && lacking > 0 {
		return topic, false, core.Unavailable(5*time.Second, "the Kafka topic %s is absent, and of the %d brokers given %d answer: it is made once they all do", c.topic(), len(c.Brokers), topic.Brokers)
	}
	made, err := c.create(ctx, client, topic.Brokers)
	if err != nil {
		return topic, false, unavailable(err)
	}
	// A new topic takes a moment to be known everywhere.
	for range 100 {
		if topic, err = c.describe(ctx, client); err == nil || ctx.Err() != nil {
			break
		}
		core.Rest(ctx, 100*time.Millisecond)
	}
	return topic, made, unavailable(err)
}

// Describe tells what the topic is like: NotFound when there is none, with the brokers that answer.
func (c Cluster) Describe(ctx context.Context) (Topic, error) {
	client, release, err := c.client()
	if err != nil {
		return Topic{}, err
	}
	defer release()
	topic, err := c.describe(ctx, client)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		return topic, core.NotFound("Kafka topic as " + c.topic())
	}
	return topic, unavailable(err)
}

func (c Cluster) create(ctx context.Context, client *kafka.Client, brokers int) (bool, error) {
	replication := c.replication(brokers)
	response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: c.topic(), NumPartitions: c.partitions(), ReplicationFactor: replication,
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: cleanupPolicy, ConfigValue: "delete"},
			{ConfigName: retentionTime, ConfigValue: strconv.FormatInt(c.retention().Milliseconds(), 10)},
			{ConfigName: minInSync, ConfigValue: strconv.Itoa(max(1, replication-1))},
		},
	}}})
	if err != nil {
		return false, err
	}
	err = response.Errors[c.topic()]
	if errors.Is(err, kafka.TopicAlreadyExists) {
		return false, nil // another process was quicker
	}
	return err == nil, c.lacking("Create", "make the topic, unless 'postern migrate' does that as somebody who may", err)
}

func (c Cluster) describe(ctx context.Context, client *kafka.Client) (Topic, error) {
	topic := Topic{Name: c.topic(), Settings: map[string]string{}}
	response, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic.Name}})
	if err != nil {
		return topic, err
	}
	topic.Brokers = len(response.Brokers)
	err = kafka.UnknownTopicOrPartition
	for _, one := range response.Topics {
		if one.Name != topic.Name {
			continue
		}
		err = one.Error
		topic.Partitions = len(one.Partitions)
		for i, partition := range one.Partitions {
			if err == nil && partition.Error != nil && !errors.Is(partition.Error, kafka.ReplicaNotAvailable) {
				err = partition.Error
			}
			if i == 0 || len(partition.Replicas) < topic.Replication {
				topic.Replication = len(partition.Replicas)
			}
			if i == 0 || len(partition.Isr) < topic.InSync {
				topic.InSync = len(partition.Isr)
			}
		}
	}
	if err != nil {
		return topic, c.lacking("Describe", "find the topic", err)
	}
	settings, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic.Name, ConfigNames: []string{cleanupPolicy, retentionTime, retentionBytes, minInSync, unclean},
	}}})
	if err != nil {
		return topic, err
	}
	for _, resource := range settings.Resources {
		if errors.Is(resource.Error, kafka.TopicAuthorizationFailed) {
			topic.Hidden = true
			continue
		}
		if resource.Error != nil {
			return topic, resource.Error
		}
		for _, entry := range resource.ConfigEntries {
			topic.Settings[entry.ConfigName] = entry.ConfigValue
		}
	}
	return topic, nil
}

// Compare tells in which respects a topic is not as it should be, grave ones first.
func (c Cluster) Compare(topic Topic) []Difference {
	var found []Difference
	note := func(grave bool, setting, is, should, means, advice string) {
		found = append(found, Difference{Setting: setting, Is: is, Should: should, Means: means, Advice: advice, Grave: grave})
	}
	set := func(name, value string) string {
		return fmt.Sprintf("Do: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s", strings.Join(c.Brokers, ","), topic.Name, name, value)
	}
	if topic.Partitions != c.partitions() {
		note(true, "the number of partitions", strconv.Itoa(topic.Partitions), strconv.Itoa(c.partitions()),
			"a workspace's events would be on another partition than before, and lose their order", "Use another topic (--kafka-topic); 'postern migrate' makes it")
	}
	if policy, known := topic.Settings[cleanupPolicy]; known && policy != "delete" {
		note(strings.Contains(policy, "compact"), cleanupPolicy, policy, "delete", "a compacted topic keeps the last event of each workspace alone", set(cleanupPolicy, "delete"))
	}
	if topic.Hidden {
		note(false, "what the login may do", "too little", "DescribeConfigs on the topic "+topic.Name,
			"nobody sees whether the topic forgets events early, or keeps them on too few brokers", "Do: kafka-acls.sh, with --add --operation DescribeConfigs --topic "+topic.Name)
	}
	want := c.replication(topic.Brokers)
	if topic.Replication < want {
		note(false, "the replication factor", strconv.Itoa(topic.Replication), strconv.Itoa(want),
			"events are lost with the brokers that keep them", "Do: kafka-reassign-partitions.sh, with that many replicas for each partition of "+topic.Name)
	}
	if least, err := strconv.Atoi(topic.Settings[minInSync]); err == nil {
		switch replicas := topic.Replication; {
		case replicas > 1 && least < replicas-1:
			note(false, minInSync, strconv.Itoa(least), strconv.Itoa(replicas-1), "what counts as published may be on too few brokers to outlast the loss of one", set(minInSync, strconv.Itoa(replicas-1)))
		case replicas > 1 && least >= replicas:
			note(false, minInSync, strconv.Itoa(least), strconv.Itoa(replicas-1), "nothing is published while one broker is away", set(minInSync, strconv.Itoa(replicas-1)))
		}
	}
	if kept, err := strconv.ParseInt(topic.Settings[retentionTime], 10, 64); err == nil && kept >= 0 && kept < c.retention().Milliseconds() {
		note(false, retentionTime, strconv.FormatInt(kept, 10), strconv.FormatInt(c.retention().Milliseconds(), 10),
			fmt.Sprintf("Kafka forgets after %s, and a sink that was away for longer is refilled from PostgreSQL, which is slower", time.Duration(kept)*time.Millisecond),
			set(retentionTime, strconv.FormatInt(c.retention().Milliseconds(), 10)))
	}
	if size, err := strconv.ParseInt(topic.Settings[retentionBytes], 10, 64); err == nil && size >= 0 {
		note(false, retentionBytes, strconv.FormatInt(size, 10), "-1", "Kafka forgets events before their time when there are many", set(retentionBytes, "-1"))
	}
	if topic.Settings[unclean] == "true" {
		note(false, unclean, "true", "false", "a broker that missed events may become the leader, and they are gone", set(unclean, "false"))
	}
	return found
}
