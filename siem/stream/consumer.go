package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"postern/core"

	"github.com/segmentio/kafka-go"
)

// Consumer reads the topic as a member of a group. Members share the partitions; when one comes or
// goes they are dealt anew.
type Consumer struct {
	Cluster Cluster
	Group   string
	Log     *slog.Logger // nil logs nothing

	// SessionTimeout is after how long a member that fell silent loses its partitions. Default 10 s.
	SessionTimeout time.Duration

	// Drain is how long handlers may take to return after the end of Run's ctx. The member keeps its partitions meanwhile.
	Drain time.Duration
}

// Handler serves one partition until ctx ends: the partition then goes to another member, or the
// process stops. It should finish what is under way, commit it and return: within seconds once the assignment has
// Ended. If it returns earlier, all partitions of this member are dealt anew.
type Handler func(ctx context.Context, assignment *Assignment)

// Run takes part in the group until ctx ends, then returns nil when every handler has returned. Partitions are given up
// when all of them have, or after Drain. It survives restarts of the brokers.
func (c *Consumer) Run(ctx context.Context, handle Handler) error {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("group", c.Group)
	dialer, err := c.Cluster.dialer()
	if err != nil {
		return err
	}
	client, release, err := c.Cluster.client()
	if err != nil {
		return err
	}
	defer release()
	// A group that joins before there is a topic is dealt no partition.
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if err = c.Cluster.Ensure(ctx); err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		log.WarnContext(ctx, "the topic is not ready, trying again", "in", wait, "error", err)
		core.Rest(ctx, wait)
	}
	timeout := c.SessionTimeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: c.Group, Brokers: c.Cluster.Brokers, Dialer: dialer, Topics: []string{c.Cluster.topic()},
		SessionTimeout: timeout, HeartbeatInterval: min(time.Second, timeout/5), RebalanceTimeout: 20 * time.Second, JoinGroupBackoff: time.Second,
		// The number of partitions never changes, but a broker that lost its data begins without the topic.
		WatchPartitionChanges: true, PartitionWatchInterval: 2 * time.Second,
		StartOffset: kafka.FirstOffset, GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
	})
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	defer func() { _ = group.Close() }()
	var handling sync.WaitGroup
	for {
		generation, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, kafka.ErrGroupClosed):
			drained(&handling, c.Drain)
			return nil
		case err != nil:
			if !errors.Is(err, kafka.RebalanceInProgress) {
				log.WarnContext(ctx, "the group cannot be joined, trying again", "error", unavailable(err))
			}
			continue
		}
		commits := &sync.Mutex{}
		for _, given := range generation.Assignments[c.Cluster.topic()] {
			handling.Add(1)
			generation.Start(func(member context.Context) {
				working, cancel := context.WithCancel(member)
				defer cancel()
				defer context.AfterFunc(ctx, cancel)()
				c.serve(working, member, func(ctx context.Context) (*Assignment, error) {
					return c.assign(ctx, client, dialer, generation, commits, given, log)
				}, handle, log.With("partition", given.ID))
				handling.Done()
				if ctx.Err() != nil {
					<-member.Done() // who returns ends the membership of all, and others may still be at work
				}
			})
		}
	}
}

// serve has one partition handled, as long as ctx lasts; the membership may last longer.
func (c *Consumer) serve(ctx, member context.Context, assign func(context.Context) (*Assignment, error), handle Handler, log *slog.Logger) {
	assignment, err := assign(ctx)
	if err != nil {
		if ctx.Err() == nil {
			log.WarnContext(ctx, "the partition cannot be read, trying again", "error", err)
			core.Rest(ctx, time.Second)
		}
		return
	}
	defer assignment.close()
	assignment.Ended = member.Done()
	handle(ctx, assignment)
}

// drained waits until all handlers have returned, but no longer than that.
func drained(handling *sync.WaitGroup, most time.Duration) {
	done := make(chan struct{})
	go func() {
		handling.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(most):
	}
}

// assign finds where to begin and starts reading.
func (c *Consumer) assign(ctx context.Context, client *kafka.Client, dialer *kafka.Dialer, generation *kafka.Generation, commits *sync.Mutex, given kafka.PartitionAssignment, log *slog.Logger) (*Assignment, error) {
	assignment := &Assignment{
		Partition: given.ID, cluster: c.Cluster, client: client, generation: generation, commits: commits, next: given.Offset,
		messages: make(chan kafka.Message, 500), done: make(chan struct{}), log: log,
	}
	bound, err := assignment.bounds(ctx)
	if err != nil {
		return nil, err
	}
	if given.Offset < bound.FirstOffset || given.Offset > bound.LastOffset {
		// Never committed, or what was committed is gone, or the topic was made anew.
		assignment.next, assignment.gap = bound.FirstOffset, true
	}
	if assignment.gap && (given.Offset >= 0 || bound.FirstOffset > 0) {
		log.WarnContext(ctx, "the log does not reach back to where the group stopped", "partition", given.ID, "committed", given.Offset, "first", bound.FirstOffset, "end", bound.LastOffset)
	}
	assignment.reader = kafka.NewReader(kafka.ReaderConfig{
		Brokers: c.Cluster.Brokers, Topic: c.Cluster.topic(), Partition: given.ID, Dialer: dialer,
		MinBytes: 1, MaxBytes: 8 << 20, MaxWait: 250 * time.Millisecond, QueueCapacity: 500, ReadLagInterval: -1,
		ReadBackoffMin: 50 * time.Millisecond, ReadBackoffMax: time.Second,
	})
	if err := assignment.reader.SetOffset(assignment.next); err != nil {
		_ = assignment.reader.Close()
		return nil, err
	}
	go assignment.pump(ctx)
	return assignment, nil
}

