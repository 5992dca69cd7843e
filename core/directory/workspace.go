package directory

import (
	"context"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Workspace is one customer organisation: the border nothing crosses.
type Workspace struct {
	ID      core.ID   `db:"id"`
	Slug    string    `db:"slug"`
	Name    string    `db:"name"`
	Created time.Time `db:"created"`
}

var slugs = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

const insertWorkspace = `insert into workspaces (id, slug, name, created) values (@id, @slug, @name, @created)`

// CreateWorkspace adds a workspace. A taken slug is a Conflict on "slug".
func (d *Directory) CreateWorkspace(ctx context.Context, tx pgx.Tx, cause core.Cause, slug, name string) (Workspace, error) {
	if !slugs.MatchString(slug) {
		return Workspace{}, core.Invalid("slug", "a slug is 1 to 63 of a-z, 0-9 and -, and does not begin with -")
	}
	if err := present("name", name); err != nil {
		return Workspace{}, err
	}
	made := Workspace{ID: core.NewID(), Slug: slug, Name: name, Created: d.now()}
	_, err := tx.Exec(ctx, insertWorkspace, pgx.StrictNamedArgs{"id": made.ID, "slug": slug, "name": name, "created": made.Created})
	if err != nil {
		return Workspace{}, collision(err)
	}
	return made, audit.Append(ctx, tx, core.NewEvent(core.WorkspaceCreated, made.ID, cause, made.Created,
		core.Target{Kind: "workspace", ID: made.ID, Name: name}))
}

const selectWorkspaceBySlug = `select id, slug, name, created from workspaces where slug = @slug`

// WorkspaceBySlug finds a workspace by its slug, or is NotFound.
func (d *Directory) WorkspaceBySlug(ctx context.Context, q postgres.Querier, slug string) (Workspace, error) {
	return postgres.One[Workspace](ctx, q, "workspace", selectWorkspaceBySlug, pgx.StrictNamedArgs{"slug": slug})
}

const selectWorkspaces = `select id, slug, name, created from workspaces order by created, id`

// Workspaces lists every workspace, oldest first: for the operator and for work that visits all.
func (d *Directory) Workspaces(ctx context.Context, q postgres.Querier) ([]Workspace, error) {
	return postgres.Many[Workspace](ctx, q, selectWorkspaces, pgx.StrictNamedArgs{})
}
