package directory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/postgres"
)

// SearchTimeout is how long a search may take that no index helps.
const SearchTimeout = 10 * time.Second

// Search asks for a page of a connection's users or teams.
type Search struct {
	Connection core.ID
	Where      Condition // nil: everybody
	Order      Order
	After      *Position     // begin behind it
	Before     *Position     // or end before it
	Offset     int           // rows to leave out
	Limit      int           // 0: none, only the total
	Total      bool          // say how many there are in all
	Timeout    time.Duration // of a search that no index helps; 0: SearchTimeout
}

// Page is a stretch of what a search found, in its order.
type Page[Row any] struct {
	Rows  []Row
	At    []Position // where the rows stand
	More  bool       // there are further rows: behind the last, or, in a page asked for with Before, before the first
	Total int        // how many there are in all, if that was asked for
}

// SearchUsers finds users of a connection, inactive ones too. A search that takes too long is Invalid
// with the code tooMany.
func (d *Directory) SearchUsers(ctx context.Context, workspace core.ID, search Search) (Page[User], error) {
	s := searching{search, "users", workspace}
	var page Page[User]
	type row struct {
		User
		Key *string `db:"sort_key"`
	}
	err := s.run(ctx, d.DB, userColumns, func(rows pgx.Rows) (int, error) {
		found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
		for _, one := range found {
			page.Rows, page.At = append(page.Rows, one.User), append(page.At, Position{one.Key, one.Created, one.ID})
		}
		return len(found), err
	}, &page.Total)
	settle(&page, search)
	return page, err
}

// SearchTeams finds teams of a connection, in the same way.
func (d *Directory) SearchTeams(ctx context.Context, workspace core.ID, search Search) (Page[Team], error) {
	s := searching{search, "teams", workspace}
	var page Page[Team]
	type row struct {
		Team
		Key *string `db:"sort_key"`
	}
	err := s.run(ctx, d.DB, teamColumns, func(rows pgx.Rows) (int, error) {
		found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
		for _, one := range found {
			page.Rows, page.At = append(page.Rows, one.Team), append(page.At, Position{one.Key, one.Created, one.ID})
		}
		return len(found), err
	}, &page.Total)
	settle(&page, search)
	return page, err
}

// settle brings a page that was read with one row too many into its form.
func settle[Row any](page *Page[Row], search Search) {
	if len(page.Rows) > search.Limit {
		page.More = true
		page.Rows, page.At = page.Rows[:search.Limit], page.At[:search.Limit]
	}
	if search.Before != nil {
		slices.Reverse(page.Rows)
		slices.Reverse(page.At)
	}
	if search.Total && !search.counts(len(page.Rows), page.More) {
		page.Total = len(page.Rows)
	}
}

// counts reports whether the total is not simply what the page has.
func (s Search) counts(shown int, more bool) bool {
	return s.Limit == 0 || s.After != nil || s.Before != nil || s.Offset > 0 || more || shown > s.Limit
}

// searching is a search of one table.
type searching struct {
	Search
	table     string
	workspace core.ID
}

const (
	userColumns = `id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted`
	teamColumns = `id, workspace_id, connection_id, display_name, external_id, attributes, version, created, updated`

	// Where an index leads to few rows, they are found before they are sorted: an estimate gone wrong
	// must not lead along the order through everybody.
	fenced = ` from % where %.workspace_id = @workspace and %.connection_id = @connection and %.deleted is null and `
)

// source is what rows are taken from and the conditions that remain.
func (s searching) source(w *writer, columns string) string {
	if s.Where != nil && narrow(s.Where) {
		return "(select " + columns + strings.ReplaceAll(fenced, "%", s.table) + w.condition(s.Where) + " offset 0) " + s.table + " where true"
	}
	ours := s.table + " where " + strings.ReplaceAll(`%.workspace_id = @workspace and %.connection_id = @connection and %.deleted is null and `+s.along(), "%", s.table)
	if s.Where == nil {
		return ours
	}
	return ours + " and " + w.condition(s.Where)
}

// along states the condition of the indexes a list may be read along. It holds for every row; without
// it the planner could not use them, and with that of another index it might choose that one.
func (s searching) along() string {
	switch {
	case s.table == "users" && s.Order.By == FieldUserName && !s.Order.Exact:
		return alongUserName
	case s.table == "teams" && s.Order.By == FieldDisplayName && !s.Order.Exact:
		return alongDisplayName
	}
	return alongCreated
}

const (
	alongCreated     = `%.created > '-infinity'`
	alongUserName    = `%.user_name <> ''`
	alongDisplayName = `%.display_name <> ''`
)

