package transmitter

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// How a receiver knows people.
const (
	SubjectEmail  = "email"   // by e-mail address; iss_sub where there is none
	SubjectIssSub = "iss_sub" // by what their identity provider calls them; by our issuer and id where none does
)

// Receiver is who may have a stream: a client of the workspace.
type Receiver struct {
	ID            core.ID   `db:"id"`
	Workspace     core.ID   `db:"workspace_id"`
	Account       core.ID   `db:"service_account_id"` // client_id
	Name          string    `db:"name"`
	SubjectFormat string    `db:"subject_format"`
	Audience      string    `db:"audience"` // aud of its tokens
	Sessions      bool      `db:"sessions"` // also told of single sessions
	Accounts      bool      `db:"accounts"` // also told of rotations of shared accounts
	Created       time.Time `db:"created"`
}

func (r Receiver) target() core.Target { return core.Target{Kind: Kind, ID: r.ID, Name: r.Name} }

func (r Receiver) actor() core.Actor {
	return core.Actor{Kind: core.ActorServiceAccount, ID: r.Account, Name: r.Name}
}

// NewReceiver is what an administrator says of a receiver.
type NewReceiver struct {
	Name          string
	SubjectFormat string // "": email
	Audience      string // "": the receiver's client id
	Sessions      bool
	Accounts      bool
	ReadOnly      bool // may not make or change its stream; poll and look
}

const insertReceiver = `
insert into receivers (id, workspace_id, service_account_id, name, subject_format, audience, sessions, accounts, created)
values (@id, @workspace, @account, @name, @format, @audience, @sessions, @accounts, @now)`

// AddReceiver registers a receiver, and returns its client secret: the only time it can be seen. A taken name
// is a Conflict on "name".
func (s *Service) AddReceiver(ctx context.Context, cause core.Cause, workspace core.ID, wanted NewReceiver) (Receiver, seal.Secret, error) {
	var made Receiver
	var secret seal.Secret
	if wanted.SubjectFormat == "" {
		wanted.SubjectFormat = SubjectEmail
	}
	if err := checkFormat(wanted.SubjectFormat); err != nil {
		return made, secret, err
	}
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		scopes := Scopes()
		if wanted.ReadOnly {
			scopes = []string{ScopeRead}
		}
		account, err := s.Directory.CreateServiceAccount(ctx, tx, cause, workspace, wanted.Name, scopes)
		if err != nil {
			return err
		}
		if secret, err = s.Directory.CreateServiceAccountToken(ctx, tx, cause, workspace, account.ID, nil); err != nil {
			return err
		}
		made = Receiver{
			ID: core.NewID(), Workspace: workspace, Account: account.ID, Name: account.Name, SubjectFormat: wanted.SubjectFormat, Audience: wanted.Audience,
			Sessions: wanted.Sessions, Accounts: wanted.Accounts, Created: s.now(),
		}
		if made.Audience == "" {
			made.Audience = account.ID.String()
		}
		if _, err := tx.Exec(ctx, insertReceiver, pgx.StrictNamedArgs{
			"id": made.ID, "workspace": workspace, "account": account.ID, "name": made.Name, "format": made.SubjectFormat, "audience": made.Audience,
			"sessions": made.Sessions, "accounts": made.Accounts, "now": made.Created,
		}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.ReceiverCreated, workspace, cause, s.now(), made.target()))
	})
	if err == nil {
		s.wake()
	}
	return made, secret, postgres.Classify(err)
}

func checkFormat(format string) error {
	if !slices.Contains([]string{SubjectEmail, SubjectIssSub}, format) {
		return core.Invalid("subject_format", "a receiver knows people by email or by iss_sub")
	}
	return nil
}

const receiverColumns = `id, workspace_id, service_account_id, name, subject_format, audience, sessions, accounts, created`

const selectReceivers = `select ` + receiverColumns + ` from receivers where workspace_id = @workspace order by created, id`

