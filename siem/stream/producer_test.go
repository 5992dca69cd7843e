package stream

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/produce"

	"postern/core"
)

// lame is a cluster of which one partition takes a request and no more.
type lame struct {
	partition int32
	taken     atomic.Int32
}

func (l *lame) RoundTrip(_ context.Context, _ net.Addr, request kafka.Request) (kafka.Response, error) {
	topic := request.(*produce.Request).Topics[0]
	number := topic.Partitions[0].Partition
	if number == l.partition && l.taken.Add(1) > 1 {
		return nil, errors.New("the broker is away")
	}
	return &produce.Response{Topics: []produce.ResponseTopic{{Topic: topic.Topic, Partitions: []produce.ResponsePartition{{Partition: number}}}}}, nil
}

// What was acknowledged is not among what is to be published again, neither the other partitions' events nor the first
// requests of the one that fails.
func TestWhatWasAcknowledgedIsNotLeft(t *testing.T) {
	const partitions = 3
	var events []Event
	workspaces := map[int]core.ID{}
	for len(workspaces) < partitions {
		one := core.NewID()
		workspaces[Partition(one, partitions)] = one
	}
	for position := range int64(partitions * (requestEvents + 5)) {
		events = append(events, Event{ID: core.NewID(), Workspace: workspaces[int(position)%partitions], Position: position + 1, Value: []byte("{}")})
	}
	producer := &Producer{
		cluster: Cluster{Partitions: partitions}, client: &kafka.Client{Addr: kafka.TCP("127.0.0.1:1"), Transport: &lame{partition: 1}}, ensured: true,
	}
	err := producer.Publish(t.Context(), events)
	partly, ok := errors.AsType[PartlyPublished](err)
	if !ok || core.KindOf(err) != core.KindUnavailable {
		t.Fatalf("%v", err)
	}
	if len(partly.Left) != 5 || !slices.IsSortedFunc(partly.Left, func(a, b Event) int { return int(a.Position - b.Position) }) {
		t.Fatalf("%d events are left: %v", len(partly.Left), partly.Left)
	}
	for _, one := range partly.Left {
		if one.Workspace != workspaces[1] || one.Position <= partitions*requestEvents {
			t.Errorf("left is event %d of partition %d", one.Position, Partition(one.Workspace, partitions))
		}
	}
}
