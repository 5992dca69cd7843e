package replay

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/journal"
	"postern/core/postgres"
)

// compare reads both sides and says where they are apart. The live side is read at one moment, with
// the entries that came after the stretch: what they changed is no longer what the stretch made.
func (p *player) compare(ctx context.Context) error {
	c := comparison{apart: map[core.ID]bool{}}
	known := slices.Concat(slices.Collect(maps.Keys(p.made)), slices.Collect(maps.Keys(p.mentions)))
	err := pgx.BeginTxFunc(ctx, p.live, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if c.live, err = read(ctx, tx, p.workspace, p.connection.ID, known); err != nil {
			return err
		}
		for _, query := range []journal.Query{{After: p.last}, {From: p.To}} {
			query.Connection, query.Changes, query.Limit = p.connection.ID, true, journal.MaxLimit
			for more := true; more; {
				page, err := journal.List(ctx, tx, p.workspace, query)
				if err != nil {
					return err
				}
				for _, entry := range page {
					query.After = entry.ID
					if entry.Status < http.StatusBadRequest {
						c.apart[entry.Resource] = true
					}
				}
				more = len(page) == query.Limit
			}
		}
		return nil
	})
	if err != nil {
		return postgres.Classify(err)
	}
	for id := range c.apart {
		if p.made[id] || p.mentions[id] {
			p.report.ChangedAfterward++
		}
	}
	if c.replayed, err = p.replayed(ctx, known); err != nil {
		return err
	}
	// What the stretch only mentions and nobody could seed is not there to be compared.
	for id := range p.mentions {
		if _, seeded := c.replayed.people[id]; !seeded {
			delete(c.live.people, id)
		}
		if _, seeded := c.replayed.groups[id]; !seeded {
			delete(c.live.groups, id)
		}
	}
	if !p.connection.Provisioning.Entitlements { // who has what is none of its business
		clear(c.live.holds)
		clear(c.replayed.holds)
	}
	p.report.Differences = append(p.report.Differences, c.run()...)
	return nil
}

// replayed is the scratch's state under the live ids.
func (p *player) replayed(ctx context.Context, known []core.ID) (state, error) {
	inside := make([]core.ID, 0, len(known)+len(p.liveOf))
	for _, id := range known {
		if _, renamed := p.scratchOf[id.String()]; !renamed {
			inside = append(inside, id)
		}
	}
	for name := range p.liveOf {
		id, err := core.ParseID(name)
		if err != nil {
			return state{}, core.Internal(fmt.Errorf("replay: %w", err))
		}
		inside = append(inside, id)
	}
	found, err := read(ctx, p.scratch.db, p.scratch.workspace, p.scratch.connection.ID, inside)
	if err != nil {
		return state{}, err
	}
	outside := func(id core.ID) core.ID {
		if name, known := p.liveOf[id.String()]; known {
			id, _ = core.ParseID(name)
		}
		return id
	}
	named := newState()
	for id, one := range found.people {
		one.ID, one.Attributes = outside(id), []byte(translate(string(one.Attributes), p.liveOf))
		named.people[one.ID] = one
	}
	for id, one := range found.groups {
		one.ID, one.Attributes = outside(id), []byte(translate(string(one.Attributes), p.liveOf))
		named.groups[one.ID] = one
	}
	for one := range found.members {
		named.members[membership{outside(one.Group), outside(one.User)}] = true
	}
	for one := range found.holds {
		named.holds[entitlement{outside(one.User), outside(one.Account), one.Role}] = true
	}
	return named, nil
}