// condition is the text of a condition.
func (w *writer) condition(c Condition) string {
	before := w.String()
	w.Reset()
	All{c}.write(w)
	text := w.String()
	w.Reset()
	w.put(before)
	return text
}

// page is the query of the page, with one row more than asked for: it tells whether there are others.
func (s searching) page(columns string) (string, pgx.StrictNamedArgs) {
	w := newWriter(s.table, s.workspace, s.Connection)
	key, kind, always := "", "", true
	shown := "null::text"
	if !s.Order.plain() {
		key, kind, always = w.key(s.Order)
		shown = "(" + key + ")::text"
	}
	from := s.After
	if s.Before != nil {
		from = s.Before
	}
	source := s.source(w, columns)
	orderBy, behind := w.sorting(key, kind, always, s.Order, from, s.Before != nil)
	query := "select " + columns + ", " + shown + " as sort_key from " + source
	if behind != "" {
		query += " and (" + behind + ")"
	}
	w.args["limit"] = s.Limit + 1
	query += " order by " + orderBy + " limit @limit"
	if s.Offset > 0 {
		w.args["offset"] = s.Offset
		query += " offset @offset"
	}
	return query, w.args
}

// The kept counts that answer how many satisfy a condition.
const (
	keptUsers    = `select coalesce(sum(users), 0)::bigint from directory_counts where workspace_id = @workspace and connection_id = @connection`
	keptActive   = `select coalesce(sum(active), 0)::bigint from directory_counts where workspace_id = @workspace and connection_id = @connection`
	keptInactive = `select coalesce(sum(users - active), 0)::bigint from directory_counts where workspace_id = @workspace and connection_id = @connection`
	keptTeams    = `select coalesce(sum(teams), 0)::bigint from directory_counts where workspace_id = @workspace and connection_id = @connection`
)

// kept is the query of the count that answers how many there are in all, if one does.
func (s searching) kept() (string, bool) {
	active, isActive := s.Where.(Active)
	switch {
	case s.Where == nil && s.table == "teams":
		return keptTeams, true
	case s.Where == nil:
		return keptUsers, true
	case isActive && bool(active):
		return keptActive, true
	case isActive:
		return keptInactive, true
	}
	return "", false
}

// total is the query of how many there are in all.
func (s searching) total() (string, pgx.StrictNamedArgs) {
	w := newWriter(s.table, s.workspace, s.Connection)
	if query, known := s.kept(); known {
		return query, w.args
	}
	return "select count(*) from " + s.source(w, "id"), w.args
}

// unaided reports whether a search may have to look at everybody.
func (s searching) unaided() bool {
	_, known := s.kept()
	return s.Where != nil && !known && !narrow(s.Where) || !s.Order.plain()
}

const setTimeout = `select set_config('statement_timeout', @timeout, true)`

// run reads the page, and the total where the page does not tell it, in as few round trips as can be.
func (s searching) run(ctx context.Context, db *postgres.DB, columns string, read func(pgx.Rows) (int, error), total *int) error {
	query, args := s.page(columns)
	counting, counted := s.total()
	first := s.Limit > 0 && s.After == nil && s.Before == nil && s.Offset == 0
	if first && s.Where != nil && !s.unaided() { // a lookup: hardly ever more than one page
		rows, err := db.Query(ctx, query, args)
		if err != nil {
			return s.fault(ctx, err)
		}
		shown, err := read(rows)
		if err == nil && s.Total && shown > s.Limit {
			err = db.QueryRow(ctx, counting, counted).Scan(total)
		}
		return s.fault(ctx, err)
	}
	batch := &pgx.Batch{}
	if s.unaided() {
		batch.Queue(setTimeout, pgx.StrictNamedArgs{"timeout": strconv.FormatInt(cmp.Or(s.Timeout, SearchTimeout).Milliseconds(), 10)})
	}
	if s.Limit > 0 {
		batch.Queue(query, args).Query(func(rows pgx.Rows) error {
			_, err := read(rows)
			return err
		})
	}
	if s.Total {
		batch.Queue(counting, counted).QueryRow(func(row pgx.Row) error { return row.Scan(total) })
	}
	return s.fault(ctx, db.SendBatch(ctx, batch).Close())
}

// fault says of a search that took too long what to ask instead.
func (s searching) fault(ctx context.Context, err error) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if ok && server.Code == "57014" && ctx.Err() == nil {
		return core.Invalid("filter", "this search takes too long here; compare id, userName, externalId, emails.value, displayName of groups or members with eq, "+
			"or begin userName with sw").WithCode("tooMany").Because(err)
	}
	return postgres.Classify(err)
}
