package stream_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"postern/core"
	"postern/siem/stream"
)

// rights are what the superuser of a broker lets others do.
type rights struct {
	t       *testing.T
	brokers string
}

func (r rights) ask(request kmsg.Request) kmsg.Response {
	r.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Request(r.t.Context(), request)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

// grant allows somebody an operation on what begins with a name.
func (r rights) grant(principal string, kind kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) {
	r.t.Helper()
	one := kmsg.NewCreateACLsRequestCreation()
	one.ResourceType, one.ResourceName, one.ResourcePatternType = kind, name, kmsg.ACLResourcePatternTypePrefixed
	one.Principal, one.Host, one.Operation, one.PermissionType = principal, "*", operation, kmsg.ACLPermissionTypeAllow
	request := kmsg.NewPtrCreateACLsRequest()
	request.Creations = append(request.Creations, one)
	for _, result := range r.ask(request).(*kmsg.CreateACLsResponse).Results {
		if result.ErrorCode != 0 {
			r.t.Fatalf("granting: code %d", result.ErrorCode)
		}
	}
}

// revoke takes an operation on a topic away again.
func (r rights) revoke(principal, topic string, operation kmsg.ACLOperation) {
	r.t.Helper()
	one := kmsg.NewDeleteACLsRequestFilter()
	one.ResourceType, one.ResourceName, one.ResourcePatternType = kmsg.ACLResourceTypeTopic, &topic, kmsg.ACLResourcePatternTypePrefixed
	one.Principal, one.Operation, one.PermissionType = &principal, operation, kmsg.ACLPermissionTypeAllow
	request := kmsg.NewPtrDeleteACLsRequest()
	request.Filters = append(request.Filters, one)
	for _, result := range r.ask(request).(*kmsg.DeleteACLsResponse).Results {
		if result.ErrorCode != 0 || len(result.MatchingACLs) != 1 {
			r.t.Fatalf("revoking: code %d, %d found", result.ErrorCode, len(result.MatchingACLs))
		}
	}
}

// journal is a log that can be read while it is written.
type journal struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(p)
}

func (j *journal) says(text string) bool {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return strings.Contains(j.text.String(), text)
}

// climb gives the login of a cluster one right after the other. What each is needed for says so until then, goes on
// from then on, and loses nothing.
func (r rights) climb(cluster stream.Cluster) {
	t, who := r.t, "User:"+cluster.Login.User
	t.Helper()
	const group = "postern-climbed"
	topic := func(operation kmsg.ACLOperation) { r.grant(who, kmsg.ACLResourceTypeTopic, cluster.Topic, operation) }
	says := func(text string, ask func() error) {
		t.Helper()
		eventually(t, text, func() bool {
			err := ask()
			return core.KindOf(err) == core.KindUnavailable && strings.Contains(core.AsError(err).Message, text)
		})
	}
	hidden := func() bool {
		found, err := cluster.Describe(t.Context())
		return err == nil && slices.ContainsFunc(cluster.Compare(found), func(one stream.Difference) bool { return strings.Contains(one.Should, "DescribeConfigs") && !one.Grave })
	}
	producer, err := stream.NewProducer(cluster)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	acme, sequence := core.NewID(), int64(0)
	next := func() error {
		err := producer.Publish(t.Context(), []stream.Event{event(acme, sequence+1)})
		if err == nil {
			sequence++
		}
		return err
	}
	published := func() bool { return next() == nil }

	says("needs Describe on the topic climbed", func() error { _, err := cluster.Describe(t.Context()); return err })
	says("needs Describe on the topic climbed", next)
	topic(kmsg.ACLOperationDescribe)
	says("needs Create on the topic climbed", next)
	topic(kmsg.ACLOperationCreate)
	says("needs Write on the topic climbed", next)
	if !hidden() {
		t.Error("nobody is told that the topic's settings are hidden")
	}
	topic(kmsg.ACLOperationDescribeConfigs)
	eventually(t, "the settings are seen", func() bool { return !hidden() })
	topic(kmsg.ACLOperationWrite)
	eventually(t, "an event is published", published)

	log, read := &journal{}, &collector{}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		member := &stream.Consumer{Cluster: cluster, Group: group, SessionTimeout: 6 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil))}
		if err := member.Run(ctx, read.handle); err != nil {
			t.Error(err)
		}
	})
	const onGroups = "needs Read on the groups whose names begin with postern-"
	says(onGroups, func() error { _, err := cluster.Lag(t.Context(), group); return err })
	eventually(t, "the log says "+onGroups, func() bool { return log.says(onGroups) })
	r.grant(who, kmsg.ACLResourceTypeGroup, "postern-", kmsg.ACLOperationRead)
	eventually(t, "the log says that Read on the topic is needed", func() bool { return log.says("needs Read on the topic climbed") })
	eventually(t, "another event is published", published)
	if read.count() != 0 {
		t.Errorf("%d were read without the right", read.count())
	}
	topic(kmsg.ACLOperationRead)
	all := func() bool { return read.count() == int(sequence) }
	eventually(t, "all is read", all)

	// What is taken away while events flow, and given back.
	r.revoke(who, cluster.Topic, kmsg.ACLOperationWrite)
	says("needs Write on the topic climbed", next)
	topic(kmsg.ACLOperationWrite)
	eventually(t, "it is published", published)
	eventually(t, "it is read", all)
	eventually(t, "it is committed", func() bool { lag, err := cluster.Lag(t.Context(), group); return err == nil && lag == 0 })
	read.mutex.Lock()
	defer read.mutex.Unlock()
	for i, got := range read.got[acme] {
		if got != int64(i)+1 {
			t.Errorf("event %d is in place %d", got, i+1)
		}
	}
	if read.total != int(sequence) || sequence < 3 {
		t.Errorf("%d of %d were read", read.total, sequence)
	}
}
