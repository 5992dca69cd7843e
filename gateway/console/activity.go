package console

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
)

const activitySize = 100

// activityPage is a part of the log, newest first.
type activityPage struct {
	Lines       []line
	Newest      int64
	Target      core.ID
	Correlation core.ID
	Name        string // of the target, as the newest event calls it
	Live        bool   // whether the newest part is shown
	Older       int64
	Own         bool // the reader sees only what tells of them
}

// showActivity shows what happened: everything to administrators, to others what tells of them.
func (s *Service) showActivity(c *gin.Context) {
	by := s.reader(c)
	query, err := s.query(c, by)
	if err != nil {
		s.refuse(c, err)
		return
	}
	query.Limit, query.Descending = activitySize, true
	if before := c.Query("before"); before != "" {
		if query.BeforeSequence, err = strconv.ParseInt(before, 10, 64); err != nil || query.BeforeSequence < 1 {
			s.refuse(c, core.Invalid("before", "this is not a place in the log"))
			return
		}
	}
	records, err := audit.List(c.Request.Context(), s.DB, by.workspace(), query)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := activityPage{
		Target: query.Target, Correlation: query.Correlation, Live: query.BeforeSequence == 0, Own: !by.admin(), Lines: linesOf(records),
	}
	if len(records) > 0 {
		page.Newest = records[0].Sequence
	}
	if len(records) == activitySize {
		page.Older = records[len(records)-1].Sequence
	}
	for _, record := range records {
		for _, target := range record.Event.Targets {
			if page.Name == "" && target.ID == page.Target {
				page.Name = target.Name
			}
		}
	}
	s.show(c, http.StatusOK, "activity", "Activity", "activity", page)
}

// query reads what of the log is asked for, within what the reader may see.
func (s *Service) query(c *gin.Context, by reader) (audit.Query, error) {
	var query audit.Query
	var err error
	if query.Target, err = queryID(c, "target"); err != nil {
		return query, err
	}
	if query.Correlation, err = queryID(c, "correlation"); err != nil {
		return query, err
	}
	if by.admin() {
		return query, nil
	}
	return query, s.narrow(c.Request.Context(), by, &query)
}

// narrow keeps a reader who is no administrator to the accounts they own and to themselves.
func (s *Service) narrow(ctx context.Context, by reader, query *audit.Query) error {
	if query.Target.IsZero() || query.Target == by.user.ID {
		query.Target = by.user.ID
		return nil
	}
	role, err := s.Accounts.MayUse(ctx, s.DB, by.workspace(), by.user.ID, query.Target)
	if err != nil && core.KindOf(err) != core.KindDenied {
		return err
	}
	if role != "owner" {
		return core.Denied("you see the activity of accounts you own, and your own")
	}
	return nil
}

func linesOf(records []audit.Record) []line {
	lines := make([]line, 0, len(records))
	for _, record := range records {
		lines = append(lines, lineOf(record))
	}
	return lines
}
