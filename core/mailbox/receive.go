package mailbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// Kind is how a message came.
type Kind string

// The kinds.
const (
	Email Kind = "email"
	SMS   Kind = "sms"
)

// Recipient is an account that messages to an address or a number come to.
type Recipient struct {
	Workspace core.ID
	Account   core.ID
	kind      Kind
	at        string   // the address or number
	domains   []string // of the app
}

// Incoming is a message as it came. All of it is somebody else's word.
type Incoming struct {
	ID      string      // by which its sender knows it; empty: each one is new
	Sender  string      // an address, a number or a name
	Subject seal.Secret // these may hold a code
	Text    seal.Secret
	HTML    seal.Secret
	SPF     string // what came of the check, as "pass example.com"
	DKIM    string
}

const (
	maxSender  = 320
	maxSubject = 300
	maxResult  = 200
	maxText    = 64 << 10 // of a message, as it is kept
	maxID      = 1000
)

const selectByAddress = `
select b.workspace_id, b.account_id, p.domains
from mailboxes b
join accounts a on a.workspace_id = b.workspace_id and a.id = b.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where b.address = @at`

// Expected finds whose an e-mail address is. NotFound if it is nobody's; RateLimited if the account has taken all it takes
// within an hour.
func (m *Mailboxes) Expected(ctx context.Context, address string) (Recipient, error) {
	return m.recipient(ctx, selectByAddress, Email, pgx.StrictNamedArgs{"at": strings.ToLower(address)})
}

const selectByPhone = `
select b.workspace_id, b.account_id, p.domains
from mailboxes b
join accounts a on a.workspace_id = b.workspace_id and a.id = b.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where b.workspace_id = @workspace and b.phone = @at`

// Called is Expected of a phone number within a workspace.
func (m *Mailboxes) Called(ctx context.Context, workspace core.ID, phone string) (Recipient, error) {
	return m.recipient(ctx, selectByPhone, SMS, pgx.StrictNamedArgs{"workspace": workspace, "at": phone})
}

func (m *Mailboxes) recipient(ctx context.Context, query string, kind Kind, args pgx.StrictNamedArgs) (Recipient, error) {
	found := Recipient{kind: kind, at: args["at"].(string)}
	if !validText(found.at) {
		return Recipient{}, core.NotFound("recipient")
	}
	err := m.DB.QueryRow(ctx, query, args).Scan(&found.Workspace, &found.Account, &found.domains)
	if errors.Is(err, pgx.ErrNoRows) {
		return Recipient{}, core.NotFound("recipient")
	}
	if err != nil {
		return Recipient{}, postgres.Classify(err)
	}
	return found, m.room(ctx, m.DB, found)
}

// validText reports whether PostgreSQL can be asked for a text.
func validText(text string) bool { return core.Cut(text, len(text)) == text }

const countHour = `
select count(*) from messages where workspace_id = @workspace and account_id = @account and received > @since
	and number >= (select received from mailboxes where workspace_id = @workspace and account_id = @account) - @hourly::integer`

// room refuses what is beyond an account's hour. No more rows are looked at than it takes.
func (m *Mailboxes) room(ctx context.Context, q postgres.Querier, to Recipient) error {
	hourly := m.Options.withDefaults().Hourly
	var taken int
	if err := q.QueryRow(ctx, countHour, pgx.StrictNamedArgs{
		"workspace": to.Workspace, "account": to.Account, "since": m.now().Add(-time.Hour), "hourly": hourly,
	}).Scan(&taken); err != nil {
		return postgres.Classify(err)
	}
	if taken >= hourly {
		return &core.Error{Kind: core.KindRateLimited, Code: "mailbox_full", RetryAfter: 10 * time.Minute, Message: "this account takes no more messages for a while"}
	}
	return nil
}

// content is what is sealed of a message.
type content struct {
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text,omitempty"`
	Code    string `json:"code,omitempty"`
	Link    string `json:"link,omitempty"`
}

const takeNumber = `
update mailboxes set received = received + 1
where workspace_id = @workspace and account_id = @account and (case when @kind = 'email' then address else phone end) = @at
returning received`

const insertDigest = `
insert into message_digests (workspace_id, account_id, digest, received) values (@workspace, @account, @digest, @now)
on conflict do nothing`

const insertMessage = `
insert into messages (id, workspace_id, account_id, number, kind, sender, subject, spf, dkim, origin, code, link, sealed, received)
values (@id, @workspace, @account, @number, @kind, @sender, @subject, @spf, @dkim, @origin, @code, @link, @sealed, @now)`

const dropOldest = `
delete from messages where workspace_id = @workspace and account_id = @account and number <= @number::integer - @kept::integer`