// Assignment is one partition for as long as this member owns it.
type Assignment struct {
	Partition int
	// Ended is closed when the partition goes to another member within seconds, and what is under way has no longer.
	Ended <-chan struct{}

	cluster    Cluster
	client     *kafka.Client
	generation *kafka.Generation
	commits    *sync.Mutex // of all partitions of the generation: the client spins while two wait for answers at once
	reader     *kafka.Reader
	messages   chan kafka.Message
	done       chan struct{}
	log        *slog.Logger

	next int64 // the offset expected next
	gap  bool  // what comes next does not follow what the group committed last
	held *kafka.Message
}

// Batch is what Fetch found. With Gap, events are missing before the first message: Kafka does not
// have them (any more), or the group has never committed.
type Batch struct {
	Messages []Message
	Gap      bool
}

// pump moves messages from the client's reader to where Fetch can look without waiting.
func (a *Assignment) pump(ctx context.Context) {
	defer close(a.done)
	for {
		message, err := a.reader.FetchMessage(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			return
		case err != nil:
			a.log.WarnContext(ctx, "the partition cannot be read, trying again", "partition", a.Partition, "error", unavailable(a.cluster.lacking("Read", "read", err)))
			core.Rest(ctx, 500*time.Millisecond)
			continue
		}
		select {
		case a.messages <- message:
		case <-ctx.Done():
			return
		}
	}
}

func (a *Assignment) close() {
	_ = a.reader.Close()
	<-a.done
}

// bounds asks where the partition's log begins and ends.
func (a *Assignment) bounds(ctx context.Context) (kafka.PartitionOffsets, error) {
	var found map[int]kafka.PartitionOffsets
	var err error
	for range 5 { // connections from before a broker's restart fail first
		if found, err = a.cluster.bounds(ctx, a.client, a.Partition); err == nil || ctx.Err() != nil {
			break
		}
		core.Rest(ctx, 200*time.Millisecond)
	}
	return found[a.Partition], unavailable(err)
}

// Empty reports, before the first Fetch, that events are missing and that Kafka has none now. They are the
// caller's to get elsewhere: Fetch finds what is published from here on, and no gap before it.
func (a *Assignment) Empty(ctx context.Context) (bool, error) {
	if !a.gap {
		return false, nil
	}
	bound, err := a.bounds(ctx)
	if err != nil {
		return false, err
	}
	a.gap = bound.LastOffset > a.next
	return !a.gap, nil
}

// Overhead is what sizes count for each event beside its value: envelopes, separators. If a receiver's were larger, what is
// taken for one request would become one and a small one.
const Overhead = 320

// Fetch waits for messages until ctx ends and returns as many as there are at once, or come within
// linger, up to a size in bytes, but at least one. It does not commit them.
func (a *Assignment) Fetch(ctx context.Context, size int, linger time.Duration) (Batch, error) {
	var batch Batch
	total := 0
	// add takes a message, or keeps it for the next batch.
	add := func(message kafka.Message) bool {
		jump := a.gap || message.Offset != a.next
		full := total > 0 && total+len(message.Value)+Overhead > size
		if len(batch.Messages) > 0 && (jump || full) {
			a.held = &message
			return false
		}
		batch.Gap = batch.Gap || jump
		a.gap, a.next = false, message.Offset+1
		batch.Messages = append(batch.Messages, read(message))
		total += len(message.Value) + Overhead
		return true
	}
	if held := a.held; held != nil {
		a.held = nil
		add(*held)
	} else {
		select {
		case message := <-a.messages:
			add(message)
		case <-ctx.Done():
			return batch, ctx.Err()
		}
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for {
		select {
		case message := <-a.messages:
			if !add(message) {
				return batch, nil
			}
			continue
		default:
		}
		select {
		case message := <-a.messages:
			if !add(message) {
				return batch, nil
			}
		case <-timer.C:
			return batch, nil
		case <-ctx.Done():
			return batch, ctx.Err()
		}
	}
}

// Commit says that everything up to and with a message is done with. It fails when the partition
// has meanwhile gone to another member.
func (a *Assignment) Commit(message Message) error {
	a.commits.Lock()
	defer a.commits.Unlock()
	err := a.generation.CommitOffsets(map[string]map[int]int64{a.cluster.topic(): {a.Partition: message.Offset + 1}})
	if err != nil && strings.Contains(err.Error(), "use of closed network connection") {
		return fmt.Errorf("stream: the partition %d is not ours any more", a.Partition)
	}
	return unavailable(err)
}
