package importing

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
)

// Imports plans and carries out imports. Every field is needed except Now, Wake and Log. Use it by pointer.
type Imports struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations
	Vault     *vault.Vault
	Queue     *jobs.Queue
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Wake tells the sequencer that events were committed.
	Wake func()
	Log  *slog.Logger
}

// State is how far an import has come.
type State string

// The states.
const (
	Planned State = "planned" // nothing is added yet
	Running State = "running"
	Done    State = "done"
	Dropped State = "dropped" // nobody committed it in time, or somebody said no
)

// Outcome is what a row does, or did.
type Outcome string

// The outcomes. The first two are plans.
const (
	Create        Outcome = "create"
	CreateWithApp Outcome = "create_with_app" // its app is added too
	Created       Outcome = "created"
	Duplicate     Outcome = "duplicate" // the account is there, or another row is the same; nothing is changed
	Skipped       Outcome = "skipped"   // it cannot be an account
	Refused       Outcome = "refused"   // a rule says no
)

// Waits is how long an import waits to be committed; then its passwords are erased.
const Waits = time.Hour

// Kept is how long an import and what became of its rows are kept once it has ended. What it added stays, and the log says so for ever.
const Kept = 90 * 24 * time.Hour

// Import is a file somebody sent, and what became of it.
type Import struct {
	ID        core.ID
	Workspace core.ID
	Maker     core.ID
	MakerName string
	Format    Format
	Owner     core.ID
	NewApps   bool
	State     State
	Created   time.Time
	Finished  *time.Time
	Rows      map[Outcome]int
}

// Row is what an entry of the file does, or did.
type Row struct {
	Number   int
	Title    string
	Site     string
	Username string
	App      string
	Outcome  Outcome
	Reason   string
	LeftOut  []string
	Account  core.ID
}

// New is a file to import.
type New struct {
	Format  Format
	File    []byte
	Owner   core.ID // of the accounts
	NewApps bool    // add apps for sites that have none
	Key     string  // the same again is the same import; may be empty
}

func (i *Imports) now() time.Time {
	if i.Now == nil {
		return time.Now()
	}
	return i.Now()
}

func (n New) digest() []byte {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%s\n%v\n", n.Format, n.Owner, n.NewApps)
	hash.Write(n.File)
	return hash.Sum(nil)
}

const selectByKey = `
select id, digest from imports where workspace_id = @workspace and maker_id = @maker and key = @key`

const insertImport = `
insert into imports (id, workspace_id, key, maker_id, maker, digest, format, cause, owner_id, new_apps, state, created)
values (@id, @workspace, nullif(@key, ''), @maker, @makerName, @digest, @format, @cause, @owner, @newApps, 'planned', @now)
on conflict on constraint import_key do nothing`

// Plan reads a file and says what each of its rows would do. Nothing is added by it. What was sent before under the
// same key is the same import, as far as it has come by now; another file under it is a Conflict.
func (i *Imports) Plan(ctx context.Context, cause core.Cause, workspace core.ID, wanted New) (Import, error) {
	digest := wanted.digest()
	if wanted.Key != "" {
		before, err := i.known(ctx, workspace, cause.Actor.ID, wanted.Key, digest)
		if err != nil || !before.IsZero() {
			return i.found(ctx, workspace, before, err)
		}
	}
	if wanted.Owner.IsZero() {
		return Import{}, core.Invalid("owner", "name the user who will own the accounts")
	}
	entries, err := Read(wanted.Format, wanted.File)
	if err != nil {
		return Import{}, err
	}
	id := core.NewID()
	err = i.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := i.mayImport(ctx, tx, cause, workspace, wanted); err != nil {
			return err
		}
		planned, err := i.plan(ctx, tx, workspace, entries, wanted.NewApps)
		if err != nil {
			return err
		}
		inserted, err := tx.Exec(ctx, insertImport, pgx.StrictNamedArgs{
			"id": id, "workspace": workspace, "key": wanted.Key, "maker": cause.Actor.ID, "makerName": core.Cut(cause.Actor.Name, accounts.MaxName),
			"digest": digest, "format": string(wanted.Format), "cause": cause, "owner": wanted.Owner, "newApps": wanted.NewApps, "now": i.now(),
		})
		if err != nil {
			return postgres.Classify(err)
		}
		if inserted.RowsAffected() == 0 {
			return errTwice
		}
		key, err := i.newKey(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		return copyRows(ctx, tx, workspace, id, key, planned)
	})
	if errors.Is(err, errTwice) { // the same, sent at once
		id, err = i.known(ctx, workspace, cause.Actor.ID, wanted.Key, digest)
	}
	return i.found(ctx, workspace, id, err)
}

