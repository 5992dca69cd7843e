package scim_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

const insertPerson = `
insert into users (id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, attributes)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

const columnsOfPerson = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users `

const selectPerson = columnsOfPerson + `where workspace_id = $1 and id = $2 and deleted is null`

const selectPersonByName = columnsOfPerson + `
where workspace_id = $1 and connection_id = $2 and fold(user_name) collate "C" = fold($3) and user_name <> '' and deleted is null`

const lockPerson = `select id from users where workspace_id = $1 and id = $2 for update`

const deactivatePerson = `
update users set active = false, version = version + 1, updated = now() where workspace_id = $1 and id = $2`

// floor is the least one can do: the row, and nothing else. A write is one transaction with its begin
// and its commit; a read is one statement, which is a transaction by itself.
func (w *world) floor(b *testing.B) http.Handler {
	b.Helper()
	engine := gin.New()
	engine.POST("/scim/v2/Users", func(c *gin.Context) {
		body, err := c.GetRawData()
		if err != nil {
			b.Error(err)
		}
		id := core.NewID()
		err = pgx.BeginFunc(c, w.DB.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(c, insertPerson, id, w.other.workspace, w.other.connection.ID, id.String(), id.String(), "Test User", "Test", "User", id.String(), body)
			return err
		})
		if err != nil {
			b.Error(err)
		}
		c.Data(http.StatusCreated, "application/scim+json", body)
	})
	engine.GET("/scim/v2/Users/:id", func(c *gin.Context) {
		id, err := core.ParseID(c.Param("id"))
		if err != nil {
			b.Error(err)
		}
		w.showPerson(b, c, selectPerson, w.acme.workspace, id)
	})
	engine.GET("/scim/v2/Users", func(c *gin.Context) {
		w.showPerson(b, c, selectPersonByName, w.acme.workspace, w.acme.connection.ID, c.Query("name"))
	})
	engine.PATCH("/scim/v2/Users/:id", func(c *gin.Context) {
		body, err := c.GetRawData()
		if err != nil {
			b.Error(err)
		}
		id, err := core.ParseID(c.Param("id"))
		if err != nil {
			b.Error(err)
		}
		err = pgx.BeginFunc(c, w.DB.Pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(c, lockPerson, w.other.workspace, id); err != nil {
				return err
			}
			_, err := tx.Exec(c, deactivatePerson, w.other.workspace, id)
			return err
		})
		if err != nil {
			b.Error(err)
		}
		c.Data(http.StatusOK, "application/scim+json", body)
	})
	return engine
}

func (w *world) showPerson(b *testing.B, c *gin.Context, query string, args ...any) {
	rows, err := w.DB.Query(c, query, args...)
	if err != nil {
		b.Error(err)
		return
	}
	user, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[directory.User])
	if err != nil {
		b.Error(err)
	}
	c.JSON(http.StatusOK, user)
}
