package cli

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/journal"
)

type scimCommands struct {
	Requests scimRequests `cmd:"" help:"List what an identity provider asked for, and what came of it."`
	Replay   scimReplay   `cmd:"" help:"Play a stretch of what it asked for against a scratch workspace, and print the difference."`
}

// scimRequests lists the journal of a connection.
type scimRequests struct {
	inWorkspace `embed:""`
	Connection  string        `help:"Name or id of the connection." required:"" placeholder:"NAME"`
	Refused     bool          `help:"Only what was refused."`
	Rule        string        `help:"Only what needed this rule to be understood." placeholder:"RULE"`
	Since       time.Duration `help:"Only the last so much time, such as 24h." placeholder:"TIME"`
	Limit       int           `help:"How many, the latest." default:"50" placeholder:"N"`
}

// Help is shown by 'postern scim requests --help'.
func (scimRequests) Help() string {
	return `Every change an identity provider asks for is kept, without passwords, for as long as its connection says; of refused ones, and of readings a rule was needed for, a sample that counts the others. The list ends with the latest; RULES are the departures from the standard that were understood.

  postern scim requests --workspace acme --connection Okta --refused --since 24h
  postern scim requests --workspace acme --connection "Entra ID" --rule string_boolean --json`
}

// requestRow is a request in a list.
type requestRow struct {
	ID          core.ID   `json:"id"`
	Received    time.Time `json:"received"`
	Method      string    `json:"method"`
	Address     string    `json:"address"`
	Query       string    `json:"query,omitempty"`
	Status      int       `json:"status"`
	Profile     string    `json:"profile"`
	Rules       []string  `json:"rules"`
	Detail      string    `json:"detail,omitempty"`
	Resource    core.ID   `json:"resource,omitzero"`
	Correlation core.ID   `json:"correlation"`
}

func (r scimRequests) Run(ctx context.Context, terminal terminal) error {
	if r.Limit < 1 || r.Limit > journal.MaxLimit {
		return core.Invalid("--limit", "1 to %d", journal.MaxLimit)
	}
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, r.Connection)
	if err != nil {
		return err
	}
	query := journal.Query{Connection: connection.ID, Refused: r.Refused, Rule: r.Rule, Newest: true, Limit: r.Limit}
	if r.Since > 0 {
		query.From = time.Now().Add(-r.Since)
	}
	found, err := journal.List(ctx, s.db, s.workspace.ID, query)
	if err != nil {
		return err
	}
	slices.Reverse(found)
	rows := make([]requestRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, requestRow{
			one.ID, one.Received, one.Method, one.Address, one.Query, one.Status, one.Profile, append([]string{}, one.Rules...), one.Detail, one.Resource, one.Correlation,
		})
	}
	return r.show(terminal, map[string]any{"connection": connection.ID, "requests": rows}, func(sheet sheet) { sheet.requests(rows) })
}

// requests prints a list of requests.
func (s sheet) requests(rows []requestRow) {
	if len(rows) == 0 {
		s.say("no requests")
		return
	}
	width := len("ADDRESS")
	for _, one := range rows {
		width = max(width, len(one.Address))
	}
	s.say("%-19s  %-6s  %-*s  %-6s  %s", "RECEIVED (UTC)", "METHOD", width, "ADDRESS", "STATUS", "RULES")
	for _, one := range rows {
		s.say("%-19s  %-6s  %-*s  %-6d  %s", one.Received.UTC().Format(time.DateTime), one.Method, width, one.Address, one.Status, strings.Join(one.Rules, " "))
		if query, err := url.QueryUnescape(one.Query); err == nil && query != "" {
			s.say("%19s  ?%s", "", query)
		}
		if one.Detail != "" {
			s.say("%19s  %s", "", one.Detail)
		}
	}
}
