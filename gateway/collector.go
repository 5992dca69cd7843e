package gateway

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/core"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/webhooks/delivery"
)

const (
	collectTimeout = 3 * time.Second
	// collectEvery spares the sources when several scrape at once.
	collectEvery = time.Second
)

// source is one place figures are read from, when they are asked for.
type source struct {
	name string
	read func(ctx context.Context, give func(figure *prometheus.Desc, value float64, labels ...string)) error
}

// collector reads what is true of the whole installation, whichever process is asked. A source that
// does not answer in time is told as down, and the others' figures are served without it.
type collector struct {
	sources []source

	lock  sync.Mutex
	taken time.Time
	last  []prometheus.Metric
}

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("postern_"+name, help, labels, nil)
}

var (
	sourceUp          = figure("source_up", "Whether figures could be read from a source: 1 or 0.", "source")
	eventsUnsequenced = figure("events_unsequenced", "Events that are committed and not yet in the log.")
	eventsUnpublished = figure("events_unpublished", "Events in the log that the relay has not published yet.")
	eventsOldest      = figure("events_oldest_seconds", "Age of the oldest event that is not published yet.")
	eventsUnlogged    = figure("events_unsequenced_seconds", "Age of the oldest event that is committed and not yet in the log: how far the sequencer is behind.")
	eventsUntold      = figure("events_unpublished_seconds", "Since when the oldest event that is not published yet is in the log: how far the relay is behind.")
	eventsHeld        = figure("events_held", "Committed events that no sequence is given to because an older transaction is still open.")
	eventsHeldFor     = figure("events_held_seconds", "How long the oldest of them has waited for that transaction.")
	eventsUnreadable  = figure("events_unreadable", "Records that were damaged in the log: a tombstone was published for each, and a dead letter kept.")
	rotationsOpen     = figure("rotations_open", "Rotations under way, by state.", "state")
	lockouts          = figure("lockouts", "Leavers' passwords by what became of them within the window: in_time, late, and open for longer than the objective.", "window", "result")
	lockoutBurn       = figure("lockout_burn_rate", "How fast the late ones spend what the target allows: above 1 it will not be kept.", "window")
	lockoutObjective  = figure("lockout_objective_seconds", "How soon a leaver's passwords should be proven dead.")
	lockoutTarget     = figure("lockout_target_ratio", "The share of them that should be.")
	jobsOpen          = figure("jobs", "Jobs that are not done, by state.", "state")
	jobsWaiting       = figure("jobs_waiting_seconds", "Since when the job that waits longest is due.")
	holdsOpen         = figure("holds_open", "Mass departures that wait for an administrator.")
	holdsPeople       = figure("holds_people", "People whose departure waits for an administrator.")
	holdsOldest       = figure("holds_oldest_seconds", "Since when the oldest of them waits.")
	leavers           = figure("leavers", "People who are shut out and from whom everything is to be taken.")
	leaversFailing    = figure("leavers_failing", "People among them with whom that has failed and is tried again.")
	leaversOldest     = figure("leavers_oldest_seconds", "Since when the first of them is shut out.")
	sinkState         = figure("sink_state", "1 for the state a sink is in, 0 for the others.", "sink", "state")
	sinkDead          = figure("sink_dead_letters", "Events that the receiver of a sink refused for what they are, and that are kept; of the sink relay: records that could not be read.", "sink")
	sinkLag           = figure("sink_lag_events", "Events in Kafka that a sink has not delivered yet.", "sink")
	destinations      = figure("delivery_destinations", "Receivers, logout targets and webhooks, by state.", "kind", "state")
	destinationsDown  = figure("delivery_destinations_failing", "Running destinations whose last attempt failed.", "kind")
	deliveriesQueued  = figure("deliveries_queued", "Messages that wait for their destination, by its state.", "kind", "state")
	deliveriesOldest  = figure("deliveries_oldest_seconds", "Since when the oldest of them waits.", "kind", "state")
	deadLetters       = figure("delivery_dead_letters", "Messages that were refused or given up, and are kept.", "kind")
)

// windows are the times before now that the burn rate is told for: a short and a long one to be woken by, and one to
// look at in the morning.
var windows = map[string]time.Duration{"1h": time.Hour, "6h": 6 * time.Hour, "3d": 72 * time.Hour}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{
		sourceUp, eventsUnsequenced, eventsUnpublished, eventsOldest,
		eventsUnlogged, eventsUntold, eventsHeld, eventsHeldFor, eventsUnreadable, rotationsOpen, lockouts, lockoutBurn, lockoutObjective, lockoutTarget, jobsOpen, jobsWaiting, holdsOpen, holdsPeople, holdsOldest,
		leavers, leaversFailing, leaversOldest, sinkState, sinkDead, sinkLag,
		destinations, destinationsDown, deliveriesQueued, deliveriesOldest, deadLetters,
		ownSinks, ownLag, ownLagTop, ownDead,
	} {
		out <- one
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if time.Since(c.taken) > collectEvery {
		c.last = c.gather()
		c.taken = time.Now()
	}
	for _, one := range c.last {
		out <- one
	}
}