var errTwice = errors.New("importing: another request with this key was first")

func (i *Imports) found(ctx context.Context, workspace, id core.ID, err error) (Import, error) {
	if err != nil {
		return Import{}, err
	}
	return i.Import(ctx, i.DB, workspace, id)
}

// known is the import of a key; zero if there is none.
func (i *Imports) known(ctx context.Context, workspace, maker core.ID, key string, digest []byte) (core.ID, error) {
	var id core.ID
	var before []byte
	err := i.DB.QueryRow(ctx, selectByKey, pgx.StrictNamedArgs{"workspace": workspace, "maker": maker, "key": key}).Scan(&id, &before)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return core.ID{}, nil
	case err != nil:
		return core.ID{}, postgres.Classify(err)
	case string(before) != string(digest):
		return core.ID{}, core.Conflict("", "this Idempotency-Key stands for another file; take a new one for each").WithCode("idempotency_key_reused")
	}
	return id, nil
}

// mayImport refuses early what every row would be refused for.
func (i *Imports) mayImport(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted New) error {
	administers := i.Accounts.Administrator(ctx, tx, cause, workspace)
	if administers != nil && (core.KindOf(administers) != core.KindDenied || wanted.Owner != cause.Actor.ID || wanted.NewApps) {
		return administers
	}
	owner, err := i.Directory.User(ctx, tx, workspace, wanted.Owner)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return core.Invalid("owner", "there is no such user in this workspace")
	case err != nil:
		return err
	case !owner.Active || !owner.Role.MayOwn():
		return core.Invalid("owner", "the owner is an active user, and neither a guest nor login-only").WithCode("capped")
	}
	return nil
}

// plannedRow is a row and what is sealed with it.
type plannedRow struct {
	Row
	app    core.ID
	secret *sealedRow
}

// sealedRow is what of a row nobody else may read.
type sealedRow struct {
	Password string `json:"password"`
	Address  string `json:"address"`
	TOTP     string `json:"totp,omitempty"`
}

// plan says what each entry would do now.
func (i *Imports) plan(ctx context.Context, tx pgx.Tx, workspace core.ID, entries []Entry, newApps bool) ([]plannedRow, error) {
	apps, err := i.Accounts.Apps(ctx, tx, workspace)
	if err != nil {
		return nil, err
	}
	found := sitesOf(apps)
	planned := make([]plannedRow, len(entries))
	var logins []accounts.Login
	for n, entry := range entries {
		planned[n] = judge(entry, found, newApps)
		if planned[n].Outcome == Create {
			logins = append(logins, accounts.Login{App: planned[n].app, Username: entry.Username})
		}
	}
	there := map[accounts.Login]core.ID{}
	for len(logins) > 0 {
		chunk := logins[:min(5000, len(logins))]
		logins = logins[len(chunk):]
		some, err := i.Accounts.Existing(ctx, tx, workspace, chunk)
		if err != nil {
			return nil, err
		}
		for login, account := range some {
			there[login] = account
		}
	}
	first := map[[2]string]int{}
	for n := range planned {
		row := &planned[n]
		if row.Outcome != Create && row.Outcome != CreateWithApp {
			continue
		}
		// An app that is yet to be added is known by its site.
		name := [2]string{row.Site, row.Username}
		if row.Outcome == Create {
			name[0] = row.app.String()
		}
		switch account, known := there[accounts.Login{App: row.app, Username: row.Username}]; {
		case known:
			row.Outcome, row.Account, row.Reason, row.secret = Duplicate, account, "the account is there already", nil
		case first[name] > 0:
			row.Outcome, row.Reason, row.secret = Duplicate, fmt.Sprintf("it is the same account as entry %d", first[name]), nil
		default:
			first[name] = row.Number
		}
	}
	return planned, nil
}

