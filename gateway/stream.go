package gateway

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/connectors/guard"
	"postern/core"
	"postern/core/seal"
	"postern/siem/ocsf"
	"postern/siem/relay"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
	"postern/siem/stream"
	"postern/siem/sumologic"
)

func (g *Gateway) cluster() stream.Cluster {
	return stream.Cluster{Brokers: g.config.Kafka, Topic: g.config.KafkaTopic}
}

// relay gives events their sequence and publishes them. Of all processes one leads.
func (g *Gateway) relay(ctx context.Context) error {
	producer, err := stream.NewProducer(g.cluster())
	if err != nil {
		return err
	}
	defer producer.Close()
	publish := &relay.Relay{DB: g.db, Publisher: producer, Mapper: mapper(), Log: g.log}
	g.sequencer.Moved = publish.Wake
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.sequencer.Run(ctx) })
	group.Go(func() error { return publish.Run(ctx) })
	return group.Wait()
}

// receivers lists where the events of all workspaces go, by the name of the sink.
func (g *Gateway) receivers() map[string]sink.Receiver {
	open := func(reference string) func() (seal.Secret, error) {
		return func() (seal.Secret, error) { return OpenReference(reference) }
	}
	receivers := map[string]sink.Receiver{}
	if g.config.SplunkURL != "" {
		receivers["splunk"] = &splunk.Receiver{
			URL: g.config.SplunkURL, Token: open(g.config.SplunkToken), HTTP: g.outgoing(90 * time.Second), Index: g.config.SplunkIndex,
		}
	}
	if g.config.SumoURL != "" {
		receivers["sumologic"] = &sumologic.Receiver{URL: open(g.config.SumoURL), HTTP: g.outgoing(time.Minute)}
	}
	return receivers
}

// kinds lists what workspaces can make sinks of. A kind is a line here.
func (g *Gateway) kinds() map[string]sink.Kind {
	plain := g.config.AllowPrivate
	client := guard.Client(guard.Options{AllowPrivate: plain, MaxBody: 16 << 20, Timeout: 90 * time.Second})
	return map[string]sink.Kind{
		"splunk": sink.NewKind("Splunk", func(s splunk.Settings, c splunk.Secrets) (sink.Receiver, error) {
			return splunk.New(s, c, client, plain)
		}),
		"sumologic": sink.NewKind("Sumo Logic", func(s sumologic.Settings, c sumologic.Secrets) (sink.Receiver, error) {
			return sumologic.New(s, c, client, plain)
		}),
	}
}

// destinations makes what keeps the sinks of workspaces.
func (g *Gateway) destinations() *sinks.Service {
	return &sinks.Service{DB: g.db, Vault: g.vault, Kinds: g.kinds(), Mapper: mapper(), Log: g.log, Now: g.now, Wake: g.sequencer.Wake}
}

// sink delivers to every receiver, those of all workspaces and those of one. A receiver that is down holds up no
// other.
func (g *Gateway) sink(ctx context.Context) error {
	if err := g.ensureTopic(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	own := &sinks.Runner{Service: g.own, Cluster: g.cluster()}
	group.Go(func() error { return own.Run(ctx) })
	for _, one := range g.sinks {
		group.Go(func() error { return one.Run(ctx) })
	}
	return group.Wait()
}

// ensureTopic waits for Kafka: a cluster that is away at the start comes back, a topic that is wrong
// does not.
func (g *Gateway) ensureTopic(ctx context.Context) error {
	for ctx.Err() == nil {
		err := g.cluster().Ensure(ctx)
		if err == nil || core.KindOf(err) == core.KindConflict {
			return err
		}
		g.log.WarnContext(ctx, "Kafka is not ready", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
	return nil
}

// outgoing is the guarded client for receivers, whose answers are short.
func (g *Gateway) outgoing(timeout time.Duration) *http.Client {
	return guard.Client(guard.Options{AllowPrivate: g.config.AllowPrivate, MaxBody: 64 << 10, Timeout: timeout})
}

func mapper() ocsf.Mapper { return ocsf.Mapper{Release: release()} }

// release is the version this binary was built as.
func release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