// gather asks all sources at once.
func (c *collector) gather() []prometheus.Metric {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	found := make([][]prometheus.Metric, len(c.sources))
	var all sync.WaitGroup
	for i, one := range c.sources {
		all.Go(func() {
			up := 1.0
			give := func(figure *prometheus.Desc, value float64, labels ...string) {
				found[i] = append(found[i], prometheus.MustNewConstMetric(figure, prometheus.GaugeValue, value, labels...))
			}
			if one.read(ctx, give) != nil {
				up, found[i] = 0, nil
			}
			give(sourceUp, up, one.name)
		})
	}
	all.Wait()
	var flat []prometheus.Metric
	for _, some := range found {
		flat = append(flat, some...)
	}
	return flat
}

// databaseSource reads what PostgreSQL knows.
func databaseSource(db *postgres.DB, config Config, now func() time.Time) source {
	objective, target := cmp.Or(config.LockoutObjective, time.Minute), cmp.Or(config.LockoutTarget, 0.99)
	return source{"database", func(ctx context.Context, give func(*prometheus.Desc, float64, ...string)) error {
		events, err := audit.ReadBacklog(ctx, db, now())
		if err != nil {
			return err
		}
		give(eventsUnsequenced, float64(events.Unsequenced))
		give(eventsUnpublished, float64(events.Unpublished))
		give(eventsOldest, events.Oldest.Seconds())
		give(eventsUnlogged, events.Sequencer.Seconds())
		give(eventsUntold, events.Relay.Seconds())
		give(eventsUnreadable, float64(events.Unreadable))
		held, err := audit.ReadHorizon(ctx, db, now())
		if err != nil {
			return err
		}
		give(eventsHeld, float64(held.Held))
		give(eventsHeldFor, held.Wait.Seconds())

		open, err := rotation.ReadBacklog(ctx, db)
		if err != nil {
			return err
		}
		for _, one := range open {
			give(rotationsOpen, float64(one.Count), string(one.State))
		}

		give(lockoutObjective, objective.Seconds())
		give(lockoutTarget, target)
		for name, window := range windows {
			found, err := rotation.ReadLockouts(ctx, db, now(), window, objective)
			if err != nil {
				return err
			}
			give(lockouts, float64(found.Done-found.Late), name, "in_time")
			give(lockouts, float64(found.Late), name, "late")
			give(lockouts, float64(found.Open), name, "open")
			give(lockoutBurn, found.Burn(target), name)
		}

		queued, err := jobs.ReadBacklog(ctx, db)
		if err != nil {
			return err
		}
		var waiting time.Duration
		for _, one := range queued {
			give(jobsOpen, float64(one.Count), one.State)
			if one.State != "running" {
				waiting = max(waiting, one.Oldest)
			}
		}
		give(jobsWaiting, waiting.Seconds())

		departures, err := lifecycle.ReadBacklog(ctx, db, now())
		if err != nil {
			return err
		}
		give(holdsOpen, float64(departures.Holds))
		give(holdsPeople, float64(departures.People))
		give(holdsOldest, departures.Oldest.Seconds())
		give(leavers, float64(departures.Leavers))
		give(leaversFailing, float64(departures.Failing))
		give(leaversOldest, departures.Longest.Seconds())

		sinks, err := audit.SinkStates(ctx, db)
		if err != nil {
			return err
		}
		dead, err := audit.CountSharedLetters(ctx, db, core.ID{})
		if err != nil {
			return err
		}
		give(sinkDead, float64(dead[audit.Relayed]), audit.Relayed)
		for _, one := range sinks {
			give(sinkDead, float64(dead[one.Name]), one.Name)
			delete(dead, one.Name)
			for _, state := range []audit.SinkStatus{audit.SinkRunning, audit.SinkRetrying, audit.SinkPaused} {
				value := 0.0
				if state == one.State {
					value = 1
				}
				give(sinkState, value, one.Name, string(state))
			}
		}
		delete(dead, audit.Relayed)
		for name, letters := range dead { // of sinks that were forgotten
			give(sinkDead, float64(letters), name)
		}
		return nil
	}}
}

// lagSource reads from Kafka how far a sink of this process is behind.
func lagSource(name string, lag func(ctx context.Context) (int64, error)) source {
	return source{"kafka/" + name, func(ctx context.Context, give func(*prometheus.Desc, float64, ...string)) error {
		events, err := lag(ctx)
		if err == nil {
			give(sinkLag, float64(events), name)
		}
		return err
	}}
}

// deliverySource reads how it goes to tell others, by kind of destination.
func deliverySource(db *postgres.DB, kinds []string, now func() time.Time) source {
	return source{"deliveries", func(ctx context.Context, give func(*prometheus.Desc, float64, ...string)) error {
		found, err := delivery.ReadLoads(ctx, db)
		if err != nil {
			return err
		}
		type place struct {
			kind  string
			state delivery.State
		}
		loads := map[place]delivery.Load{}
		for _, one := range found {
			loads[place{one.Kind, one.State}] = one
		}
		for _, kind := range kinds {
			dead := 0
			for _, state := range delivery.States {
				one, oldest := loads[place{kind, state}], time.Duration(0)
				if one.Oldest != nil {
					oldest = max(0, now().Sub(*one.Oldest))
				}
				give(destinations, float64(one.Lanes), kind, string(state))
				give(deliveriesQueued, float64(one.Waiting), kind, string(state))
				give(deliveriesOldest, oldest.Seconds(), kind, string(state))
				dead += one.Dead
			}
			give(destinationsDown, float64(loads[place{kind, delivery.Running}].Failing), kind)
			give(deadLetters, float64(dead), kind)
		}
		return nil
	}}
}
