package directory

import (
	"context"
	"strconv"
	"time"

	"cmp"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Found is a user or a team: one of the two.
type Found struct {
	User *User
	Team *Team
}

// SearchAll finds users and teams of a connection together, in one order: of created and id, or of
// what each has to sort by. The two searches differ in Where and Order alone, and their Orders in what
// is sorted by, not in its type or direction.
func (d *Directory) SearchAll(ctx context.Context, workspace core.ID, users, teams Search) (Page[Found], error) {
	both := [2]searching{{users, "users", workspace}, {teams, "teams", workspace}}
	var page Page[Found]
	keys, err := both[0].keys(ctx, d.DB, both[1], &page.Total)
	if err != nil {
		return page, err
	}
	ids := map[string][]core.ID{}
	for _, key := range keys {
		ids[key.Table] = append(ids[key.Table], key.ID)
	}
	people, err := byID[User](ctx, d.DB, "select "+userColumns+" from users"+withIDs, workspace, ids["users"], func(u User) core.ID { return u.ID })
	if err != nil {
		return page, err
	}
	groups, err := byID[Team](ctx, d.DB, "select "+teamColumns+" from teams"+withIDs, workspace, ids["teams"], func(t Team) core.ID { return t.ID })
	if err != nil {
		return page, err
	}
	for _, key := range keys {
		// Somebody who was deleted between the queries is left out, and the page is shorter.
		if user, there := people[key.ID]; there {
			page.Rows, page.At = append(page.Rows, Found{User: &user}), append(page.At, Position{key.Key, key.Created, key.ID})
		} else if team, there := groups[key.ID]; there {
			page.Rows, page.At = append(page.Rows, Found{Team: &team}), append(page.At, Position{key.Key, key.Created, key.ID})
		}
	}
	page.More = len(keys) > users.Limit
	settle(&page, users)
	return page, nil
}

const withIDs = ` where workspace_id = @workspace and id = any(@ids::uuid[]) and deleted is null`

func byID[Row any](ctx context.Context, q postgres.Querier, query string, workspace core.ID, ids []core.ID, id func(Row) core.ID) (map[core.ID]Row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := postgres.Many[Row](ctx, q, query, pgx.StrictNamedArgs{"workspace": workspace, "ids": ids})
	found := make(map[core.ID]Row, len(rows))
	for _, row := range rows {
		found[id(row)] = row
	}
	return found, err
}

// foundKey says which row comes next.
type foundKey struct {
	Table   string    `db:"kind"`
	ID      core.ID   `db:"id"`
	Created time.Time `db:"created"`
	Key     *string   `db:"sort_key"`
}

// keys finds which users and teams are on the page, and counts both.
func (s searching) keys(ctx context.Context, db *postgres.DB, other searching, total *int) ([]foundKey, error) {
	w := newWriter("users", s.workspace, s.Connection)
	of := [2]string{}
	for i, one := range []searching{s, other} {
		w.table, w.scope = one.table, one.table+".attributes"
		key, kind, always := "", "", true
		shown := "null::text"
		if !one.Order.plain() {
			key, kind, always = w.key(one.Order)
			shown = key
		}
		from := cmp.Or(one.Before, one.After)
		source := one.source(w, "id, created, workspace_id, connection_id, attributes, "+sortable[one.table])
		orderBy, behind := w.sorting(key, kind, always, one.Order, from, one.Before != nil)
		if behind != "" {
			source += " and (" + behind + ")"
		}
		of[i] = "(select '" + one.table + "' as kind, id, created, " + shown + " as sort_value from " + source + " order by " + orderBy +
			" limit " + w.parameter(one.Offset+one.Limit+1, "bigint") + ")"
	}
	tie, direction := " asc", " asc nulls last"
	if s.Before != nil {
		tie = " desc"
	}
	if s.Order.Descending != (s.Before != nil) {
		direction = " desc nulls first"
	}
	query := "select kind, id, created, sort_value::text as sort_key from (" + of[0] + " union all " + of[1] + ") found order by sort_value" +
		direction + ", created" + tie + ", id" + tie + " limit " + w.parameter(s.Limit+1, "bigint") + " offset " + w.parameter(s.Offset, "bigint")
	batch := &pgx.Batch{}
	if s.unaided() || other.unaided() {
		batch.Queue(setTimeout, pgx.StrictNamedArgs{"timeout": strconv.FormatInt(cmp.Or(s.Timeout, SearchTimeout).Milliseconds(), 10)})
	}
	var keys []foundKey
	if s.Limit > 0 {
		batch.Queue(query, w.args).Query(func(rows pgx.Rows) (err error) {
			keys, err = pgx.CollectRows(rows, pgx.RowToStructByName[foundKey])
			return err
		})
	}
	for _, one := range []searching{s, other} {
		if one.Total {
			counting, counted := one.total()
			batch.Queue(counting, counted).QueryRow(func(row pgx.Row) error {
				var more int
				err := row.Scan(&more)
				*total += more
				return err
			})
		}
	}
	err := db.SendBatch(ctx, batch).Close()
	return keys, s.fault(ctx, err)
}

// sortable are the columns a key may be made from.
var sortable = map[string]string{
	"users": "user_name, external_id, display_name, given_name, family_name, email, active, version, updated",
	"teams": "display_name, external_id, version, updated",
}
