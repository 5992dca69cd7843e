package sinks

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/siem/stream"
)

// lanes are those of one partition.
type lanes struct {
	runner    *Runner
	partition int
	ended     <-chan struct{} // closed when the partition is given up within seconds

	mutex sync.RWMutex
	all   map[core.ID]*lane   // by sink
	of    map[core.ID][]*lane // by workspace
}

func collect(rows pgx.Rows) ([]entry, error) {
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[entry])
	return found, postgres.Classify(err)
}

func (l *lanes) offer(event stream.Event) {
	l.mutex.RLock()
	defer l.mutex.RUnlock()
	for _, one := range l.of[event.Workspace] {
		one.offer(event)
	}
}

const updateServed = `update workspace_sinks set served = @now where id = any(@ids)`

// keep starts a lane for every sink, a new one when its sink changed, and ends those whose sink is gone.
func (l *lanes) keep(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	partitions := cmp.Or(l.runner.Cluster.Partitions, stream.DefaultPartitions)
	served := time.Time{}
	for ctx.Err() == nil {
		found, err := l.runner.all(ctx)
		if err != nil {
			l.runner.Service.log().WarnContext(ctx, "the sinks of workspaces cannot be read, trying again", "error", err)
			core.Rest(ctx, time.Second)
			continue
		}
		wanted := map[core.ID]entry{}
		for _, one := range found {
			if stream.Partition(one.Workspace, partitions) == l.partition {
				wanted[one.ID] = one
			}
		}
		l.settle(ctx, &running, wanted)
		if time.Since(served) >= servedEvery && len(wanted) > 0 {
			ids := make([]core.ID, 0, len(wanted))
			for id := range wanted {
				ids = append(ids, id)
			}
			if _, err := l.runner.Service.DB.Exec(ctx, updateServed, pgx.StrictNamedArgs{"now": l.runner.Service.now(), "ids": ids}); err == nil {
				served = time.Now()
			}
		}
		core.Rest(ctx, cmp.Or(l.runner.Look, look))
	}
}

func (l *lanes) settle(ctx context.Context, running *sync.WaitGroup, wanted map[core.ID]entry) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for id, one := range l.all {
		if _, there := wanted[id]; !there {
			one.stop()
			delete(l.all, id)
		}
	}
	for id, one := range wanted {
		before := l.all[id]
		if before != nil && before.Revision == one.Revision {
			continue
		}
		working, stop := context.WithCancel(ctx)
		next := &lane{
			entry: one, runner: l.runner, stop: stop, done: make(chan struct{}), ended: l.ended,
		}
		if before != nil {
			before.stop()
		}
		l.all[id] = next
		running.Go(func() {
			defer close(next.done)
			defer stop()
			if before != nil { // a sink has one lane at a time, or order would be lost
				<-before.done
			}
			next.run(working)
		})
	}
	clear(l.of)
	for _, one := range l.all {
		l.of[one.Workspace] = append(l.of[one.Workspace], one)
	}
	for _, some := range l.of {
		slices.SortFunc(some, func(a, b *lane) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	}
}
