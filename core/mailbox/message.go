package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// Message is one message as a list shows it: nothing it says is in it but its subject, masked.
type Message struct {
	ID       core.ID    `db:"id"`
	Number   int        `db:"number"` // counts the account's messages from 1
	Kind     Kind       `db:"kind"`
	Sender   string     `db:"sender"` // as the message says: anybody may write anything there
	Subject  string     `db:"subject"`
	SPF      string     `db:"spf"` // "pass example.com"; empty: not checked
	DKIM     string     `db:"dkim"`
	Origin   string     `db:"origin"` // the host its code says it is for; empty: it does not say
	Code     bool       `db:"code"`   // whether one was found
	Link     bool       `db:"link"`
	Received time.Time  `db:"received"`
	Spent    *time.Time `db:"spent"` // when Postern itself used its code or its link
}

const messageColumns = `select id, number, kind, sender, subject, spf, dkim, origin, code, link, received, spent`

const selectMessages = messageColumns + `
from messages where workspace_id = @workspace and account_id = @account and (@before::bigint = 0 or number < @before)
order by number desc limit @limit`

// List gives what an account was sent, the latest first: a page, or what comes behind the message with number before. It
// asks nobody's leave: the caller does.
func (m *Mailboxes) List(ctx context.Context, q postgres.Querier, workspace, account core.ID, before, limit int) ([]Message, error) {
	return postgres.Many[Message](ctx, q, selectMessages, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "before": before, "limit": postgres.Page(limit),
	})
}

// Messages is List for somebody, who is Denied, with the code of the rule, as accounts.Fill denies.
func (m *Mailboxes) Messages(ctx context.Context, cause core.Cause, workspace, user, account core.ID, before, limit int) (found []Message, err error) {
	err = m.DB.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := m.Accounts.MayFill(ctx, tx, cause, workspace, user, account); err != nil {
			return err
		}
		found, err = m.List(ctx, tx, workspace, account, before, limit)
		return err
	})
	return found, err
}

// Opened is a message with what it says.
type Opened struct {
	Message
	Full seal.Secret // the subject
	Text seal.Secret
	Pin  seal.Secret // its code; zero: none was found
	URL  seal.Secret // its link; zero: none to one of the app's hosts
}

const selectMessage = messageColumns + `, sealed
from messages where workspace_id = @workspace and account_id = @account and id = @id`

// Read shows what a message says to whoever may use the account. That they read it is committed, with its event, before
// they do. Denied as Messages is; NotFound if the account has no such message, or not any more.
func (m *Mailboxes) Read(ctx context.Context, cause core.Cause, workspace, user, account, id core.ID) (Opened, error) {
	var opened Opened
	err := m.DB.Tx(ctx, func(tx pgx.Tx) error {
		found, err := m.Accounts.MayFill(ctx, tx, cause, workspace, user, account)
		if err != nil {
			return err
		}
		row, err := postgres.One[struct {
			Message
			Sealed []byte `db:"sealed"`
		}](ctx, tx, "message", selectMessage, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "id": id})
		if err != nil {
			return err
		}
		says, err := m.open(ctx, tx, workspace, id, row.Sealed)
		if err != nil {
			return err
		}
		opened = Opened{row.Message, secret(says.Subject), secret(says.Text), secret(says.Code), secret(says.Link)}
		if err := m.Accounts.RecordRead(ctx, tx, workspace, user, account, row.Number); err != nil {
			return err
		}
		who, err := m.Accounts.Directory.User(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.AccountMessageRead, workspace, cause, m.now(), found.Target(), who.Target()).
			With("message", id.String()).With("number", strconv.Itoa(row.Number)))
	})
	if err != nil {
		return Opened{}, err
	}
	m.wake()
	return opened, nil
}

func secret(text string) seal.Secret {
	if text == "" {
		return seal.Secret{}
	}
	return seal.NewSecret(text)
}

func (m *Mailboxes) open(ctx context.Context, q postgres.Querier, workspace, message core.ID, sealed []byte) (content, error) {
	key, err := m.Vault.Open(ctx, q, workspace, workspace, keyField, 1)
	if err != nil {
		return content{}, err
	}
	text, err := seal.OpenUnder(key, binding(workspace, message), sealed)
	if err != nil {
		return content{}, err
	}
	var says content
	if json.Unmarshal([]byte(text.Reveal()), &says) != nil { // whose error would show some of it
		return content{}, core.Internal(errors.New("mailbox: a stored message cannot be read"))
	}
	return says, nil
}
