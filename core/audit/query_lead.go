package audit

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// lead is how a query is answered: a source of events in their order by an index, and what is looked at in each.
type lead struct {
	source   string
	order    string
	args     pgx.StrictNamedArgs // of the source
	filters  []string
	filtered pgx.StrictNamedArgs // of the filters
	reach    int                 // events of the source
}

const selectFound = `
select l.position, l.workspace_id, l.sequence, l.event, l.previous, l.hash, l.sequenced
from (`

const columnsFound = `
	select l.position, l.workspace_id, l.sequence, l.type, l.event, l.previous, l.hash, l.sequenced
	from audit_log l`

// The sources. Each names the condition of one index, and gives at most reach events. Where (workspace, sequence) is to
// lead, PostgreSQL is told no more than a range of it: of a log it knows little of it takes one of two conditions for so
// rare that any index would do.
const (
	fromAll = columnsFound + `
	where (l.workspace_id, l.sequence) > (@workspace, @after) and (l.workspace_id, l.sequence) < (@workspace, @before)
	order by l.workspace_id {order}, l.sequence {order} limit @reach`

	fromCorrelation = columnsFound + `
	where l.workspace_id = @workspace and l.correlation = @correlation and l.sequence > @after and l.sequence < @before
	order by l.sequence {order} limit @reach`

	fromActor = columnsFound + `
	where l.workspace_id = @workspace and l.actor = @actor
		and l.sequence > @after and l.sequence < @before
	order by l.sequence {order} limit @reach`

	fromFailures = columnsFound + `
	where l.workspace_id = @workspace and l.failed and l.sequence > @after and l.sequence < @before
	order by l.sequence {order} limit @reach`

	fromTypes = `
	select l.position, l.workspace_id, l.sequence, l.type, l.event, l.previous, l.hash, l.sequenced
	from unnest(@types::text[]) as wanted (type) cross join lateral (` + columnsFound + `
		where l.workspace_id = @workspace and l.type = wanted.type and l.sequence > @after and l.sequence < @before
		order by l.sequence {order} limit @reach
	) l
	order by l.sequence {order} limit @reach`

	fromTarget = `
	select l.position, l.workspace_id, l.sequence, l.type, l.event, l.previous, l.hash, l.sequenced
	from (
		select t.sequence, t.sequenced from audit_targets t
		where t.workspace_id = @workspace and t.target_id = @target and t.sequence > @after and t.sequence < @before
		order by t.sequence {order} limit @reach
	) t join lateral (` + recordAt + `) l on l.workspace_id = @workspace and l.sequence = t.sequence
	order by t.sequence {order} limit @reach`

	fromReader = `
	select l.position, l.workspace_id, l.sequence, l.type, l.event, l.previous, l.hash, l.sequenced
	from (
		select distinct t.sequence, t.sequenced from (
			select t.sequence, t.sequenced from unnest(@visible::uuid[]) as seen (id) cross join lateral (
				select t.sequence, t.sequenced from audit_targets t
				where t.workspace_id = @workspace and t.target_id = seen.id and t.sequence > @after and t.sequence < @before
				order by t.sequence {order} limit @reach
			) t
			union all
			(select l.sequence, l.sequenced from audit_log l
			where l.workspace_id = @workspace and l.actor = @reader
				and l.sequence > @after and l.sequence < @before
			order by l.sequence {order} limit @reach)
		) t
		order by t.sequence {order} limit @reach
	) t join lateral (` + recordAt + `) l on l.workspace_id = @workspace and l.sequence = t.sequence
	order by t.sequence {order} limit @reach`
)

// The filters, of a source's events.
const (
	whereTarget = `exists (select from audit_targets t where t.workspace_id = @workspace and t.target_id = @target and t.sequence = l.sequence and t.sequenced = l.sequenced)`
	whereActor  = `l.event::json #>> '{actor,id}' = @actorText::text`
	whereTypes  = `l.type = any(@types::text[])`
	whereReader = `(l.event::json #>> '{actor,id}' = @readerText::text
	or exists (select from audit_targets t where t.workspace_id = @workspace and t.target_id = any(@visible::uuid[]) and t.sequence = l.sequence
		and t.sequenced = l.sequenced))`
	whereOutcome = `l.event::json ->> 'outcome' = @outcome::text`
	whereText    = `(fold(l.event::json #>> '{actor,name}') collate "C" like fold(@text::text)
	or exists (select from json_array_elements(coalesce(l.event::json -> 'targets', '[]')) t where fold(t ->> 'name') collate "C" like fold(@text::text)))`
)

// recordAt is a workspace's record at t.sequence, or whatever follows in its month if it has none.
const recordAt = columnsFound + `
	where (l.workspace_id, l.sequence) >= (@workspace, t.sequence) and l.sequenced = t.sequenced
	order by l.workspace_id, l.sequence limit 1`

// many is how many sources one source may be put together of and still look far in each.
const many = 8

// lead chooses what leads: the condition that fewest events meet, as a rule.
func (q Query) lead() lead {
	led := lead{source: fromAll, order: "l.workspace_id {order}, l.sequence {order}", args: pgx.StrictNamedArgs{}, filtered: pgx.StrictNamedArgs{}, reach: Reach}
	chosen := false
	condition := func(given bool, source, filter string, ofSource, ofFilter pgx.StrictNamedArgs) {
		switch {
		case !given:
		case chosen || source == "":
			led.filters = append(led.filters, filter)
			for name, value := range ofFilter {
				led.filtered[name] = value
			}
		default:
			chosen, led.source, led.order = true, source, "l.sequence {order}"
			for name, value := range ofSource {
				led.args[name] = value
			}
		}
	}
	condition(!q.Correlation.IsZero(), fromCorrelation, "", pgx.StrictNamedArgs{"correlation": q.Correlation}, nil)
	target := pgx.StrictNamedArgs{"target": q.Target}
	condition(!q.Target.IsZero(), fromTarget, whereTarget, target, target)
	condition(!q.Actor.IsZero(), fromActor, whereActor, pgx.StrictNamedArgs{"actor": q.Actor}, pgx.StrictNamedArgs{"actorText": q.Actor.String()})
	if q.Reader != nil {
		visible := q.Reader.visible()
		if !chosen {
			led.reach = Reach * many / max(many, len(visible))
		}
		condition(true, fromReader, whereReader, pgx.StrictNamedArgs{"visible": visible, "reader": q.Reader.User},
			pgx.StrictNamedArgs{"visible": visible, "readerText": q.Reader.User.String()})
	}
	types := pgx.StrictNamedArgs{"types": q.Types}
	if len(q.Types) > 0 && !chosen {
		led.reach = Reach * many / max(many, len(q.Types))
	}
	condition(len(q.Types) > 0, fromTypes, whereTypes, types, types)
	failures := ""
	if q.Outcome == core.Failure {
		failures = fromFailures
	}
	condition(failures != "" && !chosen, failures, "", nil, nil)
	condition(q.Outcome != "", "", whereOutcome, nil, pgx.StrictNamedArgs{"outcome": string(q.Outcome)})
	condition(q.Text != "", "", whereText, nil, pgx.StrictNamedArgs{"text": "%" + like.Replace(q.Text) + "%"})
	return led
}

// like takes the meaning from characters that have one in a pattern.
var like = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func where(filters []string) string {
	if len(filters) == 0 {
		return "\n) l\n"
	}
	return "\n) l\nwhere " + strings.Join(filters, "\nand ") + "\n"
}