// judge says what an entry would do by itself.
func judge(entry Entry, found *sites, newApps bool) plannedRow {
	row := plannedRow{Row: Row{
		Number: entry.Number, Title: core.Cut(entry.Title, accounts.MaxName), Username: core.Cut(entry.Username, accounts.MaxUsername),
		Outcome: Skipped, LeftOut: append([]string{}, entry.LeftOut...),
	}}
	at, is := siteOf(entry.Address.Reveal())
	if is {
		row.Site = core.Cut(at.String(), 300)
	}
	if !entry.TOTP.IsZero() && accounts.CheckTOTP(entry.TOTP) != nil {
		row.LeftOut, entry.TOTP = append(row.LeftOut, "totp"), seal.Secret{}
	}
	wrong := accounts.NewAccount{Username: entry.Username, Password: entry.Password}.Check()
	switch {
	case entry.Skip != "":
		row.Reason = entry.Skip
		return row
	case !is:
		row.Reason = "it has no web address"
		return row
	case wrong != nil:
		row.Reason = core.AsError(wrong).Field + ": " + core.AsError(wrong).Message
		return row
	}
	app, known, several := found.find(at)
	switch {
	case several:
		row.Reason = "several apps are at this site: add its host to the one that is meant"
		return row
	case known:
		row.Outcome, row.App, row.app = Create, app.Name, app.ID
	case !newApps:
		row.Reason = "no app is at this site"
		return row
	default:
		row.Outcome, row.App = CreateWithApp, found.newApp(entry.Title, at).Name
	}
	row.secret = &sealedRow{entry.Password.Reveal(), entry.Address.Reveal(), entry.TOTP.Reveal()}
	return row
}

// keyField is the vault item's field with an import's key; the item has the import's id.
const keyField = "import key"

// newKey makes the key under which the passwords of an import wait. What is under it can be erased; the vault erases
// nothing.
func (i *Imports) newKey(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (seal.Secret, error) {
	home, err := i.Vault.Prepare(ctx, tx, workspace)
	if err != nil {
		return seal.Secret{}, err
	}
	key := seal.NewKey()
	return key, i.Vault.Put(ctx, tx, workspace, home, id, keyField, 1, key)
}

func binding(workspace, id core.ID, number int) string {
	return fmt.Sprintf("import %s %s %d", workspace, id, number)
}

var rowColumns = []string{"workspace_id", "import_id", "number", "title", "site", "username", "app", "app_id", "outcome", "reason", "left_out", "account_id", "sealed"}

func copyRows(ctx context.Context, tx pgx.Tx, workspace, id core.ID, key seal.Secret, rows []plannedRow) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"import_rows"}, rowColumns, pgx.CopyFromSlice(len(rows), func(n int) ([]any, error) {
		row := rows[n]
		var sealed []byte
		if row.secret != nil {
			text, err := json.Marshal(row.secret)
			if err == nil {
				sealed, err = seal.SealUnder(key, binding(workspace, id, row.Number), seal.NewSecret(string(text)))
			}
			if err != nil {
				return nil, core.Internal(err)
			}
		}
		return []any{[16]byte(workspace), [16]byte(id), row.Number, row.Title, row.Site, row.Username, row.App, optional(row.app), string(row.Outcome), row.Reason, row.LeftOut, optional(row.Account), sealed}, nil
	}))
	return postgres.Classify(err)
}

// optional is an id as COPY takes it.
func optional(id core.ID) any {
	if id.IsZero() {
		return nil
	}
	return [16]byte(id)
}

// event begins one about an import.
func (i *Imports) event(kind core.EventType, cause core.Cause, one Import) core.Event {
	return core.NewEvent(kind, one.Workspace, cause, i.now(), core.Target{Kind: "import", ID: one.ID, Name: string(one.Format)}, core.Target{Kind: "user", ID: one.Owner})
}
