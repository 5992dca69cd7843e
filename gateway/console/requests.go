package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/journal"
	"postern/scim/resource"
)

const requestsSize = 50

// explained is a rule with its explanation.
type explained struct {
	Rule  string
	Words string // the rule's name as words
	Why   string
}

func explain(rule string) explained {
	return explained{rule, words(rule), resource.Explain(resource.Rule(rule))}
}

// requestsPage is what one identity provider asked for, newest first.
type requestsPage struct {
	Provider provider
	Lines    []asked
	Rules    []explained // all there are
	Refused  bool
	Rule     string
	Resource core.ID
	Live     bool
	Older    string
}

// Filtered reports whether only some of the requests were asked for.
func (p requestsPage) Filtered() bool { return p.Refused || p.Rule != "" || !p.Resource.IsZero() }

// listRequests shows administrators what one identity provider asked for.
func (s *Service) listRequests(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	page, err := s.loadRequests(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "requests", page.Provider.Name, "connections", page)
}

func (s *Service) loadRequests(c *gin.Context) (requestsPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return requestsPage{}, err
	}
	after, err := queryID(c, "after")
	if err != nil {
		return requestsPage{}, err
	}
	page := requestsPage{Refused: c.Query("refused") != "", Rule: c.Query("rule"), Live: after.IsZero()}
	if page.Resource, err = queryID(c, "resource"); err != nil {
		return requestsPage{}, err
	}
	connection, err := s.Directory.Connection(ctx, s.DB, workspace, id)
	if err != nil {
		return requestsPage{}, err
	}
	if page.Provider, err = s.provider(ctx, connection); err != nil {
		return requestsPage{}, err
	}
	entries, err := journal.List(ctx, s.DB, workspace, journal.Query{
		Connection: id, Resource: page.Resource, Refused: page.Refused, Rule: page.Rule, After: after, Newest: true, Limit: requestsSize,
	})
	if err != nil {
		return requestsPage{}, err
	}
	if page.Lines, err = s.tellRequests(ctx, workspace, entries); err != nil {
		return requestsPage{}, err
	}
	for _, rule := range resource.AllRules {
		page.Rules = append(page.Rules, explain(string(rule)))
	}
	if page.Rule != "" && !slices.ContainsFunc(page.Rules, func(one explained) bool { return one.Rule == page.Rule }) {
		page.Rules = append(page.Rules, explain(page.Rule))
	}
	if len(entries) == requestsSize {
		query := url.Values{"after": {entries[len(entries)-1].ID.String()}}
		for name, value := range map[string]string{"rule": page.Rule, "refused": c.Query("refused"), "resource": c.Query("resource")} {
			if value != "" {
				query.Set(name, value)
			}
		}
		page.Older = "/connections/" + id.String() + "?" + query.Encode()
	}
	return page, nil
}

// requestPage is one request with all that is known of it.
type requestPage struct {
	Connection directory.Connection
	Asked      asked
	Lines      []line
	More       bool
}

// showRequest shows administrators one request and what it led to.
func (s *Service) showRequest(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page, err := s.loadRequest(ctx, c, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "request", sentenceOf(page.Asked), "connections", page)
}

func (s *Service) loadRequest(ctx context.Context, c *gin.Context, workspace core.ID) (requestPage, error) {
	id, err := pathID(c)
	if err != nil {
		return requestPage{}, err
	}
	entry, err := journal.Read(ctx, s.DB, workspace, id)
	if err != nil {
		return requestPage{}, err
	}
	var page requestPage
	if page.Connection, err = s.Directory.Connection(ctx, s.DB, workspace, entry.Connection); err != nil {
		return requestPage{}, err
	}
	told, err := s.tellRequests(ctx, workspace, []journal.Entry{entry})
	if err != nil {
		return requestPage{}, err
	}
	page.Asked = told[0]
	records, err := audit.List(ctx, s.DB, workspace, audit.Query{Correlation: entry.Correlation, Limit: activitySize})
	page.Lines, page.More = linesOf(records), len(records) == activitySize
	return page, err
}

// tellRequests finds the names of what requests were about and puts them into words.
func (s *Service) tellRequests(ctx context.Context, workspace core.ID, entries []journal.Entry) ([]asked, error) {
	var ids []core.ID
	for _, entry := range entries {
		if !entry.Resource.IsZero() {
			ids = append(ids, entry.Resource)
		}
	}
	names, err := s.Directory.Targets(ctx, s.DB, workspace, ids)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if _, known := names[entry.Resource]; known || entry.Resource.IsZero() || kindOf(entry.Address) != "team" {
			continue
		}
		team, err := s.Directory.Team(ctx, s.DB, workspace, entry.Resource)
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return nil, err
		}
		names[entry.Resource] = team.Target() // without a name when it is gone
	}
	told := make([]asked, 0, len(entries))
	for _, entry := range entries {
		told = append(told, askedOf(entry, names[entry.Resource]))
	}
	return told, nil
}
