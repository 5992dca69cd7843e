package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/gateway/activity"
)

const activitySize = 100

// activityPage is a part of the log, newest first.
type activityPage struct {
	Lines    []line
	Filter   url.Values // what narrows it
	Families []family
	Narrowed bool
	Name     string // of the target, as the newest event calls it
	Live     bool   // whether the newest part is shown
	Newest   int64
	Older    int64
	Further  bool // so far was looked for what is rare
	Own      bool // the reader sees only what they may
}

// family are the types of events about one noun.
type family struct {
	Noun  string
	Types []core.EventType
}

// Address is one that keeps the filter and adds to it.
func (p activityPage) Address(path string, more ...string) string {
	query := url.Values{}
	for name, values := range p.Filter {
		query[name] = values
	}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// At is what a field of the filter holds.
func (p activityPage) At(name string) string { return p.Filter.Get(name) }

// showActivity shows what happened: everything to administrators, to others what they did, what tells of them,
// and what tells of accounts they own.
func (s *Service) showActivity(c *gin.Context) {
	by := s.reader(c)
	query, filter, err := s.query(c, by)
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
	head, err := audit.Head(c.Request.Context(), s.DB, by.workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	found, err := audit.Search(c.Request.Context(), s.DB, by.workspace(), query)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := activityPage{
		Filter: filter, Families: families(), Narrowed: len(filter) > 0, Live: query.BeforeSequence == 0 && query.Until.IsZero(), Newest: head, Own: !by.admin(),
		Lines: linesOf(found.Records), Further: found.More && len(found.Records) < activitySize,
	}
	if found.More {
		page.Older = found.Next
	}
	if len(found.Records) > 0 && page.Live {
		page.Newest = max(page.Newest, found.Records[0].Sequence)
	}
	for _, record := range found.Records {
		for _, target := range record.Event.Targets {
			if page.Name == "" && target.ID == query.Target {
				page.Name = target.Name
			}
		}
	}
	s.show(c, http.StatusOK, "activity", "Activity", "activity", page)
}

// families are all types of events, by what they tell of.
func families() []family {
	var all []family
	for _, one := range core.EventTypes() {
		noun, _, _ := strings.Cut(string(one), ".")
		at := -1
		for i := range all {
			if all[i].Noun == noun {
				at = i
			}
		}
		if at < 0 {
			at, all = len(all), append(all, family{Noun: noun})
		}
		all[at].Types = append(all[at].Types, one)
	}
	return all
}

// query reads what of the log is asked for, within what the reader may see, and the filter as it was written.
func (s *Service) query(c *gin.Context, by reader) (audit.Query, url.Values, error) {
	filter := url.Values{}
	for _, name := range []string{"target", "actor", "correlation", "type", "outcome", "text", "since", "until"} {
		if value := strings.TrimSpace(c.Query(name)); value != "" {
			filter.Set(name, value)
		}
	}
	query := audit.Query{Outcome: core.Outcome(filter.Get("outcome")), Text: core.Cut(filter.Get("text"), 200)}
	var err error
	for name, into := range map[string]*core.ID{"target": &query.Target, "actor": &query.Actor, "correlation": &query.Correlation} {
		if *into, err = queryID(c, name); err != nil {
			return query, nil, err
		}
	}
	if kind := filter.Get("type"); kind != "" {
		if query.Types, err = activity.Types([]string{kind}); err != nil {
			return query, nil, err
		}
	}
	if query.Outcome != "" && query.Outcome != core.Success && query.Outcome != core.Failure {
		return query, nil, core.Invalid("outcome", "an outcome is success or failure")
	}
	for name, into := range map[string]*time.Time{"since": &query.Since, "until": &query.Until} {
		if *into, err = momentOf(name, filter.Get(name)); err != nil {
			return query, nil, err
		}
	}
	if !by.admin() {
		err = s.narrow(c.Request.Context(), by, &query)
	}
	return query, filter, err
}

// momentOf reads a time as a browser's field writes it, in UTC, or with its zone.
func momentOf(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() > 0 {
			return at, nil
		}
	}
	return time.Time{}, core.Invalid(name, "write a time as 2026-11-21T14:30")
}

// narrow keeps a reader who is no administrator to the accounts they own and to themselves.
func (s *Service) narrow(ctx context.Context, by reader, query *audit.Query) error {
	if !query.Target.IsZero() && query.Target != by.user.ID {
		role, err := s.Accounts.MayUse(ctx, s.DB, by.workspace(), by.user.ID, query.Target)
		if err != nil && core.KindOf(err) != core.KindDenied {
			return err
		}
		if role != accounts.Owner {
			return core.Denied("you see the activity of accounts you own, and your own")
		}
		return nil
	}
	if query.Target == by.user.ID {
		return nil
	}
	query.Reader = &audit.Reader{User: by.user.ID}
	for after := (core.ID{}); ; {
		usable, err := s.Accounts.Usable(ctx, s.DB, by.workspace(), by.user.ID, accounts.UsableQuery{Limit: 500, After: after})
		if err != nil {
			return err
		}
		for _, one := range usable {
			if after = one.ID; one.Role == accounts.Owner {
				query.Reader.Accounts = append(query.Reader.Accounts, one.ID)
			}
		}
		if len(usable) < 500 {
			return nil
		}
	}
}

// downloadActivity hands out what the page shows, all of it, as a file.
func (s *Service) downloadActivity(c *gin.Context) {
	by := s.reader(c)
	query, _, err := s.query(c, by)
	if err != nil {
		s.refuse(c, err)
		return
	}
	format := activity.Format(c.DefaultQuery("format", string(activity.CSV)))
	if format != activity.CSV && format != activity.JSONL {
		s.refuse(c, core.Invalid("format", "a file is csv or jsonl"))
		return
	}
	if !s.streams.enter(by.user.ID) {
		s.refuse(c, &core.Error{Kind: core.KindRateLimited, RetryAfter: 10 * time.Second, Message: "too many pages and downloads are open at once"})
		return
	}
	defer s.streams.leave(by.user.ID)
	activity.Hand(c, activity.Download{DB: s.DB, Workspace: by.workspace(), Query: query, Format: format, Now: s.now(), Closing: s.closing})
}

func linesOf(records []audit.Record) []line {
	lines := make([]line, 0, len(records))
	for _, record := range records {
		lines = append(lines, lineOf(record))
	}
	return lines
}
