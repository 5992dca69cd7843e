package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres/postgrestest"
)

// chronicle is the log of two workspaces, and all of what is in it.
type chronicle struct {
	workspace, other core.ID
	people, things   []core.ID
	all              []audit.Record
	outset           time.Time
}

func (c *chronicle) actor(i int) core.Actor {
	if i%9 == 0 {
		return core.System
	}
	return core.Actor{Kind: core.ActorUser, ID: c.people[i%len(c.people)], Name: fmt.Sprintf("Årne_%d%%", i%len(c.people))}
}

func TestSearch(t *testing.T) {
	db := postgrestest.Open(t)
	ctx := context.Background()
	c := &chronicle{workspace: core.NewID(), other: core.NewID(), outset: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	for range 4 {
		c.people, c.things = append(c.people, core.NewID()), append(c.things, core.NewID())
	}
	types := []core.EventType{core.AccountShared, core.AccountUnshared, core.UserUpdated, core.SignInFailed}
	clock := c.outset
	sequencer := &audit.Sequencer{DB: db, Now: func() time.Time { return clock }}
	stop := func() {}
	story := core.NewID()
	for i := range 300 {
		if i%30 == 0 { // the clock goes on, and once it goes back
			stop()
			clock = c.outset.Add(time.Duration(i) * time.Second)
			if i == 120 {
				clock = c.outset.Add(100 * time.Second)
			}
			stop = sequence(t, sequencer)
		}
		for _, workspace := range []core.ID{c.workspace, c.other} {
			event := core.NewEvent(types[i%len(types)], workspace, core.NewCause(c.actor(i), clock), clock,
				core.Target{Kind: "account", ID: c.things[i%len(c.things)], Name: fmt.Sprintf("Wiki \"%d\"", i)}).With("outcome", "failure")
			if i%10 == 0 {
				event = event.Failed("no")
			}
			if i%50 == 0 {
				event.Correlation = story
			}
			record(t, db, event)
		}
		if i%30 == 29 {
			settle(t, db)
		}
	}
	c.all = verified(t, db, c.workspace)
	if !slices.IsSortedFunc(c.all, func(a, b audit.Record) int { return a.Sequenced.Compare(b.Sequenced) }) {
		t.Error("within a workspace time went back")
	}
	at := func(seconds int) time.Time { return c.outset.Add(time.Duration(seconds) * time.Second) }
	conditions := map[string]struct {
		query audit.Query
		meets func(audit.Record) bool
	}{
		"all":         {audit.Query{}, func(audit.Record) bool { return true }},
		"target":      {audit.Query{Target: c.things[1]}, func(r audit.Record) bool { return r.Event.Targets[0].ID == c.things[1] }},
		"actor":       {audit.Query{Actor: c.people[2]}, func(r audit.Record) bool { return r.Event.Actor.ID == c.people[2] }},
		"correlation": {audit.Query{Correlation: story}, func(r audit.Record) bool { return r.Event.Correlation == story }},
		"types": {audit.Query{Types: []core.EventType{core.AccountShared, core.SignInFailed}}, func(r audit.Record) bool {
			return r.Event.Type == core.AccountShared || r.Event.Type == core.SignInFailed
		}},
		"failure": {audit.Query{Outcome: core.Failure}, func(r audit.Record) bool { return r.Event.Outcome == core.Failure }},
		"success": {audit.Query{Outcome: core.Success}, func(r audit.Record) bool { return r.Event.Outcome == core.Success }},
		"text in the actor": {audit.Query{Text: "ÅRNE_1%"}, func(r audit.Record) bool {
			return r.Event.Actor.Name == "Årne_1%"
		}},
		"text in a target": {audit.Query{Text: `wiki "29`}, func(r audit.Record) bool { return strings.HasPrefix(r.Event.Targets[0].Name, `Wiki "29`) }},
		"since":            {audit.Query{Since: at(150)}, func(r audit.Record) bool { return !r.Sequenced.Before(at(150)) }},
		"until":            {audit.Query{Until: at(90)}, func(r audit.Record) bool { return r.Sequenced.Before(at(90)) }},
		"between":          {audit.Query{Since: at(60), Until: at(61)}, func(r audit.Record) bool { return !r.Sequenced.Before(at(60)) && r.Sequenced.Before(at(61)) }},
		"before all":       {audit.Query{Until: at(0)}, func(audit.Record) bool { return false }},
		"after all":        {audit.Query{Since: at(10_000)}, func(audit.Record) bool { return false }},
		"reader": {audit.Query{Reader: &audit.Reader{User: c.people[1], Accounts: c.things[:1]}}, func(r audit.Record) bool {
			return r.Event.Actor.ID == c.people[1] || r.Event.Targets[0].ID == c.things[0]
		}},
	}
	// Each by itself, and every two together.
	for one, first := range conditions {
		for other, second := range conditions {
			query := first.query
			merge(&query, second.query)
			if one != other && conflicting(first.query, second.query) {
				continue
			}
			var want []int64
			for _, record := range c.all {
				if first.meets(record) && second.meets(record) {
					want = append(want, record.Sequence)
				}
			}
			for _, descending := range []bool{false, true} {
				query.Descending, query.Limit = descending, 1+rand.IntN(60)
				query.AfterSequence, query.BeforeSequence = 0, 0
				var got []int64
				for pages := 0; ; pages++ {
					found, err := audit.Search(ctx, db, c.workspace, query)
					if err != nil || pages > 400 {
						t.Fatal(one, other, pages, err)
					}
					for _, record := range found.Records {
						got = append(got, record.Sequence)
					}
					if !found.More {
						if head := c.all[len(c.all)-1].Sequence; !descending && query.Until.IsZero() && found.Next != head && len(want) < len(c.all) {
							t.Errorf("%s and %s: looked as far as %d of %d", one, other, found.Next, head)
						}
						break
					}
					if descending {
						query.BeforeSequence = found.Next
					} else {
						query.AfterSequence = found.Next
					}
				}
				if descending {
					slices.Reverse(got)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s and %s, descending %v, %d at a time: %s", one, other, descending, query.Limit, diff)
				}
			}
		}
	}
	if found, err := audit.Search(ctx, db, core.NewID(), audit.Query{}); err != nil || len(found.Records) != 0 || found.More {
		t.Errorf("%v, %v", found, err)
	}
}

func merge(into *audit.Query, from audit.Query) {
	if !from.Target.IsZero() {
		into.Target = from.Target
	}
	if !from.Actor.IsZero() {
		into.Actor = from.Actor
	}
	if !from.Correlation.IsZero() {
		into.Correlation = from.Correlation
	}
	if len(from.Types) > 0 {
		into.Types = from.Types
	}
	if from.Outcome != "" {
		into.Outcome = from.Outcome
	}
	if from.Text != "" {
		into.Text = from.Text
	}
	if !from.Since.IsZero() {
		into.Since = from.Since
	}
	if !from.Until.IsZero() {
		into.Until = from.Until
	}
	if from.Reader != nil {
		into.Reader = from.Reader
	}
}

// conflicting reports whether two conditions say the same of an event.
func conflicting(one, other audit.Query) bool {
	return one.Outcome != "" && other.Outcome != "" || one.Text != "" && other.Text != "" ||
		!one.Since.IsZero() && !other.Since.IsZero() || !one.Until.IsZero() && !other.Until.IsZero()
}

const manyEvents = `
insert into audit_log (position, workspace_id, sequence, event_id, type, occurred, correlation, actor, failed, event, previous, hash, sequenced)
select n * 2 + @offset::int, @workspace, n, gen_random_uuid(), 'kind.' || n % 100, @start::timestamptz + n * interval '10 minutes', gen_random_uuid(),
	case when n % 1000 = 7 then @rare::uuid else @common::uuid end, n % 500 = 3,
	format('{"actor":{"id":"%s","kind":"user","name":"N%s"},"correlation":"%s","id":"%s","occurred":"2026-11-21T12:00:00Z","outcome":"%s","targets":[{"kind":"account","name":"A%s"}],"type":"account.shared","workspace":"%s"}',
		case when n % 1000 = 7 then @rare::uuid else @common::uuid end, n % 50, gen_random_uuid(), gen_random_uuid(), case when n % 500 = 3 then 'failure' else 'success' end, n, @workspace::uuid),
	'\x00', '\x00', @start::timestamptz + n * interval '10 minutes'
from generate_series(1, @count::int) n`

const manyTargets = `
insert into audit_targets (workspace_id, target_id, sequence, sequenced)
select @workspace, case when n % 1000 = 9 then @rare::uuid else @common::uuid end, n, @start::timestamptz + n * interval '10 minutes' from generate_series(1, @count::int) n`

// A page costs what it shows: whichever condition leads, PostgreSQL looks at about as many rows as the page has,
// however many there are, with statistics and without.
func TestSearchCostsWhatItShows(t *testing.T) {
	for name, meanwhile := range map[string]string{
		"nothing known": "",
		// As autovacuum leaves a table that is being filled: large, and nothing in it that counts.
		"counted while it was filled": "vacuum audit_log, audit_targets",
	} {
		t.Run(name, func(t *testing.T) { searchCostsWhatItShows(t, meanwhile) })
	}
}

func searchCostsWhatItShows(t *testing.T, meanwhile string) {
	db := postgrestest.Open(t)
	ctx := t.Context()
	workspace, other, rare, common := core.NewID(), core.NewID(), core.NewID(), core.NewID()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const count = 30_000
	// Half a year and more. What PostgreSQL knows of the tables is up to the test.
	if _, err := db.Exec(ctx, `
select audit_month(m) from generate_series('2026-01-01'::timestamptz, '2026-08-01', '1 month') m;
do $$ declare child regclass; begin
	for child in select inhrelid from pg_inherits where inhparent in ('audit_log'::regclass, 'audit_targets'::regclass) loop
		execute format('alter table %s set (autovacuum_enabled = off)', child);
	end loop;
end $$`); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(ctx, func(tx pgx.Tx) error {
		for offset, id := range []core.ID{workspace, other} {
			if _, err := tx.Exec(ctx, manyEvents, pgx.StrictNamedArgs{"offset": offset, "workspace": id, "start": start, "rare": rare, "common": common, "count": count}); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, manyTargets, pgx.StrictNamedArgs{"workspace": id, "start": start, "rare": rare, "common": common, "count": count}); err != nil {
				return err
			}
		}
		_, err := db.Exec(ctx, meanwhile)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	check := func(stage string) {
		for name, query := range map[string]audit.Query{
			"all": {}, "a rare target": {Target: rare}, "a common target": {Target: common}, "a rare actor": {Actor: rare}, "a common actor": {Actor: common},
			"types": {Types: []core.EventType{"kind.3", "kind.77"}}, "failures": {Outcome: core.Failure}, "successes": {Outcome: core.Success},
			"since": {Since: start.Add(200_000 * time.Minute)}, "until": {Until: start.Add(200_000 * time.Minute)},
			"a reader": {Reader: &audit.Reader{User: rare, Accounts: []core.ID{core.NewID(), rare, core.NewID()}}},
			"a name":   {Text: "n7"},
		} {
			for _, descending := range []bool{false, true} {
				query.Descending, query.Limit = descending, 20
				rows := audit.Looked(t, db, workspace, query)
				bound := 20 * 60.0
				if query.Text != "" {
					bound *= 10 // one in fifty has it
				}
				if rows > bound {
					t.Errorf("%s, %s, descending %v: looks at %.0f rows for a page of 20", stage, name, descending, rows)
				}
			}
		}
	}
	check("as it was filled")
	// As autovacuum leaves a table that has just grown: its size is known, and nothing of what is in it.
	for _, done := range []string{"vacuum", "analyze"} {
		if _, err := db.Exec(ctx, done+" audit_log, audit_targets"); err != nil {
			t.Fatal(err)
		}
		check(done)
	}
	// And what no index helps with ends after its reach.
	if rows := audit.Looked(t, db, workspace, audit.Query{Text: "nobody", Limit: 20}); rows > 8*audit.Reach {
		t.Errorf("a name nobody has: looks at %.0f rows", rows)
	}
	found, err := audit.Search(ctx, db, workspace, audit.Query{Text: "nobody", Limit: 20})
	if err != nil || !found.More || found.Next != audit.Reach || len(found.Records) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}