// Receivers lists the receivers of a workspace, oldest first.
func (s *Service) Receivers(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Receiver, error) {
	rows, err := q.Query(ctx, selectReceivers, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Receiver])
	return found, postgres.Classify(err)
}

const selectReceiver = `select ` + receiverColumns + ` from receivers where workspace_id = @workspace and id = @id`

// Receiver reads one.
func (s *Service) Receiver(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Receiver, error) {
	return oneReceiver(ctx, q, selectReceiver, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectReceiverOf = `select ` + receiverColumns + ` from receivers where workspace_id = @workspace and service_account_id = @account`

func (s *Service) receiverOf(ctx context.Context, q postgres.Querier, workspace, account core.ID) (Receiver, error) {
	return oneReceiver(ctx, q, selectReceiverOf, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

func oneReceiver(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) (Receiver, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return Receiver{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Receiver])
	if errors.Is(err, pgx.ErrNoRows) {
		return Receiver{}, core.NotFound("receiver")
	}
	return found, postgres.Classify(err)
}

// Change is what ChangeReceiver changes; nil leaves things as they are.
type Change struct {
	SubjectFormat, Audience *string
	Sessions, Accounts      *bool
}

const updateReceiver = `
update receivers set subject_format = @format, audience = @audience, sessions = @sessions, accounts = @accounts
where workspace_id = @workspace and id = @id`

// ChangeReceiver changes how a receiver is told from now on; what waits for it stays as it is.
func (s *Service) ChangeReceiver(ctx context.Context, cause core.Cause, workspace, id core.ID, wanted Change) (Receiver, error) {
	var one Receiver
	err := s.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		if one, err = s.Receiver(ctx, tx, workspace, id); err != nil {
			return err
		}
		if wanted.SubjectFormat != nil {
			one.SubjectFormat = *wanted.SubjectFormat
		}
		if wanted.Audience != nil && *wanted.Audience != "" {
			one.Audience = *wanted.Audience
		}
		if wanted.Sessions != nil {
			one.Sessions = *wanted.Sessions
		}
		if wanted.Accounts != nil {
			one.Accounts = *wanted.Accounts
		}
		if err := checkFormat(one.SubjectFormat); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, updateReceiver, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "format": one.SubjectFormat, "audience": one.Audience, "sessions": one.Sessions, "accounts": one.Accounts,
		}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.ReceiverUpdated, workspace, cause, s.now(), one.target()).With("changed", "settings"))
	})
	if err == nil {
		s.wake()
	}
	return one, postgres.Classify(err)
}

const deleteReceiver = `delete from receivers where workspace_id = @workspace and id = @id`

// DeleteReceiver ends a receiver's stream, its tokens and its secrets.
func (s *Service) DeleteReceiver(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		one, err := s.Receiver(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		stream, err := s.StreamOf(ctx, tx, workspace, id)
		if err == nil {
			err = s.Deliveries.Close(ctx, tx, workspace, stream.ID)
		}
		if err == nil {
			err = s.Vault.Forget(ctx, tx, workspace, stream.ID)
		}
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		if _, err := tx.Exec(ctx, deleteReceiver, pgx.StrictNamedArgs{"workspace": workspace, "id": id}); err != nil {
			return err
		}
		if err := s.Directory.DeleteServiceAccount(ctx, tx, workspace, one.Account); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.ReceiverDeleted, workspace, cause, s.now(), one.target()))
	})
	if err == nil {
		s.wake()
	}
	return postgres.Classify(err)
}

// checkEndpoint refuses where nothing can be pushed to. Which hosts may be reached is the client's to say.
func (s *Service) checkEndpoint(text string) error {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" || len(text) > 1024:
		return core.Invalid("endpoint_url", "an address that begins with https:// is needed")
	case parsed.Scheme != "https" && !(parsed.Scheme == "http" && s.AllowPrivate):
		return core.Invalid("endpoint_url", "https is needed")
	}
	return nil
}
