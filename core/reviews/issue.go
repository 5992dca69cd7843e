package reviews

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/statements"
)

const (
	// patience is after how long evidence is signed though something that follows is not done.
	patience = 24 * time.Hour
	// lookLate is how often it is looked at after that, and lookUntil for how long.
	lookLate  = time.Hour
	lookUntil = 90 * 24 * time.Hour
)

// Issue is what was signed of a review at one time.
type Issue struct {
	Number    int             `db:"number"` // from 1; each supersedes the one before
	Issued    time.Time       `db:"issued"`
	Complete  bool            `db:"complete"`
	Text      string          `db:"evidence"` // canonical JSON (RFC 8785): the bytes that were signed
	Digest    []byte          `db:"digest"`   // SHA-256 of Text
	Signature string          `db:"signature"`
	Key       json.RawMessage `db:"key"`
}

const selectPending = `
select count(*) filter (where i.rotation_id is not null and ` + refusedSince + ` is null), count(*) filter (where i.failure <> '')
from review_items i where i.workspace_id = @workspace and i.review_id = @id and (i.rotation_id is not null or i.failure <> '')`

const selectLastDigest = `select digest from review_issues where workspace_id = @workspace and review_id = @id and number = @number`

const insertIssue = `
insert into review_issues (workspace_id, review_id, number, issued, complete, evidence, digest, signature, key)
values (@workspace, @id, @number, @issued, @complete, @evidence, @digest, @signature, @key)`

const updateIssued = `update reviews set issued = @number, complete = @complete where workspace_id = @workspace and id = @id`

// sign issues the evidence of a closed review: once everything that follows is done, or has taken too long, and then
// again when it is done after all. It says when to look again.
func (r *Reviews) sign(ctx context.Context, tx pgx.Tx, of Review) (*time.Time, error) {
	now := r.now()
	var rotating, failed int
	if err := tx.QueryRow(ctx, selectPending, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID}).Scan(&rotating, &failed); err != nil {
		return nil, postgres.Classify(err)
	}
	late := of.Closed.Add(patience)
	switch {
	case rotating > 0 && now.Before(late):
		return new(earliest(now.Add(lookAgain), late)), nil
	case rotating > 0 && of.Issued > 0:
		if now.Sub(*of.Closed) > lookUntil {
			return nil, nil
		}
		return new(now.Add(lookLate)), nil
	case of.Complete:
		return nil, nil
	}
	made, err := r.compose(ctx, tx, of)
	if err != nil {
		return nil, err
	}
	made.Number = of.Issued + 1
	if of.Issued > 0 {
		var digest []byte
		args := pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID, "number": of.Issued}
		if err := tx.QueryRow(ctx, selectLastDigest, args).Scan(&digest); err != nil {
			return nil, postgres.Classify(err)
		}
		made.Supersedes = hex.EncodeToString(digest)
	}
	signed, err := kind.Sign(ctx, r.Signing, of.Workspace, made)
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(insertIssue, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "id": of.ID, "number": made.Number, "issued": made.Issued, "complete": made.Complete,
		"evidence": signed.Text, "digest": signed.Digest, "signature": signed.Signature, "key": signed.Key,
	})
	batch.Queue(updateIssued, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID, "number": made.Number, "complete": made.Complete})
	if err := audit.Queue(batch, made.event(of, rotating, failed)); err != nil {
		return nil, err
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, postgres.Classify(err)
	}
	if rotating > 0 {
		return new(now.Add(lookLate)), nil
	}
	return nil, nil
}

// event tells that it was signed.
func (e Evidence) event(of Review, rotating, failed int) core.Event {
	event := core.NewEvent(core.ReviewSigned, e.Workspace, core.Cause{Actor: core.System, Correlation: of.Cause.Correlation}, e.Issued, of.Target()).
		With("number", number(e.Number)).With("items", number(len(e.Items)))
	if !e.Complete {
		return event.Failed(fmt.Sprintf("%d decisions could not be carried out, and %d passwords are not changed yet", failed, rotating))
	}
	return event
}

const selectIssues = `
select number, issued, complete, case when @text then evidence else '' end as evidence, digest, signature, key from review_issues
where workspace_id = @workspace and review_id = @id and (@number = 0 or number = @number)
order by number desc limit @limit`

// Issues lists what was signed of a review, latest first, without its text.
func (r *Reviews) Issues(ctx context.Context, q postgres.Querier, workspace, id core.ID) ([]Issue, error) {
	return postgres.Many[Issue](ctx, q, selectIssues, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "number": 0, "text": false, "limit": 100})
}

// Issue finds what was signed of a review: a number, or with 0 the latest. NotFound while nothing is. It asks nobody's
// leave: the caller does.
func (r *Reviews) Issue(ctx context.Context, q postgres.Querier, workspace, id core.ID, number int) (Issue, error) {
	return postgres.One[Issue](ctx, q, "signed evidence of the review", selectIssues, pgx.StrictNamedArgs{
		"workspace": workspace, "id": id, "number": number, "text": true, "limit": 1,
	})
}

// Document is the issue as a file that anybody can read and verify.
func (i Issue) Document() (Document, error) {
	made, err := statements.Signed{Text: i.Text, Signature: i.Signature, Key: i.Key}.Document()
	return Document{made.Said, made.Signature, made.Keys}, err
}
