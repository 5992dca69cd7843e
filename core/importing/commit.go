package importing

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

// run is the job of an import. It names it, and no more.
type run struct {
	Workspace core.ID `json:"workspace"`
	Import    core.ID `json:"import"`
}

// Kind implements jobs.Job.
func (run) Kind() string { return "import.run" }

// Register makes carrying out imports the work of a worker.
func (i *Imports) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, job run, _ int) error { return i.run(ctx, job) })
}

const selectImport = `
select i.id, i.workspace_id, i.maker_id, i.maker, i.format, i.owner_id, i.new_apps, i.state, i.created, i.finished,
	coalesce((select json_object_agg(r.outcome, r.number) from (
		select r.outcome, count(*) as number from import_rows r where r.workspace_id = i.workspace_id and r.import_id = i.id group by r.outcome
	) r), '{}')
from imports i
where i.workspace_id = @workspace`

// Import finds an import by its id.
func (i *Imports) Import(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Import, error) {
	found, err := collect(ctx, q, selectImport+` and i.id = @id`, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && len(found) == 0 {
		err = core.NotFound("import")
	}
	if err != nil {
		return Import{}, err
	}
	return found[0], nil
}

// List gives imports, latest first, before one of them; of one maker, if one is given.
func (i *Imports) List(ctx context.Context, q postgres.Querier, workspace, maker, before core.ID, limit int) ([]Import, error) {
	return collect(ctx, q, selectImport+`
	and (@maker::uuid is null or i.maker_id = @maker) and (@before::uuid is null or i.id < @before)
order by i.id desc limit @limit`, pgx.StrictNamedArgs{"workspace": workspace, "maker": maker, "before": before, "limit": limit})
}

func collect(ctx context.Context, q postgres.Querier, sql string, args pgx.StrictNamedArgs) ([]Import, error) {
	rows, err := q.Query(ctx, sql, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Import, error) {
		var one Import
		err := row.Scan(&one.ID, &one.Workspace, &one.Maker, &one.MakerName, &one.Format, &one.Owner, &one.NewApps, &one.State, &one.Created, &one.Finished, &one.Rows)
		return one, err
	})
	return all, postgres.Classify(err)
}

const selectRows = `
select number, title, site, username, app, outcome, reason, left_out, account_id
from import_rows
where workspace_id = @workspace and import_id = @import and number > @after::bigint and (@outcome = '' or outcome = @outcome)
order by number limit @limit`

