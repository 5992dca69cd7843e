package posture

import (
	"bytes"
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Finding is one thing that is wrong, or is about to be.
type Finding struct {
	Kind     Kind       `json:"kind" db:"-"`
	Severity Severity   `json:"severity" db:"-"`
	About    string     `json:"about" db:"-"` // account, grant, link, token, service_account, partner or app
	ID       core.ID    `json:"id"`           // of that
	Name     string     `json:"name"`         // what a person would call it
	Account  core.ID    `json:"account,omitzero"`
	App      core.ID    `json:"app,omitzero"`
	AppName  string     `json:"app_name,omitempty"`
	Username string     `json:"username,omitempty"`
	Tags     []string   `json:"tags"`
	Owners   []string   `json:"owners"` // of the account, by name: up to three
	State    string     `json:"state"`  // of the account, the rotation, the role, the token or the finding
	Since    *time.Time `json:"since,omitempty"`
	Why      string     `json:"why"`
	Next     string     `json:"next" db:"-"` // what to do about it
}

// Filter narrows what is found. The zero filter narrows nothing.
type Filter struct {
	Kind     Kind
	Severity Severity
	State    string // as Finding.State
	App      core.ID
	Tag      string
	Owner    core.ID // a user who owns the account, directly or through a team, or a team that does
	Account  core.ID
}

// Query narrows and pages Findings.
type Query struct {
	Filter
	Limit int    // default 100, at most 500
	After string // next of the page before
}

// checked is the filter as it is asked, or refused with what is wrong.
func (f Filter) checked() (Filter, error) {
	if _, known := described(f.Kind); f.Kind != "" && !known {
		return f, core.Invalid("kind", "there is no kind %q", core.Cut(string(f.Kind), 40))
	}
	switch f.Severity {
	case "", Critical, High, Medium, Low:
	default:
		return f, core.Invalid("severity", "a severity is critical, high, medium or low")
	}
	if f.Tag != "" {
		tags, err := accounts.CheckTags([]string{f.Tag})
		if err != nil {
			return f, core.Invalid("tag", "%s", core.AsError(err).Message)
		}
		f.Tag = tags[0]
	}
	if len(f.State) > 40 || strings.ContainsRune(f.State, 0) {
		return f, core.Invalid("state", "there is no such state")
	}
	return f, nil
}

// Owned is true of an account a that @owner owns, a user or a team.
const owned = `exists (
	select from grants o
	where o.workspace_id = a.workspace_id and o.account_id = a.id and o.role = 'owner' and o.revoked is null and (o.expires is null or o.expires > @now)
		and (o.user_id = @owner or o.team_id = @owner or exists (
			select from team_members m where m.workspace_id = o.workspace_id and m.team_id = o.team_id and m.user_id = @owner and m.suspended is null))
)`

// of is the filter's part of the condition on a kind, and what it takes. none: the filter leaves the kind out.
func (f Filter) of(one kind, args pgx.StrictNamedArgs) (condition string, none bool) {
	if f.Kind != "" && f.Kind != one.Kind || f.Severity != "" && f.Severity != one.Severity {
		return "", true
	}
	narrow := func(name string, value any, text string) {
		condition += "\n\tand " + text
		args[name] = value
	}
	if f.State != "" {
		narrow("state", f.State, `(`+one.state+`) = @state`)
	}
	app := `a.app_id`
	if one.about == "app" {
		app = one.id
	}
	ofAccount := f.Tag != "" || !f.Owner.IsZero() || !f.Account.IsZero()
	if !one.Account && (ofAccount || !f.App.IsZero() && one.about != "app") {
		return "", true
	}
	if !f.App.IsZero() {
		narrow("app", f.App, app+` = @app`)
	}
	if f.Tag != "" {
		narrow("tag", f.Tag, `a.tags @> array[@tag::text]`)
	}
	if !f.Owner.IsZero() {
		narrow("owner", f.Owner, owned)
	}
	if !f.Account.IsZero() {
		narrow("account", f.Account, `a.id = @account`)
	}
	return condition, false
}

// page is the statement that reads a kind's next findings, and what it takes.
func (k kind) page(f Filter, after position, args pgx.StrictNamedArgs) (statement string, none bool) {
	condition, none := f.of(k, args)
	if none {
		return "", true
	}
	order, account := k.id, `a.id`
	if !k.Account {
		account = `null::uuid`
	}
	if k.timed {
		order = k.since + `, ` + k.id
	}
	if !after.id.IsZero() {
		condition += "\n\tand "
		if k.timed {
			condition += `(` + k.since + `, ` + k.id + `) > (@since::timestamptz, @after::uuid)`
			args["since"] = after.since
		} else {
			condition += k.id + ` > @after`
		}
		args["after"] = after.id
	}
	name := k.name
	if name == "" {
		name = `''`
	}
	return `
with found as materialized (
	select ` + k.id + ` as id, ` + account + ` as account_id, ` + k.state + ` as state, ` + k.since + ` as since, ` + k.why + ` as why, ` + name + ` as name
	from ` + k.from + `
	where ` + k.where + condition + `
	order by ` + order + ` limit @limit
)
select f.id, f.name, f.account_id as account, a.app_id as app, coalesce(p.name, '') as app_name, coalesce(a.username, '') as username,
	coalesce(a.tags, '{}') as tags, coalesce(o.owners, '{}') as owners, f.state, f.since, f.why
from found f
left join accounts a on a.workspace_id = @workspace and a.id = f.account_id
left join apps p on p.workspace_id = @workspace and p.id = a.app_id
left join lateral (
	select array_agg(coalesce(nullif(u.display_name, ''), u.user_name, t.display_name)) as owners
	from (
		select g.user_id, g.team_id from grants g
		where g.workspace_id = @workspace and g.account_id = f.account_id and g.role = 'owner' and g.revoked is null and (g.expires is null or g.expires > @now)
		order by g.id limit 3
	) g
	left join users u on u.workspace_id = @workspace and u.id = g.user_id
	left join teams t on t.workspace_id = @workspace and t.id = g.team_id
) o on true
order by ` + map[bool]string{true: `f.since, f.id`, false: `f.id`}[k.timed], false
}

// position is where a page ended.
type position struct {
	kind  int
	since *time.Time
	id    core.ID
}

// text is the position as a client keeps it.
func (p position) text() string {
	micros := ""
	if p.since != nil {
		micros = strconv.FormatInt(p.since.UnixMicro(), 10)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(string(kinds[p.kind].Kind) + " " + p.id.String() + " " + micros))
}

func readPosition(text string) (position, error) {
	wrong := core.Invalid("cursor", "this is no cursor of a page of findings")
	if text == "" {
		return position{}, nil
	}
	read, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return position{}, wrong
	}
	parts := bytes.Split(read, []byte(" "))
	if len(parts) != 3 {
		return position{}, wrong
	}
	for i, one := range kinds {
		if string(one.Kind) != string(parts[0]) {
			continue
		}
		at := position{kind: i}
		if at.id, err = core.ParseID(string(parts[1])); err != nil || at.id.IsZero() {
			return position{}, wrong
		}
		micros, err := strconv.ParseInt(string(parts[2]), 10, 64)
		if one.timed != (err == nil) || micros < 0 || micros > maxMicros {
			return position{}, wrong
		}
		if one.timed {
			at.since = new(time.UnixMicro(micros).UTC())
		}
		return at, nil
	}
	return position{}, wrong
}

