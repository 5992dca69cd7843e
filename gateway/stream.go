package gateway

import (
	"context"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/siem/jsonl"
	"postern/siem/ocsf"
	"postern/siem/relay"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
	"postern/siem/stream"
	"postern/siem/sumologic"
)

// relay gives events their sequence and publishes them. Of all processes one leads.
func (g *Gateway) relay(ctx context.Context) error {
	producer, err := stream.NewProducer(g.cluster)
	if err != nil {
		return err
	}
	defer producer.Close()
	publish := &relay.Relay{DB: g.db, Publisher: producer, Mapper: mapper(), Log: g.log}
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

// receivers lists where the events of all workspaces go, by the name of the sink.
func (g *Gateway) receivers() (map[string]sink.Receiver, error) {
	open := func(reference string) func() (seal.Secret, error) {
		return func() (seal.Secret, error) { return OpenReference(reference) }
	}
	dial := g.dial()
	receivers := map[string]sink.Receiver{}
	if g.config.SplunkURL != "" {
		receiver, err := splunk.New(splunk.Settings{URLs: []string{g.config.SplunkURL}, Index: g.config.SplunkIndex}, splunk.Secrets{Token: open(g.config.SplunkToken)}, dial)
		if err != nil {
			return nil, err
		}
		receivers["splunk"] = receiver
	}
	if g.config.SumoURL != "" {
		receiver, err := sumologic.New(sumologic.Settings{}, sumologic.Secrets{URL: open(g.config.SumoURL)}, dial)
		if err != nil {
			return nil, err
		}
		receivers["sumologic"] = receiver
	}
	if g.config.EventsFolder != "" {
		receiver, err := jsonl.New(jsonl.Settings{Folder: g.config.EventsFolder})
		if err != nil {
			return nil, err
		}
		receivers["files"] = receiver
	}
	return receivers, nil
}

// destinations makes what keeps the sinks of workspaces.
func (g *Gateway) destinations() *sinks.Service {
	return &sinks.Service{DB: g.db, Vault: g.vault, Kinds: g.kinds(), Mapper: mapper(), Log: g.log, Now: g.now, Wake: g.sequencer.Wake, Meter: g.metrics}
}

// sink delivers to every receiver, those of all workspaces and those of one. A receiver that is down holds up no
// other.
func (g *Gateway) sink(ctx context.Context) error {
	if err := g.ensureTopic(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	own := &sinks.Runner{Service: g.own, Cluster: g.cluster}
	group.Go(func() error { return own.Run(ctx) })
	for _, one := range g.sinks {
		group.Go(func() error {
			defer func() { _ = one.Receiver.Close() }()
			return one.Run(ctx)
		})
	}
	return group.Wait()
}

func mapper() ocsf.Mapper { return ocsf.Mapper{Release: release()} }

// release is the version this binary was built as.
func release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