// Receive keeps a message and returns once that is committed. What came before is a Conflict (code "replayed") and changes
// nothing; RateLimited and NotFound are as of Expected.
func (m *Mailboxes) Receive(ctx context.Context, to Recipient, in Incoming) (Message, error) {
	read := extract(in, to.domains)
	made := Message{
		ID: core.NewID(), Kind: to.kind, Sender: core.Cut(in.Sender, maxSender), Subject: core.Cut(masked(read.subject, read.code), maxSubject),
		SPF: core.Cut(in.SPF, maxResult), DKIM: core.Cut(in.DKIM, maxResult), Origin: core.Cut(read.origin, maxResult), Code: read.code != "", Link: read.link != "",
	}
	kept, err := json.Marshal(content{core.Cut(read.subject, 4*maxSubject), core.Cut(read.text, maxText), read.code, read.link})
	if err != nil {
		return Message{}, core.Internal(errors.New("mailbox: a message cannot be kept"))
	}
	err = m.DB.Tx(ctx, func(tx pgx.Tx) error {
		key, err := m.Vault.Key(ctx, tx, to.Workspace, keyField)
		if err != nil {
			return err
		}
		args := pgx.StrictNamedArgs{"workspace": to.Workspace, "account": to.Account, "kind": string(to.kind), "at": to.at}
		err = tx.QueryRow(ctx, takeNumber, args).Scan(&made.Number)
		if errors.Is(err, pgx.ErrNoRows) {
			return core.NotFound("recipient") // not any more
		}
		if err != nil {
			return postgres.Classify(err)
		}
		made.Received = m.now()
		if digest := in.digest(to.kind); digest != nil {
			done, err := tx.Exec(ctx, insertDigest, pgx.StrictNamedArgs{
				"workspace": to.Workspace, "account": to.Account, "digest": digest, "now": made.Received,
			})
			if err != nil {
				return postgres.Classify(err)
			}
			if done.RowsAffected() == 0 {
				return core.Conflict("", "this message came before").WithCode("replayed")
			}
		}
		if err := m.room(ctx, tx, to); err != nil {
			return err
		}
		sealed, err := seal.SealUnder(key, binding(to.Workspace, made.ID), seal.NewSecret(string(kept)))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertMessage, pgx.StrictNamedArgs{
			"id": made.ID, "workspace": to.Workspace, "account": to.Account, "number": made.Number, "kind": string(made.Kind), "sender": made.Sender,
			"subject": made.Subject, "spf": made.SPF, "dkim": made.DKIM, "origin": made.Origin, "code": made.Code, "link": made.Link, "sealed": sealed,
			"now": made.Received,
		}); err != nil {
			return postgres.Classify(err)
		}
		if _, err := tx.Exec(ctx, dropOldest, pgx.StrictNamedArgs{
			"workspace": to.Workspace, "account": to.Account, "number": made.Number, "kept": m.Options.withDefaults().Kept,
		}); err != nil {
			return postgres.Classify(err)
		}
		return m.tellReceived(ctx, tx, to, made)
	})
	if err != nil {
		return Message{}, err
	}
	m.wake()
	return made, nil
}

func (m *Mailboxes) tellReceived(ctx context.Context, tx pgx.Tx, to Recipient, made Message) error {
	account, err := m.Accounts.Account(ctx, tx, to.Workspace, to.Account)
	if err != nil {
		return err
	}
	event := core.NewEvent(core.AccountMessageReceived, to.Workspace, core.NewCause(core.System, made.Received), made.Received, account.Target()).
		With("message", made.ID.String()).With("number", strconv.Itoa(made.Number)).With("kind", string(made.Kind)).With("sender", made.Sender)
	if made.Kind == Email {
		event = event.With("spf", made.SPF).With("dkim", made.DKIM)
	}
	return audit.Append(ctx, tx, event)
}

// digest tells a message that is sent again from another one: nil if it has no id. Who knows the id alone cannot keep the
// message itself from being taken.
func (in Incoming) digest(kind Kind) []byte {
	if in.ID == "" {
		return nil
	}
	sum := sha256.New()
	for _, part := range []string{string(kind), core.Cut(in.ID, maxID), in.Sender, in.Subject.Reveal(), in.Text.Reveal(), in.HTML.Reveal()} {
		sum.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return sum.Sum(nil)
}

// keyField is the vault item's field with the key of a workspace's messages.
const keyField = "message key"

func binding(workspace, message core.ID) string {
	return "message " + workspace.String() + " " + message.String()
}

// masked is a subject without what may be a code: no word of it that has a digit is shown.
func masked(subject, code string) string {
	words := strings.FieldsFunc(subject, unicode.IsSpace)
	for i, word := range words {
		if strings.ContainsFunc(word, unicode.IsDigit) || code != "" && strings.Contains(word, code) {
			words[i] = "•••"
		}
	}
	return strings.Join(words, " ")
}
