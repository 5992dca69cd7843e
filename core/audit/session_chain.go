package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// change is what one transaction writes.
type change struct {
	entries      []entry // until they are written
	log, targets []byte  // for COPY
	months       []time.Time

	checkpoints []Checkpoint
	heads       map[[16]byte]head // as the change leaves them: the next one moves on while this one is written
	position    int64             // the last one given

	full        bool  // there may be more where they came from
	after, last place // the rows of the outbox it moves; none if they are the same
}

// chain gives entries their places and signs what is due.
func (s *session) chain(ctx context.Context, entries []entry) (*change, error) {
	var workspaces [][16]byte
	known := map[[16]byte]bool{}
	for _, row := range entries {
		if !known[row.workspace] {
			known[row.workspace] = true
			workspaces = append(workspaces, row.workspace)
		}
	}
	if err := s.load(ctx, workspaces); err != nil {
		return nil, err
	}
	changed := &change{entries: make([]entry, 0, len(entries)+len(entries)/int(s.every)+len(workspaces)), heads: make(map[[16]byte]head, len(workspaces))}
	for _, row := range entries {
		chained := s.link(changed, row)
		chained.unsigned++
		if s.key != nil && chained.unsigned >= s.every {
			if err := s.checkpoint(changed, row.workspace); err != nil {
				return nil, err
			}
		}
	}
	s.leave(changed)
	return changed, nil
}

// leave notes in a finished change how it leaves things, and makes it ready to be committed.
func (s *session) leave(changed *change) {
	changed.write()
	changed.position = s.position
	for workspace := range changed.heads {
		changed.heads[workspace] = *s.heads[workspace]
	}
}

// link puts one entry at the end of its workspace's chain. Within it time does not go back, whatever the clock
// does: a time finds its place in the chain by halves.
func (s *session) link(changed *change, row entry) *head {
	chained := s.heads[row.workspace]
	changed.heads[row.workspace] = head{}
	s.position++
	row.position, row.sequence, row.previous = s.position, chained.sequence+1, chained.hash
	row.hash = Hash(row.previous, row.sequence, row.canonical)
	if now := s.now(); now.After(chained.changed) {
		chained.changed = now
	}
	row.sequenced = chained.changed
	chained.sequence, chained.hash = row.sequence, row.hash
	changed.entries = append(changed.entries, row)
	return chained
}

// checkpoint signs a workspace's head and tells of it in the next event.
func (s *session) checkpoint(changed *change, workspace [16]byte) error {
	chained := s.heads[workspace]
	signed := sign(s.key, workspace, chained.sequence, chained.hash, s.now())
	event := signed.event(signed.Signed)
	canonical, err := Canonical(event)
	if err != nil {
		return err
	}
	changed.checkpoints = append(changed.checkpoints, signed)
	s.link(changed, entry{
		workspace: workspace, event: event.ID, correlation: event.Correlation,
		kind: string(event.Type), occurred: event.Occurred, canonical: canonical,
	})
	chained.unsigned = 0
	return nil
}

const selectHeads = `
select workspace_id, sequence, hash, unsigned, changed
from audit_heads
where workspace_id = any(@workspaces::uuid[])`

// load reads the heads of workspaces that are not remembered yet. Those of a change under way are remembered.
func (s *session) load(ctx context.Context, workspaces [][16]byte) error {
	if len(s.heads) > 10_000 && s.committing == nil {
		clear(s.heads)
	}
	var missing []core.ID
	for _, workspace := range workspaces {
		if s.heads[workspace] == nil {
			missing = append(missing, workspace)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := s.reading.Query(ctx, selectHeads, pgx.StrictNamedArgs{"workspaces": missing})
	if err != nil {
		return err
	}
	var workspace [16]byte
	var found head
	if _, err := pgx.ForEachRow(rows, []any{&workspace, &found.sequence, &found.hash, &found.unsigned, &found.changed}, func() error {
		kept := found
		s.heads[workspace] = &kept
		found.hash = nil
		return nil
	}); err != nil {
		return err
	}
	for _, workspace := range missing {
		if s.heads[workspace] == nil {
			s.heads[workspace] = &head{hash: Genesis()}
		}
	}
	return nil
}

const selectQuiet = `
select workspace_id from audit_heads
where unsigned > 0 and changed <= @before
order by changed
limit 500`

// checkpointQuiet signs for the workspaces that have been quiet for a while; nil when there are none. No change may be
// under way.
func (s *session) checkpointQuiet(ctx context.Context) (*change, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := s.reading.Query(ctx, selectQuiet, pgx.StrictNamedArgs{"before": s.now().Add(-checkpointIdle)})
	if err != nil {
		return nil, err
	}
	quiet, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil || len(quiet) == 0 {
		return nil, err
	}
	if err := s.load(ctx, quiet); err != nil {
		return nil, err
	}
	changed := &change{heads: map[[16]byte]head{}}
	for _, workspace := range quiet {
		if err := s.checkpoint(changed, workspace); err != nil {
			return nil, err
		}
	}
	s.leave(changed)
	return changed, nil
}
