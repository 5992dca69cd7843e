package mailbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/vault"
)

// Mailboxes receives, keeps and gives out the messages of accounts. It is safe for concurrent use, in many processes.
type Mailboxes struct {
	DB       *postgres.DB
	Accounts *accounts.Accounts
	Vault    *vault.Vault
	Domain   string // of new addresses; empty: this Postern receives no e-mail
	Options  Options
	Now      func() time.Time // nil is time.Now
	Wake     func()           // called after a commit with events, if set
	Log      *slog.Logger     // nil: none
}

// Options bound what an account may have. Zero values are good.
type Options struct {
	Hourly    int           // messages an account takes within an hour; default 60
	Kept      int           // messages kept of an account, the latest; default 500
	Retention time.Duration // how long a message is kept; default 30 days
	Pause     time.Duration // between two looks for a code that is awaited; default 300 ms
	Patience  time.Duration // how long a code is awaited; default two minutes
}

func (o Options) withDefaults() Options {
	o.Hourly = cmp.Or(o.Hourly, 60)
	o.Kept = cmp.Or(o.Kept, 500)
	o.Retention = cmp.Or(o.Retention, 30*24*time.Hour)
	o.Pause = cmp.Or(o.Pause, 300*time.Millisecond)
	o.Patience = cmp.Or(o.Patience, accounts.MaxTOTPPeriod)
	return o
}

// now is the time as PostgreSQL keeps it.
func (m *Mailboxes) now() time.Time { return postgres.Now(m.Now) }

func (m *Mailboxes) wake() {
	if m.Wake != nil {
		m.Wake()
	}
}

// Mailbox is where an account is sent messages.
type Mailbox struct {
	Address  string `db:"address"`  // e-mail; may be empty
	Phone    string `db:"phone"`    // E.164; may be empty
	Received int    `db:"received"` // messages ever
}

const mailboxColumns = `coalesce(address, '') as address, coalesce(phone, '') as phone, received`

const selectMailbox = `select ` + mailboxColumns + ` from mailboxes where workspace_id = @workspace and account_id = @account`

// Mailbox finds an account's address and number; it has neither if it never had one. It asks nobody's leave: the caller does.
func (m *Mailboxes) Mailbox(ctx context.Context, q postgres.Querier, workspace, account core.ID) (Mailbox, error) {
	found, err := postgres.One[Mailbox](ctx, q, "mailbox", selectMailbox, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
	if core.KindOf(err) == core.KindNotFound {
		return Mailbox{}, nil
	}
	return found, err
}

// Ready says that e-mail is received here. Where it is not that is a Conflict (code "mailbox_off"), and so is CreateAddress.
func (m *Mailboxes) Ready() error {
	if m.Domain == "" {
		return core.Conflict("", "this Postern receives no e-mail; whoever runs it has to give it a domain (--mailbox-domain)").WithCode("mailbox_off")
	}
	return nil
}

const upsertAddress = `
insert into mailboxes as m (workspace_id, account_id, address) values (@workspace, @account, @address)
on conflict (workspace_id, account_id) do update set address = excluded.address where m.address is null
returning ` + mailboxColumns

// CreateAddress gives an account an address that nobody can guess and nobody had. A Conflict (code "has_address") if it
// has one. The account's owners may, administrators, service accounts and the system.
func (m *Mailboxes) CreateAddress(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (Mailbox, error) {
	if err := m.Ready(); err != nil {
		return Mailbox{}, err
	}
	if err := m.Accounts.Manager(ctx, tx, cause, workspace, account); err != nil {
		return Mailbox{}, err
	}
	found, err := m.Accounts.Hold(ctx, tx, workspace, account)
	if err != nil {
		return Mailbox{}, err
	}
	address := strings.ToLower(rand.Text()[:16] + "@" + m.Domain)
	made, err := postgres.One[Mailbox](ctx, tx, "mailbox", upsertAddress, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "address": address})
	if core.KindOf(err) == core.KindNotFound {
		return Mailbox{}, core.Conflict("address", "the account has an address; remove it first").WithCode("has_address")
	}
	if err != nil {
		return Mailbox{}, err
	}
	return made, audit.Append(ctx, tx, core.NewEvent(core.AccountAddressCreated, workspace, cause, m.now(), found.Target()).With("address", address))
}

const removeAddress = `
with old as (select address from mailboxes where workspace_id = @workspace and account_id = @account and address is not null for update)
update mailboxes m set address = null from old where m.workspace_id = @workspace and m.account_id = @account
returning old.address`

// RemoveAddress has nothing more come to an account's address, which is never given out again: NotFound if it has none.
// What came stays as long as it would. Those who may CreateAddress may.
func (m *Mailboxes) RemoveAddress(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if err := m.Accounts.Manager(ctx, tx, cause, workspace, account); err != nil {
		return err
	}
	return m.remove(ctx, tx, cause, workspace, account, removeAddress, core.AccountAddressRemoved, "address")
}

// phoneText is E.164: a plus, the country, at most fifteen digits.
var phoneText = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

const upsertPhone = `
insert into mailboxes (workspace_id, account_id, phone) values (@workspace, @account, @phone)
on conflict (workspace_id, account_id) do update set phone = excluded.phone
returning ` + mailboxColumns

// CheckPhone gives a number in the one form it is kept in, E.164: blanks, dashes and brackets are left out.
func CheckPhone(given string) (string, error) {
	phone := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "").Replace(given)
	if !phoneText.MatchString(phone) {
		return "", core.Invalid("phone", "write the number with its country, such as +49 30 123456 (E.164)")
	}
	return phone, nil
}

