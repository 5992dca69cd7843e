package certificates

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Issue is what was signed of a certificate at one time.
type Issue struct {
	Number    int             `db:"number"` // from 1; each supersedes the one before
	Issued    time.Time       `db:"issued"`
	State     State           `db:"state"`
	Text      string          `db:"certificate"` // canonical JSON (RFC 8785): the bytes that were signed
	Digest    []byte          `db:"digest"`      // SHA-256 of Text
	Signature string          `db:"signature"`   // JWS with detached payload
	Key       json.RawMessage `db:"key"`         // JWK
}

// Certificate is what the issue says.
func (i Issue) Certificate() (Certificate, error) {
	var said Certificate
	if err := json.Unmarshal([]byte(i.Text), &said); err != nil {
		return Certificate{}, core.Internal(err)
	}
	return said, nil
}

const lockDue = selectOpened + `
where c.workspace_id = @workspace and c.id = @id and c.due <= @now
for update of c skip locked`

const updateDue = `update certificates set due = @due where workspace_id = @workspace and id = @id`

const insertIssue = `
insert into certificate_issues (workspace_id, certificate_id, number, issued, state, certificate, digest, signature, key)
values (@workspace, @id, @number, @issued, @state, @certificate, @digest, @signature, @key)`

const updateIssued = `
update certificates set issued = @number, state = @state, due = @due where workspace_id = @workspace and id = @id`

// look says what is true of a certificate now, and signs it if that is to be told: when nothing is open any
// more, when the deadline has passed, and afterwards whenever it changes. One that is not due, or that
// somebody else looks at, is left alone.
func (c *Certificates) look(ctx context.Context, workspace, id core.ID) (looked, issued bool, err error) {
	err = c.DB.Tx(ctx, func(tx pgx.Tx) error {
		looked, issued = false, false
		of, err := c.lock(ctx, tx, workspace, id)
		if err != nil || of.ID.IsZero() {
			return err
		}
		looked = true
		made, err := c.compose(ctx, tx, of)
		if err != nil {
			return err
		}
		var due *time.Time // nothing happens by itself after the deadline
		if made.State == Pending {
			due = &made.Deadline
		}
		last, err := c.latest(ctx, tx, of)
		if err != nil {
			return err
		}
		news, err := made.news(last)
		if err != nil {
			return err
		}
		if !news {
			_, err := tx.Exec(ctx, updateDue, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "due": due})
			return err
		}
		made.Number = of.Issued + 1
		if last != nil {
			made.Supersedes = hex.EncodeToString(last.Digest)
		}
		signed, err := c.sign(ctx, made)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(insertIssue, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "number": signed.Number, "issued": signed.Issued, "state": signed.State,
			"certificate": signed.Text, "digest": signed.Digest, "signature": signed.Signature, "key": signed.Key,
		})
		batch.Queue(updateIssued, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "number": signed.Number, "state": signed.State, "due": due})
		if err := audit.Queue(batch, made.event(of.Cause)); err != nil {
			return err
		}
		issued = true
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return false, false, err
	}
	if issued && c.Wake != nil {
		c.Wake()
	}
	return looked, issued, nil
}

// lock finds a certificate that is due; none is the zero one.
func (c *Certificates) lock(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (opened, error) {
	rows, err := tx.Query(ctx, lockDue, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": c.now()})
	if err != nil {
		return opened{}, err
	}
	of, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[opened])
	if errors.Is(err, pgx.ErrNoRows) {
		return opened{}, nil
	}
	return of, err
}

// news reports whether a certificate is to be signed, after the issue before it or as the first.
func (c Certificate) news(last *Issue) (bool, error) {
	if last == nil {
		return c.State != Pending, nil
	}
	before, err := last.Certificate()
	return err == nil && !c.says(before), err
}

// sign makes the issue.
func (c *Certificates) sign(ctx context.Context, made Certificate) (Issue, error) {
	signed, err := kind.Sign(ctx, c.Signing, made.Workspace, made)
	return Issue{made.Number, made.Issued, made.State, signed.Text, signed.Digest, signed.Signature, signed.Key}, err
}

// event tells that it was signed.
func (c Certificate) event(cause core.Cause) core.Event {
	event := core.NewEvent(core.CertificateIssued, c.Workspace, cause, c.Issued,
		core.Target{Kind: "user", ID: c.Person.ID, Name: c.Person.Name}, core.Target{Kind: "certificate", ID: c.ID}).
		With("number", strconv.Itoa(c.Number)).With("state", string(c.State)).With("passwords", strconv.Itoa(len(c.Credentials))).
		With("open", strconv.Itoa(c.Count(Open)))
	if c.State != Complete {
		why := fmt.Sprintf("%d of %d passwords may still work", c.Count(Open), len(c.Credentials))
		if links := c.OpenLinks(); links > 0 {
			why += fmt.Sprintf(", and %d of %d links have not ended", links, len(c.Links))
		}
		if secrets := c.OpenSecrets(); secrets > 0 {
			why += fmt.Sprintf(", and %d of %d other secrets may still be good", secrets, len(c.Secrets))
		}
		return event.Failed(why)
	}
	return event.With("time_to_safe_ms", strconv.FormatInt(*c.TimeToSafe, 10)).
		Because(fmt.Sprintf("all %d passwords are dead, %s after the person was shut out", len(c.Credentials), time.Duration(*c.TimeToSafe)*time.Millisecond))
}

const selectIssues = `
select number, issued, state, certificate, digest, signature, key from certificate_issues
where workspace_id = @workspace and certificate_id = @id and (@number = 0 or number = @number)
order by number`

// latest is the last issue; nil: there is none yet.
func (c *Certificates) latest(ctx context.Context, q postgres.Querier, of opened) (*Issue, error) {
	if of.Issued == 0 {
		return nil, nil
	}
	found, err := c.issues(ctx, q, of.Workspace, of.ID, of.Issued)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (c *Certificates) issues(ctx context.Context, q postgres.Querier, workspace, id core.ID, number int) ([]Issue, error) {
	rows, err := q.Query(ctx, selectIssues, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "number": number})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Issue])
	return found, postgres.Classify(err)
}
