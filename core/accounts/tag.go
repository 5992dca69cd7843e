package accounts

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// The limits of an account's tags.
const (
	MaxTags = 20
	maxTag  = 40
)

// CheckTags gives tags as they are kept: in lower case, each once, in order. A tag is of letters, digits and
// the signs - _ . : and /.
func CheckTags(tags []string) ([]string, error) {
	kept := []string{}
	for _, tag := range tags {
		tag = strings.ToLower(strings.TrimSpace(tag))
		if tag == "" || len(tag) > maxTag || strings.ContainsFunc(tag, unfitForTag) {
			return nil, core.Invalid("tags", "a tag is up to %d letters, digits and the signs - _ . : /", maxTag)
		}
		kept = append(kept, tag)
	}
	slices.Sort(kept)
	if kept = slices.Compact(kept); len(kept) > MaxTags {
		return nil, core.Invalid("tags", "an account has at most %d tags", MaxTags)
	}
	return kept, nil
}

func unfitForTag(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/", r)
}

const updateTags = `update accounts set tags = @tags where workspace_id = @workspace and id = @account`

// SetTags replaces an account's tags. Its owners may, administrators, service accounts and the system; what
// policies cover goes by them. With nothing to change nothing happens.
func (a *Accounts) SetTags(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, tags []string) (Account, error) {
	kept, err := CheckTags(tags)
	if err != nil {
		return Account{}, err
	}
	if err := a.authorize(ctx, tx, cause, workspace, right{owner: account}); err != nil {
		return Account{}, err
	}
	tagged, err := a.lock(ctx, tx, workspace, account)
	if err != nil || slices.Equal(tagged.Tags, kept) {
		return tagged, err
	}
	if _, err := tx.Exec(ctx, updateTags, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "tags": kept}); err != nil {
		return Account{}, postgres.Classify(err)
	}
	event := core.NewEvent(core.AccountTagged, workspace, cause, a.now(), tagged.Target()).
		With("before", strings.Join(tagged.Tags, " ")).With("after", strings.Join(kept, " "))
	tagged.Tags = kept
	return tagged, audit.Append(ctx, tx, event)
}

const selectTags = `
select tag from (select distinct unnest(tags) as tag from accounts where workspace_id = @workspace and tags <> '{}') t
order by tag limit 1000`

// Tags lists the tags accounts of a workspace have.
func (a *Accounts) Tags(ctx context.Context, q postgres.Querier, workspace core.ID) ([]string, error) {
	rows, err := q.Query(ctx, selectTags, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return found, postgres.Classify(err)
}