// AssignPhone has the messages to a number come to an account. One that another account of the workspace has is a
// Conflict (code "mailbox_phone"). Administrators may, service accounts and the system.
func (m *Mailboxes) AssignPhone(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, given string) (Mailbox, error) {
	phone, err := CheckPhone(given)
	if err != nil {
		return Mailbox{}, err
	}
	if err := m.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return Mailbox{}, err
	}
	found, err := m.Accounts.Hold(ctx, tx, workspace, account)
	if err != nil {
		return Mailbox{}, err
	}
	made, err := postgres.One[Mailbox](ctx, tx, "mailbox", upsertPhone, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "phone": phone})
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "mailbox_phone" {
		return Mailbox{}, core.Conflict("phone", "another account has this number").WithCode("mailbox_phone")
	}
	if err != nil {
		return Mailbox{}, err
	}
	return made, audit.Append(ctx, tx, core.NewEvent(core.AccountPhoneAssigned, workspace, cause, m.now(), found.Target()).With("phone", phone))
}

const removePhone = `
with old as (select phone from mailboxes where workspace_id = @workspace and account_id = @account and phone is not null for update)
update mailboxes m set phone = null from old where m.workspace_id = @workspace and m.account_id = @account
returning old.phone`

// RemovePhone has nothing more come to an account by SMS: NotFound if it has no number. Those who may AssignPhone may.
func (m *Mailboxes) RemovePhone(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if err := m.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return err
	}
	return m.remove(ctx, tx, cause, workspace, account, removePhone, core.AccountPhoneRemoved, "phone")
}

func (m *Mailboxes) remove(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, statement string, kind core.EventType, what string) error {
	found, err := m.Accounts.Hold(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	var removed string
	err = tx.QueryRow(ctx, statement, pgx.StrictNamedArgs{"workspace": workspace, "account": account}).Scan(&removed)
	if errors.Is(err, pgx.ErrNoRows) {
		return core.NotFound(what + " of this account")
	}
	if err != nil {
		return postgres.Classify(err)
	}
	return audit.Append(ctx, tx, core.NewEvent(kind, workspace, cause, m.now(), found.Target()).With(what, removed))
}
