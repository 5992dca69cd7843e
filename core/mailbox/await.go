package mailbox

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// Want is what is wanted of a message.
type Want string

// What can be wanted.
const (
	Code Want = "code"
	Link Want = "link"
)

// Latest is the number of an account's latest message, behind which Await looks: 0 if there was none.
func (m *Mailboxes) Latest(ctx context.Context, q postgres.Querier, workspace, account core.ID) (int, error) {
	found, err := m.Mailbox(ctx, q, workspace, account)
	return found.Received, err
}

// Of two who want it, one finds the message the other has locked spent and takes none.
const spendNewest = `
update messages set spent = @now
where workspace_id = @workspace and spent is null and id = (
	select id from messages
	where workspace_id = @workspace and account_id = @account and number > @after and spent is null
		and (case when @want = 'link' then link else code end)
	order by number desc limit 1 for update)
returning id, sealed`

// Await waits for a message behind one and gives its code or link, the newest one's, which nobody was given by Await
// before: an app takes each once. Numbers instead of times tell what is new, so that no two clocks are compared. It waits
// for Options.Patience: Unavailable (code "no_message") after that. Like accounts.Password it asks nobody's leave: it is
// for sign-ins of Postern's own, whose steps are on record themselves.
func (m *Mailboxes) Await(ctx context.Context, workspace, account core.ID, after int, want Want) (seal.Secret, error) {
	options := m.Options.withDefaults()
	patience := time.NewTimer(options.Patience)
	defer patience.Stop()
	pause := time.NewTicker(options.Pause)
	defer pause.Stop()
	for {
		found, err := m.spend(ctx, workspace, account, after, want)
		if err != nil || !found.IsZero() {
			return found, err
		}
		select {
		case <-ctx.Done():
			return seal.Secret{}, context.Cause(ctx)
		case <-patience.C:
			return seal.Secret{}, core.Unavailable(0, "no message with a %s came", want).WithCode("no_message")
		case <-pause.C:
		}
	}
}

func (m *Mailboxes) spend(ctx context.Context, workspace, account core.ID, after int, want Want) (seal.Secret, error) {
	var id core.ID
	var sealed []byte
	err := m.DB.QueryRow(ctx, spendNewest, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "after": after, "want": string(want), "now": m.now(),
	}).Scan(&id, &sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Secret{}, nil
	}
	if err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	says, err := m.open(ctx, m.DB, workspace, id, sealed)
	if err != nil {
		return seal.Secret{}, err
	}
	if want == Link {
		return secret(says.Link), nil
	}
	return secret(says.Code), nil
}

// Links gives where an account is mailed to, and what waits for the links that are mailed to it from now on: empty and nil if
// it has no address.
func (m *Mailboxes) Links(ctx context.Context, q postgres.Querier, workspace, account core.ID) (string, func(ctx context.Context) (seal.Secret, error), error) {
	found, err := m.Mailbox(ctx, q, workspace, account)
	if err != nil || found.Address == "" {
		return "", nil, err
	}
	return found.Address, func(ctx context.Context) (seal.Secret, error) {
		return m.Await(ctx, workspace, account, found.Received, Link)
	}, nil
}

// Codes gives what waits for the codes that come to an account from now on, for a sign-in that begins now: nil if the
// account has neither an address nor a number.
func (m *Mailboxes) Codes(ctx context.Context, q postgres.Querier, workspace, account core.ID) (func(ctx context.Context) (seal.Secret, error), error) {
	found, err := m.Mailbox(ctx, q, workspace, account)
	if err != nil || found.Address == "" && found.Phone == "" {
		return nil, err
	}
	return func(ctx context.Context) (seal.Secret, error) {
		return m.Await(ctx, workspace, account, found.Received, Code)
	}, nil
}
