package gateway

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/sinks"
)

// What workspaces have their events delivered to is told by kind and state. Which workspaces there are, how many sinks
// they make and what they call them must not choose the series.
var (
	ownSinks  = figure("workspace_sinks", "Sinks of workspaces, by kind and state.", "kind", "state")
	ownLag    = figure("workspace_sinks_lag_events", "Events of the log that wait for sinks of workspaces, by kind and state.", "kind", "state")
	ownLagTop = figure("workspace_sinks_lag_events_most", "Events that wait for the one of them that is behind the furthest.", "kind", "state")
	ownDead   = figure("workspace_sinks_dead_letters", "Events that receivers of workspaces refused for what they are, and that are kept.", "kind")
)

// ownSinksSource reads how the sinks of all workspaces go. Every kind has its series, so that zero can be told from nothing.
func ownSinksSource(db *postgres.DB, kinds []string) source {
	return source{"workspace_sinks", func(ctx context.Context, give func(*prometheus.Desc, float64, ...string)) error {
		found, err := sinks.ReadLoads(ctx, db)
		if err != nil {
			return err
		}
		type place struct {
			kind  string
			state audit.SinkStatus
		}
		loads := map[place]sinks.Load{}
		for _, one := range found {
			loads[place{one.Kind, one.State}] = one
		}
		for _, kind := range kinds {
			dead := int64(0)
			for _, state := range sinks.States {
				one := loads[place{kind, state}]
				give(ownSinks, float64(one.Sinks), kind, string(state))
				give(ownLag, float64(one.Lag), kind, string(state))
				give(ownLagTop, float64(one.Most), kind, string(state))
				dead += one.Dead
			}
			give(ownDead, float64(dead), kind)
		}
		return nil
	}}
}

// Sent implements sinks.Meter.
func (m *metrics) Sent(kind, verdict string, events int) {
	m.sinkRequests.WithLabelValues(kind, verdict).Inc()
	if verdict == sinks.Verdicts[0] {
		m.sinkEvents.WithLabelValues(kind).Add(float64(events))
	}
}