// Rows gives what the rows of an import do or did, in the order of the file, of one outcome if one is given.
func (i *Imports) Rows(ctx context.Context, q postgres.Querier, workspace, id core.ID, outcome Outcome, after, limit int) ([]Row, error) {
	rows, err := q.Query(ctx, selectRows, pgx.StrictNamedArgs{"workspace": workspace, "import": id, "after": after, "outcome": string(outcome), "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Row])
	return all, postgres.Classify(err)
}

const updateBegin = `
update imports set state = 'running', cause = @cause
where workspace_id = @workspace and id = @id and state = 'planned'`

// Commit has an import carried out, by a worker. One that runs or is done stays as it is; one that was dropped is a
// Conflict.
func (i *Imports) Commit(ctx context.Context, cause core.Cause, workspace, id core.ID) (Import, error) {
	err := i.DB.Tx(ctx, func(tx pgx.Tx) error {
		one, err := i.Import(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if err := i.mayImport(ctx, tx, cause, workspace, New{Owner: one.Owner, NewApps: one.NewApps}); err != nil {
			return err
		}
		begun, err := tx.Exec(ctx, updateBegin, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "cause": cause})
		switch {
		case err != nil:
			return postgres.Classify(err)
		case begun.RowsAffected() == 0 && one.State == Dropped:
			return core.Conflict("", "this import is not there any more; send the file again").WithCode("import_dropped")
		case begun.RowsAffected() == 0:
			return nil
		}
		if err := i.Queue.Add(ctx, tx, run{workspace, id}, jobs.Options{Priority: 3}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, i.event(core.ImportStarted, cause, one).With("rows", strconv.Itoa(one.Rows[Create]+one.Rows[CreateWithApp])))
	})
	if err == nil && i.Wake != nil {
		i.Wake()
	}
	return i.found(ctx, workspace, id, err)
}

const (
	updateDropped = `
update imports set state = 'dropped', finished = @now
where workspace_id = @workspace and id = @id and state = 'planned'`

	eraseRows = `
update import_rows set sealed = null
where workspace_id = @workspace and import_id = @id and sealed is not null`
)

// Drop erases the passwords of an import that nobody committed. One that runs or is done is a Conflict.
func (i *Imports) Drop(ctx context.Context, workspace, id core.ID) error {
	return i.DB.Tx(ctx, func(tx pgx.Tx) error {
		one, err := i.Import(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		dropped, err := tx.Exec(ctx, updateDropped, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": i.now()})
		switch {
		case err != nil:
			return postgres.Classify(err)
		case dropped.RowsAffected() == 0 && one.State != Dropped:
			return core.Conflict("", "this import has begun; what it adds stays").WithCode("import_begun")
		}
		_, err = tx.Exec(ctx, eraseRows, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
		return postgres.Classify(err)
	})
}

const selectCause = `select cause from imports where workspace_id = @workspace and id = @id and state = 'running'`

// work is an import under way.
type work struct {
	Import
	cause core.Cause
	key   seal.Secret
	sites *sites
}

// run carries out what is left of an import, row by row.
func (i *Imports) run(ctx context.Context, job run) error {
	one, err := i.Import(ctx, i.DB, job.Workspace, job.Import)
	if err != nil {
		return err
	}
	w := work{Import: one}
	err = i.DB.QueryRow(ctx, selectCause, pgx.StrictNamedArgs{"workspace": job.Workspace, "id": job.Import}).Scan(&w.cause)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it is done
	}
	if err != nil {
		return postgres.Classify(err)
	}
	if w.key, err = i.Vault.Open(ctx, i.DB, one.Workspace, one.ID, keyField, 1); err != nil {
		return err
	}
	apps, err := i.Accounts.Apps(ctx, i.DB, one.Workspace)
	if err != nil {
		return err
	}
	w.sites = sitesOf(apps)
	for {
		more, err := i.next(ctx, &w)
		if err != nil {
			return err
		}
		if i.Wake != nil {
			i.Wake()
		}
		if !more {
			return i.finish(ctx, w)
		}
	}
}

const lockRow = `
select number, title, username, sealed from import_rows
where workspace_id = @workspace and import_id = @import and outcome in ('create', 'create_with_app')
order by number limit 1
for update`

const updateRow = `
update import_rows set outcome = @outcome, reason = @reason, account_id = @account, app = coalesce(nullif(@app, ''), app), sealed = null
where workspace_id = @workspace and import_id = @import and number = @number`

// next does one row, in a transaction of its own; false: there is none left. What a rule refuses is told with the
// row, without an effect; any other failure leaves the row for later.
func (i *Imports) next(ctx context.Context, w *work) (more bool, err error) {
	var row plannedRow
	var added accounts.App
	err = i.DB.Tx(ctx, func(tx pgx.Tx) error {
		added, more = accounts.App{}, true
		var sealed []byte
		err := tx.QueryRow(ctx, lockRow, pgx.StrictNamedArgs{"workspace": w.Workspace, "import": w.ID}).Scan(&row.Number, &row.Title, &row.Username, &sealed)
		if errors.Is(err, pgx.ErrNoRows) {
			more = false
			return nil
		}
		if err != nil {
			return postgres.Classify(err)
		}
		secret, err := w.open(row.Number, sealed)
		if err != nil {
			return err
		}
		var account accounts.Account
		if account, added, err = i.create(ctx, tx, w, row, secret); err != nil {
			return err
		}
		return settle(ctx, tx, w.Import, row.Number, Created, "", account.ID, account.AppName)
	})
	switch kind := core.KindOf(err); {
	case err == nil && !added.ID.IsZero():
		w.sites.add(added)
	case err == nil:
	case kind == core.KindConflict && core.AsError(err).Field == "username":
		return true, i.DB.Tx(ctx, func(tx pgx.Tx) error {
			return settle(ctx, tx, w.Import, row.Number, Duplicate, "the account is there already", core.ID{}, "")
		})
	case kind == core.KindInvalid || kind == core.KindDenied || kind == core.KindConflict || kind == core.KindTooLarge || kind == core.KindNotFound:
		reason := core.Cut(strings.TrimPrefix(core.AsError(err).Field+": "+core.AsError(err).Message, ": "), 400)
		return true, i.DB.Tx(ctx, func(tx pgx.Tx) error {
			return settle(ctx, tx, w.Import, row.Number, Refused, reason, core.ID{}, "")
		})
	default:
		return true, err
	}
	return more, nil
}

func (w *work) open(number int, sealed []byte) (sealedRow, error) {
	var secret sealedRow
	text, err := seal.OpenUnder(w.key, binding(w.Workspace, w.ID, number), sealed)
	if err != nil {
		return secret, core.Internal(err)
	}
	if json.Unmarshal([]byte(text.Reveal()), &secret) != nil {
		return secret, core.Internal(errors.New("importing: what was sealed cannot be read"))
	}
	return secret, nil
}

// create adds the account of a row, its app where it has none, and the sign-in that proves it.
func (i *Imports) create(ctx context.Context, tx pgx.Tx, w *work, row plannedRow, secret sealedRow) (account accounts.Account, added accounts.App, err error) {
	at, _ := siteOf(secret.Address)
	app, known, several := w.sites.find(at)
	switch {
	case several:
		return account, added, core.Invalid("", "several apps are at this site: add its host to the one that is meant")
	case !known && !w.NewApps:
		return account, added, core.Invalid("", "no app is at this site any more")
	case !known:
		if added, err = i.Accounts.CreateApp(ctx, tx, w.cause, w.Workspace, w.sites.newApp(row.Title, at)); err != nil {
			return account, added, err
		}
		app = added
	}
	var totp seal.Secret
	if secret.TOTP != "" {
		totp = seal.NewSecret(secret.TOTP)
	}
	account, err = i.Accounts.CreateAccount(ctx, tx, w.cause, w.Workspace, accounts.NewAccount{
		App: app.ID, Username: row.Username, Password: seal.NewSecret(secret.Password), Owner: w.Owner, EnteredBy: w.Maker, TOTP: totp,
	})
	if err != nil {
		return account, added, err
	}
	_, err = i.Rotations.Plan(ctx, tx, w.cause, w.Workspace, account.ID, rotation.ReasonVerify, 0)
	return account, added, err
}

func settle(ctx context.Context, tx pgx.Tx, one Import, number int, outcome Outcome, reason string, account core.ID, app string) error {
	_, err := tx.Exec(ctx, updateRow, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "import": one.ID, "number": number, "outcome": string(outcome), "reason": reason, "account": account, "app": app,
	})
	return postgres.Classify(err)
}

const updateDone = `
update imports set state = 'done', finished = @now
where workspace_id = @workspace and id = @id and state = 'running'`

// finish tells how it went.
func (i *Imports) finish(ctx context.Context, w work) error {
	err := i.DB.Tx(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, updateDone, pgx.StrictNamedArgs{"workspace": w.Workspace, "id": w.ID, "now": i.now()})
		if err != nil || done.RowsAffected() == 0 {
			return postgres.Classify(err)
		}
		one, err := i.Import(ctx, tx, w.Workspace, w.ID)
		if err != nil {
			return err
		}
		event := i.event(core.ImportFinished, w.cause, one)
		for outcome, number := range one.Rows {
			event = event.With(string(outcome), strconv.Itoa(number))
		}
		return audit.Append(ctx, tx, event)
	})
	if err == nil && i.Wake != nil {
		i.Wake()
	}
	return err
}

const (
	dropWaiting = `
with late as (
	update imports set state = 'dropped', finished = @now where state = 'planned' and created <= @before returning workspace_id, id
)
update import_rows r set sealed = null from late where r.workspace_id = late.workspace_id and r.import_id = late.id and r.sealed is not null`

	sweepEvery = 5 * time.Minute
)

// Run erases what nobody committed in time, in all workspaces, until ctx ends.
func (i *Imports) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := i.Sweep(ctx); err != nil && ctx.Err() == nil && i.Log != nil {
			i.Log.WarnContext(ctx, "imports that wait too long are not dropped", "error", err)
		}
		if _, err := i.Forget(ctx); err != nil && ctx.Err() == nil && i.Log != nil {
			i.Log.WarnContext(ctx, "imports that ended long ago are not forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Some at a time: a file has many rows.
const forgetImports = `
delete from imports where (workspace_id, id) in (
	select o.workspace_id, o.id from workspaces w
	cross join lateral (
		select i.workspace_id, i.id from imports i where i.workspace_id = w.id and i.finished <= @before order by i.id limit 10
	) o)`

// Forget removes the imports that ended longer ago than they are kept, and returns how many that were.
func (i *Imports) Forget(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		done, err := i.DB.Exec(ctx, forgetImports, pgx.StrictNamedArgs{"before": i.now().Add(-Kept)})
		if err != nil || done.RowsAffected() == 0 {
			return total, postgres.Classify(err)
		}
		total += int(done.RowsAffected())
	}
	return total, nil
}

// Sweep erases once what nobody committed in time.
func (i *Imports) Sweep(ctx context.Context) error {
	now := i.now()
	_, err := i.DB.Exec(ctx, dropWaiting, pgx.StrictNamedArgs{"now": now, "before": now.Add(-Waits)})
	return postgres.Classify(err)
}
