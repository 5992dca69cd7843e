package sinks

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"postern/core"
	"postern/core/postgres"
	"postern/siem/sink"
	"postern/siem/stream"
)

// How a runner works when nothing else is said.
const (
	look        = time.Second
	memory      = 64 << 20
	laneMemory  = 2 << 20
	shares      = 8 // a workspace has one of them at most
	readers     = 4
	servedEvery = 20 * time.Second
	linger      = 5 * time.Millisecond
	batch       = 1 << 20
)

var errGone = errors.New("the sink is not there any more")

// Runner delivers to the sinks of all workspaces. Processes that run one share the partitions, and so the workspaces.
type Runner struct {
	Service *Service
	Cluster stream.Cluster
	Waits   sink.Waits
	// Look is how often it is looked for changes. Default 1 s.
	Look time.Duration
	// Drain is how long requests that are under way may take when Run's ctx ends, as in sink.Sink.
	Drain time.Duration
	// Memory is how many bytes of events may wait in the process, over all lanes. Default 64 MB.
	Memory int64

	once  sync.Once
	reads *semaphore.Weighted

	room sync.Mutex
	used int64             // bytes that wait
	by   map[core.ID]int64 // workspace

	mutex  sync.Mutex
	roster []entry
	at     time.Time
}

// entry is a sink that is to have a lane.
type entry struct {
	ID        core.ID `db:"id"`
	Workspace core.ID `db:"workspace_id"`
	Revision  int64   `db:"revision"`
	Held      bool    `db:"held"`
}

// Group is the consumer group of all sinks of workspaces.
const Group = "postern-workspace-sinks"

// Run delivers until ctx ends, then lets what is under way finish within Drain and a few seconds, and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	r.once.Do(func() { r.reads = semaphore.NewWeighted(readers) })
	consumer := &stream.Consumer{Cluster: r.Cluster, Group: Group, Log: r.Service.log(), Drain: r.Drain}
	return consumer.Run(ctx, r.serve)
}

func (r *Runner) probe() time.Duration { return cmp.Or(r.Waits.Probe, 30*time.Second) }

// reserve asks for room for an event of a lane that has some already. All lanes of a workspace have a share together.
func (r *Runner) reserve(workspace core.ID, has, size int64) bool {
	if has > 0 && has+size > laneMemory {
		return false
	}
	r.room.Lock()
	defer r.room.Unlock()
	if most := cmp.Or(r.Memory, int64(memory)); r.used+size > most || r.by[workspace]+size > most/shares {
		return false
	}
	if r.by == nil {
		r.by = map[core.ID]int64{}
	}
	r.used += size
	r.by[workspace] += size
	return true
}

func (r *Runner) free(workspace core.ID, size int64) {
	r.room.Lock()
	defer r.room.Unlock()
	r.used -= size
	if r.by[workspace] -= size; r.by[workspace] == 0 {
		delete(r.by, workspace)
	}
}

// serve runs the lanes of the workspaces whose events come by one partition.
func (r *Runner) serve(ctx context.Context, assignment *stream.Assignment) {
	lanes := &lanes{runner: r, partition: assignment.Partition, ended: assignment.Ended, all: map[core.ID]*lane{}, of: map[core.ID][]*lane{}}
	var keeping sync.WaitGroup
	keeping.Go(func() { lanes.keep(ctx) })
	defer keeping.Wait()
	for {
		found, err := assignment.Fetch(ctx, batch, linger)
		if len(found.Messages) == 0 && err != nil {
			return
		}
		for _, message := range found.Messages {
			if message.Fault == nil {
				lanes.offer(message.Event)
			}
		}
		// How far each sink has come is in the database: the group's offset is only where to go on listening.
		if err := assignment.Commit(found.Messages[len(found.Messages)-1]); err != nil {
			return
		}
	}
}

const selectRoster = `select id, workspace_id, revision, held from workspace_sinks where enabled`

// all are the sinks of all workspaces that are to have lanes, as they were a moment ago.
func (r *Runner) all(ctx context.Context) ([]entry, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if time.Since(r.at) < cmp.Or(r.Look, look)/2 {
		return r.roster, nil
	}
	rows, err := r.Service.DB.Query(ctx, selectRoster)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	if r.roster, err = collect(rows); err != nil {
		return nil, err
	}
	r.at = time.Now()
	return r.roster, nil
}

// patiently tries until it succeeds or ctx ends.
func (r *Runner) patiently(ctx context.Context, work func() error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := work()
		switch {
		case err == nil, errors.Is(err, errGone):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		r.Service.log().WarnContext(ctx, "a sink of a workspace cannot go on, trying again", "in", pause, "error", err)
		core.Rest(ctx, pause)
	}
}

// write records what was delivered, patiently, and once more when ctx has ended: what is not recorded comes again.
func (r *Runner) write(ctx context.Context, work func(ctx context.Context) error) {
	if ctx.Err() == nil && r.patiently(ctx, func() error { return work(ctx) }) == nil {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := work(last); err != nil {
		r.Service.log().WarnContext(ctx, "what was delivered could not be recorded, it will come again", "error", err)
	}
}
