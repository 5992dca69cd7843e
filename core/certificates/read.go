package certificates

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/statements"
)

// Summary is a certificate in a list, as it was when it was looked at last.
type Summary struct {
	ID          core.ID
	Person      Person
	Reason      Reason
	Departed    time.Time
	Deadline    time.Time
	State       State
	Passwords   int // that they knew or could have looked at
	Issued      int // number of the latest issue; 0: none yet
	Reactivated *time.Time
}

// Query narrows List. The zero query is the workspace's latest.
type Query struct {
	User  core.ID
	State State
	After core.ID // the last certificate of the page before
	Limit int     // default 100, at most 500
}

const selectPage = selectOpened + `
where c.workspace_id = @workspace and (@user::uuid is null or c.user_id = @user) and (@state = '' or c.state = @state)
	and (@after::uuid is null or (c.opened, c.id) < (select opened, id from certificates where workspace_id = @workspace and id = @after))
order by c.opened desc, c.id desc
limit @limit`

// List gives certificates, latest first, a page at a time.
func (c *Certificates) List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Summary, error) {
	rows, err := q.Query(ctx, selectPage, pgx.StrictNamedArgs{
		"workspace": workspace, "user": query.User, "state": query.State, "after": query.After, "limit": postgres.Page(query.Limit),
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Summary, error) {
		of, err := pgx.RowToStructByName[opened](row)
		return of.summary(), err
	})
	return found, postgres.Classify(err)
}

func (o opened) summary() Summary {
	return Summary{
		o.ID, Person{o.User, o.UserName, o.Name}, o.Reason, o.Departed.UTC(), o.Deadline.UTC(), o.State, o.Passwords, o.Issued, utc(o.Reactivated),
	}
}

// View is a certificate as it stands now, with everything that was signed of it.
type View struct {
	Summary
	Now    Certificate // what is true now; its Number is 0 while no issue says the same
	Issues []Issue     // oldest first
}

const selectOne = selectOpened + `
where c.workspace_id = @workspace and c.id = @id`

// View finds a certificate.
func (c *Certificates) View(ctx context.Context, q postgres.Querier, workspace, id core.ID) (View, error) {
	rows, err := q.Query(ctx, selectOne, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return View{}, postgres.Classify(err)
	}
	of, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[opened])
	if err = postgres.Classify(err); core.KindOf(err) == core.KindNotFound {
		return View{}, core.NotFound("certificate")
	}
	if err != nil {
		return View{}, err
	}
	view := View{Summary: of.summary()}
	if view.Issues, err = c.issues(ctx, q, workspace, id, 0); err != nil {
		return View{}, err
	}
	if view.Now, err = c.compose(ctx, q, of); err != nil || len(view.Issues) == 0 {
		return view, err
	}
	last := view.Issues[len(view.Issues)-1]
	said, err := last.Certificate()
	if err != nil {
		return View{}, err
	}
	if view.Now.says(said) {
		view.Now.Number, view.Now.Issued, view.Now.Supersedes = said.Number, said.Issued, said.Supersedes
	}
	return view, nil
}

// Issue finds what was signed of a certificate: a number, or with 0 the latest. NotFound while nothing is.
func (c *Certificates) Issue(ctx context.Context, q postgres.Querier, workspace, id core.ID, number int) (Issue, error) {
	found, err := c.issues(ctx, q, workspace, id, number)
	if err != nil {
		return Issue{}, err
	}
	if len(found) == 0 {
		return Issue{}, core.NotFound("issue of the certificate")
	}
	return found[len(found)-1], nil
}

// Document is the issue as a file that anybody can read and verify.
func (i Issue) Document() (Document, error) {
	made, err := statements.Signed{Text: i.Text, Signature: i.Signature, Key: i.Key}.Document()
	return Document{made.Said, made.Signature, made.Keys}, err
}
