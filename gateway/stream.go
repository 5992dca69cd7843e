package gateway

import (
	"context"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"postern/siem/ocsf"
	"postern/siem/relay"
	"postern/siem/stream"
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
	publish := &relay.Relay{DB: g.db, Publisher: producer, Mapper: ocsf.Mapper{Release: release()}, Log: g.log}
	g.sequencer.Moved = publish.Wake
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.sequencer.Run(ctx) })
	group.Go(func() error { return publish.Run(ctx) })
	return group.Wait()
}

// release is the version this binary was built as.
func release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
