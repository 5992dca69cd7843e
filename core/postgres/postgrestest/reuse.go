package postgrestest

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// A database is some hundred files, and to copy them costs more than most tests do. So a test leaves
// its database to the next one of the process, as empty as it was: see leave.
var (
	cleanLock sync.Mutex
	clean     = map[string][]string{} // names by template
)

// taken is a clean database of a template, if there is one.
func taken(template string) (name string, found bool) {
	cleanLock.Lock()
	defer cleanLock.Unlock()
	names := clean[template]
	if len(names) == 0 {
		return "", false
	}
	clean[template] = names[:len(names)-1]
	return names[len(names)-1], true
}

// leave empties a database and keeps it for another test. A database that is more than full of rows,
// because the test changed its schema, its statistics or made it large, is dropped.
func leave(ctx context.Context, admin, template, name string) error {
	reusable, err := emptied(ctx, admin, template, name)
	if err != nil || !reusable {
		return execute(ctx, admin, "drop database if exists "+name+" with (force)")
	}
	cleanLock.Lock()
	defer cleanLock.Unlock()
	clean[template] = append(clean[template], name)
	return nil
}

// pristine is what a database of a template is like before its test.
type pristine struct {
	Schema string `json:"schema"` // a hash of all that is no row
	Seeds  string `json:"seeds"`  // the statements that write the rows there are
}

// hashSchema goes by the numbers of things, which a copy has as its template has them and which nothing
// made anew has. Statistics of thousands of rows would have the next test's statements planned for them.
const hashSchema = `
with ours as (select oid, nspname from pg_namespace where nspname !~ '^pg_|^information_schema$')
select md5(concat_ws(',',
	(select string_agg(concat(o.oid, o.nspname), ',' order by o.oid) from ours o),
	(select string_agg(concat(c.oid, c.relname, c.relnatts, c.relchecks, c.relhastriggers, c.reloptions, c.relowner), ',' order by c.oid)
	 from pg_class c join ours o on o.oid = c.relnamespace),
	(select string_agg(concat(a.attrelid, a.attnum, a.attname, a.atttypid, a.attnotnull, a.atthasdef, a.attisdropped), ',' order by a.attrelid, a.attnum)
	 from pg_attribute a join pg_class c on c.oid = a.attrelid join ours o on o.oid = c.relnamespace where a.attnum > 0),
	(select string_agg(concat(p.oid, md5(p.prosrc)), ',' order by p.oid) from pg_proc p join ours o on o.oid = p.pronamespace),
	(select string_agg(concat(c.oid, c.convalidated), ',' order by c.oid) from pg_constraint c join ours o on o.oid = c.connamespace),
	(select string_agg(concat(t.oid, t.tgenabled), ',' order by t.oid) from pg_trigger t where not t.tgisinternal),
	(select string_agg(concat(i.indexrelid, i.indisvalid), ',' order by i.indexrelid) from pg_index i
	 join pg_class c on c.oid = i.indexrelid join ours o on o.oid = c.relnamespace),
	(select count(*) from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase where d.datname = current_database()),
	(select count(*) from pg_extension),
	(select count(*) from pg_class c join ours o on o.oid = c.relnamespace where c.reltuples > 1000),
	pg_database_size(current_database()) > 64 << 20))`

const selectFilled = `
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname !~ '^pg_|^information_schema$' and pg_relation_size(c.oid) > 0`

const selectSeeds = `select format('insert into %1$s select * from json_populate_recordset(null::%1$s, %2$L); ', $1::text, json_agg(t)) from `

// describe writes down what a template is like, where it can be read without connecting to it.
func describe(ctx context.Context, url, template string) error {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	var like pristine
	if err := connection.QueryRow(ctx, hashSchema).Scan(&like.Schema); err != nil {
		return err
	}
	tables, err := filled(ctx, connection)
	if err != nil {
		return err
	}
	for _, table := range tables {
		var insert string
		if err := connection.QueryRow(ctx, selectSeeds+table+" t", table).Scan(&insert); err != nil {
			return err
		}
		like.Seeds += insert
	}
	text, err := json.Marshal(like)
	if err != nil {
		return err
	}
	var comment string
	if err := connection.QueryRow(ctx, "select format('comment on database %I is %L', $1::text, $2::text)", template, string(text)).Scan(&comment); err != nil {
		return err
	}
	_, err = connection.Exec(ctx, comment)
	return err
}

func filled(ctx context.Context, connection *pgx.Conn) ([]string, error) {
	rows, err := connection.Query(ctx, selectFilled)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const (
	selectDescription = `select shobj_description(oid, 'pg_database') from pg_database where datname = $1`
	// Who is still connected is a process the test did not wait for.
	endOthers = `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
	// Neither a trigger nor a reference is asked when everything goes.
	askNobody      = `set session_replication_role = replica; `
	restartNumbers = `select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) from pg_sequences where last_value is not null; `
)

// emptied makes a database what it was before its test, and reports whether that was possible.
func emptied(ctx context.Context, admin, template, name string) (bool, error) {
	connection, err := pgx.Connect(ctx, on(admin, name))
	if err != nil {
		return false, err
	}
	defer func() { _ = connection.Close(ctx) }()
	var before pristine
	var schema, text string
	if err := connection.QueryRow(ctx, selectDescription, template).Scan(&text); err != nil {
		return false, err
	}
	if err := json.Unmarshal([]byte(text), &before); err != nil {
		return false, err
	}
	if _, err := connection.Exec(ctx, endOthers); err != nil {
		return false, err
	}
	if err := connection.QueryRow(ctx, hashSchema).Scan(&schema); err != nil || schema != before.Schema {
		return false, err
	}
	tables, err := filled(ctx, connection)
	if err != nil {
		return false, err
	}
	var all strings.Builder
	all.WriteString(askNobody)
	for _, table := range tables {
		all.WriteString("delete from " + table + "; ")
	}
	_, err = connection.Exec(ctx, all.String()+restartNumbers+before.Seeds)
	return err == nil, err
}
