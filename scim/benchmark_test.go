package scim_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/deploy/local/postgresql"
)

// BenchmarkCreateGet measures a create and a get through the endpoint beside the floor: a bare gin
// handler that inserts the same two rows (person and event) in one transaction, or selects the person.
// Both work on one PostgreSQL with full durability, in turns, so that a slow moment hits both. What
// counts are the ratios: the floor's time divided by ours.
func BenchmarkCreateGet(b *testing.B) {
	for _, concurrency := range []int{1, 8} {
		b.Run(fmt.Sprint("concurrency-", concurrency), func(b *testing.B) {
			w := openOn(b, durable(b), directory.Okta)
			h := w.acme
			floor := bare(b, w)
			var number atomic.Int64
			create := func(engine http.Handler, prefix string) func() {
				return func() {
					name := fmt.Sprint(prefix, number.Add(1))
					body := strings.NewReplacer("test.user@okta.local", name+"@example.com", "00ujl29u0le5T6Aj10h7", name).Replace(createBody)
					send(b, engine, h.request(b, "POST", "/Users", body), http.StatusCreated)
				}
			}
			ours := h.join(b, "ana")
			get := func(engine http.Handler) func() {
				return func() { send(b, engine, h.request(b, "GET", "/Users/"+ours, ""), http.StatusOK) }
			}
			var times [4]time.Duration
			work := [4]func(){create(h.engine, "ours"), create(floor, "floor"), get(h.engine), get(floor)}
			const batch = 25
			rounds := 0
			for b.Loop() {
				for i, one := range work {
					times[i] += together(concurrency, batch, one)
				}
				rounds++
			}
			each := float64(rounds * batch * concurrency)
			b.ReportMetric(float64(times[1])/float64(times[0]), "create-ratio")
			b.ReportMetric(float64(times[3])/float64(times[2]), "get-ratio")
			b.ReportMetric(each/times[0].Seconds(), "creates/s")
			b.ReportMetric(each/times[2].Seconds(), "gets/s")
		})
	}
}

const createBody = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}`

func send(b *testing.B, engine http.Handler, request *http.Request, status int) {
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	if recorder.Code != status {
		b.Errorf("%s %s: %d %s", request.Method, request.URL, recorder.Code, recorder.Body)
	}
}

// together runs work batch times in each of several goroutines and says how long that took.
func together(concurrency, batch int, work func()) time.Duration {
	done := make(chan struct{})
	began := time.Now()
	for range concurrency {
		go func() {
			for range batch {
				work()
			}
			done <- struct{}{}
		}()
	}
	for range concurrency {
		<-done
	}
	return time.Since(began)
}

// durable is a database of a PostgreSQL with its own settings: the one of the tests does not wait for
// the disk.
func durable(b *testing.B) *postgres.DB {
	b.Helper()
	folder, err := os.MkdirTemp("", "postern-bench-postgresql-")
	must(b, err)
	must(b, os.Chmod(folder, 0o711))
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	server, err := postgresql.Start(context.Background(), postgresql.Options{Folder: filepath.Join(folder, "data")})
	partstest.Need(b, "PostgreSQL", err)
	b.Cleanup(func() { _ = server.Stop() })
	db, err := postgres.Open(b.Context(), server.URL, postgres.Options{Name: "bench", MaxConnections: 16})
	must(b, err)
	b.Cleanup(db.Close)
	_, err = postgres.Migrate(b.Context(), db)
	must(b, err)
	must(b, jobs.Migrate(b.Context(), db))
	return db
}

const insertPerson = `
insert into users (id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, attributes)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

const insertEvent = `
insert into audit_outbox (workspace_id, event_id, type, occurred, correlation, targets, event)
values ($1, $2, $3, $4, $5, $6, $7)`

const selectPerson = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users where workspace_id = $1 and id = $2`

// bare is the floor: the same rows, and nothing else.
func bare(b *testing.B, w *world) http.Handler {
	b.Helper()
	engine := gin.New()
	engine.POST("/scim/v2/Users", func(c *gin.Context) {
		body, err := c.GetRawData()
		if err != nil {
			b.Error(err)
		}
		id, now := core.NewID(), time.Now().UTC()
		name := id.String()
		cause := core.NewCause(w.other.connection.Actor(), now)
		event := core.NewEvent(core.UserProvisioned, w.other.workspace, cause, now, core.Target{Kind: "user", ID: id, Name: "Test User"})
		text, err := audit.Canonical(event)
		if err != nil {
			b.Error(err)
		}
		err = pgx.BeginFunc(c, w.DB.Pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(c, insertPerson, id, w.other.workspace, w.other.connection.ID, name, name, "Test User", "Test", "User", name, body); err != nil {
				return err
			}
			_, err := tx.Exec(c, insertEvent, w.other.workspace, event.ID, event.Type, now, event.Correlation, []core.ID{id}, string(text))
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
		rows, err := w.DB.Query(c, selectPerson, w.acme.workspace, id)
		if err != nil {
			b.Error(err)
			return
		}
		user, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[directory.User])
		if err != nil {
			b.Error(err)
		}
		c.JSON(http.StatusOK, user)
	})
	return engine
}
