package gateway

import (
	"context"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/audit"
	"postern/siem/relay"
	"postern/siem/sinks"
	"postern/siem/stream"
)

// relay gives events their sequence and publishes them. Of all processes one leads.
func (g *Gateway) relay(ctx context.Context) error {
	producer, err := stream.NewProducer(g.cluster)
	if err != nil {
		return err
	}
	defer producer.Close()
	publish := &relay.Relay{DB: g.db, Publisher: producer, Mapper: g.config.Mapper(), Log: g.log}
	g.sequencer.Moved = publish.Wake
	retention := &audit.Retention{DB: g.db, Keep: g.config.AuditRetention, Now: g.now, Log: g.log, Reads: reads, Behind: sinks.Behind}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return retention.Run(ctx) })
	group.Go(func() error { return g.sequencer.Run(ctx) })
	group.Go(func() error {
		if err := g.ensureTopic(ctx); err != nil {
			return err
		}
		return publish.Run(ctx)
	})
	return group.Wait()
}

// reads says whether a workspace's records are of interest to who has a cursor: a sink has one per partition.
func reads(cursor string, workspace core.ID) bool {
	text, of := strings.CutPrefix(cursor, "sink/")
	partition, err := strconv.Atoi(text[strings.LastIndexByte(text, '/')+1:])
	return !of || err != nil || stream.Partition(workspace, stream.DefaultPartitions) == partition
}

// destinations makes what keeps the sinks of workspaces.
func (g *Gateway) destinations() *sinks.Service {
	return &sinks.Service{DB: g.db, Vault: g.vault, Kinds: reaches{g.config.AllowPrivate}.kinds(), Mapper: g.config.Mapper(), Log: g.log, Now: g.now, Wake: g.sequencer.Wake, Meter: g.metrics}
}

// sink delivers to every receiver, those of all workspaces and those of one. A receiver that is down holds up no
// other.
func (g *Gateway) sink(ctx context.Context) error {
	if err := g.ensureTopic(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	own := &sinks.Runner{Service: g.own, Cluster: g.cluster, Drain: g.config.deliveries()}
	group.Go(func() error { return own.Run(ctx) })
	for _, one := range g.sinks {
		group.Go(func() error {
			defer func() { _ = one.Receiver.Close() }()
			return one.Run(ctx)
		})
	}
	return group.Wait()
}

// release is the version this binary was built as.
func release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