const maxMicros = 250_000_000_000_000_000 // in the year 9892: more than PostgreSQL is ever asked

// Findings gives what is found in a workspace, the gravest first, a page at a time, and the next page's After; "" on the
// last. It asks nobody's leave: the caller does, of an administrator.
func (p *Posture) Findings(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Finding, string, error) {
	filter, err := query.checked()
	if err != nil {
		return nil, "", err
	}
	after, err := readPosition(query.After)
	if err != nil {
		return nil, "", err
	}
	limit := postgres.Page(query.Limit)
	var all []Finding
	for at := after.kind; at < len(kinds); at++ {
		args := p.times(workspace)
		args["limit"] = limit + 1 - len(all)
		statement, none := kinds[at].page(filter, after, args)
		after.id = core.ID{}
		if none {
			continue
		}
		found, err := postgres.Many[Finding](ctx, q, statement, bound(statement, args))
		if err != nil {
			return nil, "", err
		}
		for _, one := range found {
			all = append(all, kinds[at].finding(one))
		}
		if len(all) > limit {
			last := all[limit-1]
			place := position{kind: at, since: last.Since, id: last.ID}
			for kinds[place.kind].Kind != last.Kind {
				place.kind--
			}
			if !kinds[place.kind].timed {
				place.since = nil
			}
			return all[:limit], place.text(), nil
		}
	}
	return all, "", nil
}

// finding adds what is the same of all findings of the kind.
func (k kind) finding(one Finding) Finding {
	one.Kind, one.Severity, one.Next, one.About = k.Kind, k.Severity, k.Next, k.about
	if one.Since != nil {
		one.Since = new(one.Since.UTC())
	}
	account := one.AppName + " (" + one.Username + ")"
	switch one.About {
	case "":
		one.About, one.Name = "account", account
	case "grant", "link":
		one.Name += " on " + account
	}
	return one
}
