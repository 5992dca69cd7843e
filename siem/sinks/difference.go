package sinks

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/sink"
)

// mostCompared is how many events are compared at a time.
const mostCompared = 1_000_000

// Difference is what was delivered and the receiver does not hold.
type Difference struct {
	From, To int64        // compared, both included
	Missing  []sink.Range // in order
	Events   int64        // in Missing
	Dead     int          // dead letters in between: they are known, and not in Missing
	More     bool         // there are further ranges than Missing shows
}

const selectDead = `
select sequence from dead_letters where workspace_id = @workspace and sink_id = @id and sequence between @from and @to order by sequence`

// Difference asks the receiver what it holds of what was delivered: from a sequence, 0 is the first that was for the
// sink and that the log still has, to one, 0 is the last that was delivered. Conflict says that this receiver cannot be asked.
func (s *Service) Difference(ctx context.Context, workspace, id core.ID, from, to int64) (Difference, error) {
	one, err := s.Sink(ctx, s.DB, workspace, id)
	if err != nil {
		return Difference{}, err
	}
	if from < 0 || to < 0 || to > 0 && from > to {
		return Difference{}, core.Invalid("from", "a range is from a sequence to one that is no smaller")
	}
	began, err := first(ctx, s.DB, workspace, one.Delivered+1) // what the log does not have cannot be delivered again
	if err != nil {
		return Difference{}, err
	}
	from = max(from, one.Began, began)
	if to == 0 || to > one.Delivered {
		to = one.Delivered
	}
	if to-from >= mostCompared {
		return Difference{}, core.Invalid("from", "at most %d events are compared at a time: say from which to which", mostCompared)
	}
	told := Difference{From: from, To: to, Missing: []sink.Range{}}
	receiver, _, err := s.open(ctx, one)
	if err != nil {
		return Difference{}, err
	}
	defer func() { _ = receiver.Close() }()
	holder, can := receiver.(sink.Holder)
	if !can || !s.Abilities(one).Asked.Of(one.Settings, one.Credentials) {
		return Difference{}, core.Conflict("", "this receiver cannot be asked what it holds%s", s.otherwise(one))
	}
	if from > to {
		return told, nil
	}
	missing, err := holder.Holds(ctx, workspace, from, to)
	if err != nil {
		return Difference{}, err
	}
	dead, err := s.dead(ctx, one, from, to)
	if err != nil {
		return Difference{}, err
	}
	told.Dead = len(dead)
	for _, part := range missing {
		if err := s.expected(ctx, one, part, dead, func(sequence int64) {
			told.Events++
			last := len(told.Missing) - 1
			switch {
			case last >= 0 && told.Missing[last].To+1 == sequence:
				told.Missing[last].To = sequence
			case len(told.Missing) == maxRanges:
				told.More = true
			default:
				told.Missing = append(told.Missing, sink.Range{From: sequence, To: sequence})
			}
		}); err != nil {
			return Difference{}, err
		}
	}
	return told, nil
}

// otherwise says what to do instead of asking.
func (s *Service) otherwise(one Sink) string {
	if advice := s.Abilities(one).Asked.Advice(one.Settings, one.Credentials); advice != "" {
		return ": " + advice
	}
	return ""
}

// Abilities are those of the sink's kind.
func (s *Service) Abilities(one Sink) sink.Abilities { return s.Kinds[one.Kind].Abilities }

func (s *Service) dead(ctx context.Context, one Sink, from, to int64) (map[int64]bool, error) {
	rows, err := s.DB.Query(ctx, selectDead, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "from": from, "to": to})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	dead := map[int64]bool{}
	for _, sequence := range sequences {
		dead[sequence] = true
	}
	return dead, postgres.Classify(err)
}

// expected walks what the receiver should hold of a range.
func (s *Service) expected(ctx context.Context, one Sink, part sink.Range, dead map[int64]bool, yield func(sequence int64)) error {
	if one.Filter.everything() {
		for sequence := part.From; sequence <= part.To; sequence++ {
			if !dead[sequence] {
				yield(sequence)
			}
		}
		return nil
	}
	for after := part.From - 1; after < part.To; {
		records, err := audit.Following(ctx, s.DB, one.Workspace, after, pageOfLog)
		if err != nil || len(records) == 0 {
			return err
		}
		events, err := s.events(records)
		if err != nil {
			return err
		}
		for _, event := range events {
			if after = event.Sequence; after > part.To {
				return nil
			}
			if !dead[after] && one.Filter.wants(event) {
				yield(after)
			}
		}
	}
	return nil
}
