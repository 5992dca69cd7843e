package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/scim"
	"postern/scim/replay"
)

func init() { gin.SetMode(gin.ReleaseMode) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a live endpoint with two workspaces.
type world struct {
	url    string
	db     *postgres.DB
	people *directory.Directory
	logins *accounts.Accounts
	engine *gin.Engine
	acme   house
	other  house
}

type house struct {
	*world
	slug       string
	workspace  core.ID
	connection directory.Connection
	token      string
	random     *rand.Rand
	users      []string
	groups     []string
	named      int
}

func open(t *testing.T) *world {
	t.Helper()
	url := postgrestest.URL(t, jobs.Migrate)
	db, err := postgres.Open(t.Context(), url, postgres.Options{Name: "test"})
	must(t, err)
	t.Cleanup(db.Close)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	w := &world{url: url, db: db, people: &directory.Directory{DB: db}, engine: gin.New()}
	logins := &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key}, Directory: w.people}
	w.logins = logins
	service := &scim.Service{
		DB: db, Directory: w.people, Accounts: logins, PublicURL: "https://postern.example.com",
		Lifecycle: &lifecycle.Lifecycle{
			DB: db, Directory: w.people, Accounts: logins, Rotations: &rotation.Rotations{DB: db, Accounts: logins, Queue: queue},
		},
	}
	service.Mount(w.engine)
	w.other, w.acme = w.house(t, "other"), w.house(t, "acme")
	return w
}

func (w *world) house(t *testing.T, slug string) house {
	t.Helper()
	h := house{world: w, slug: slug, random: rand.New(rand.NewPCG(7, 11))}
	must(t, w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		made, err := w.people.CreateWorkspace(t.Context(), tx, cause, slug, slug)
		if err != nil {
			return err
		}
		h.workspace = made.ID
		if h.connection, err = w.people.CreateConnection(t.Context(), tx, cause, made.ID, directory.NewConnection{Name: "IdP", Kind: directory.Entra}); err != nil {
			return err
		}
		token, err := w.people.CreateConnectionToken(t.Context(), tx, cause, made.ID, h.connection.ID, nil)
		h.token = token.Reveal()
		return err
	}))
	return h
}

// send is one live request; id is that of what it made.
func (h *house) send(t testing.TB, method, path, body string, header ...string) (status int, id string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "/scim/v2"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+h.token)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	h.engine.ServeHTTP(recorder, request)
	var made struct{ ID string }
	_ = json.Unmarshal(recorder.Body.Bytes(), &made)
	if recorder.Code >= 500 {
		t.Fatalf("%s %s answers %d %s", method, path, recorder.Code, recorder.Body)
	}
	return recorder.Code, made.ID
}

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// traffic sends so many requests of every kind, good ones and bad ones.
func (h *house) traffic(t testing.TB, count int) {
	t.Helper()
	pick := func(list []string) string {
		if len(list) == 0 {
			return core.NewID().String()
		}
		return list[h.random.IntN(len(list))]
	}
	patch := func(operations string) string { return `{"Operations":[` + operations + `]}` }
	for range count {
		h.named++
		switch h.random.IntN(15) {
		case 0, 1, 2:
			status, id := h.send(t, "POST", "/Users", fmt.Sprintf(`{"userName":"u%d@example.com","externalId":"x%d","password":"p","name":{"givenName":"G%d"},"emails":[{"type":"work","value":"u%d@example.com"}],
				"%s":{"department":"D","manager":{"value":"%s"}},"shoeSize":%d.50,"apiToken":"t%d"}`, h.named, h.named, h.named, h.named, enterprise, pick(h.users), h.named, h.named))
			if status == http.StatusCreated {
				h.users = append(h.users, id)
			}
		case 3:
			members := ""
			for i := range h.random.IntN(4) {
				members += strings.Repeat(",", min(i, 1)) + `{"value":"` + pick(h.users) + `"}`
			}
			if status, id := h.send(t, "POST", "/Groups", fmt.Sprintf(`{"displayName":"g%d","members":[%s]}`, h.named, members)); status == http.StatusCreated {
				h.groups = append(h.groups, id)
			}
		case 4:
			h.send(t, "PATCH", "/Users/"+pick(h.users), patch(`{"op":"Replace","path":"active","value":"False"}`))
		case 5:
			h.send(t, "PATCH", "/Users/"+pick(h.users), patch(fmt.Sprintf(`{"op":"replace","value":{"active":true,"title":"T%d"}}`, h.named)))
		case 6:
			h.send(t, "PATCH", "/Users/"+pick(h.users), patch(`{"op":"replace","path":"manager","value":"`+pick(h.users)+`"},{"op":"replace","path":"emails[type eq \"work\"].value","value":"new@example.com"}`))
		case 7:
			h.send(t, "PUT", "/Users/"+pick(h.users), fmt.Sprintf(`{"userName":"u%d@example.com","displayName":"D%d"}`, h.random.IntN(h.named)+1, h.named))
		case 8, 9:
			h.send(t, "PATCH", "/Groups/"+pick(h.groups), patch(`{"op":"Add","path":"members","value":[{"value":"`+pick(h.users)+`"},{"value":"`+pick(h.users)+`"}]}`))
		case 10:
			h.send(t, "PATCH", "/Groups/"+pick(h.groups), patch(`{"op":"Remove","path":"members","value":[{"value":"`+pick(h.users)+`"}]}`))
		case 11:
			h.send(t, "PUT", "/Groups/"+pick(h.groups), fmt.Sprintf(`{"displayName":"g%d","members":[{"value":"%s"}]}`, h.random.IntN(h.named)+1, pick(h.users)))
		case 12:
			if h.random.IntN(3) == 0 {
				h.send(t, "DELETE", "/Users/"+pick(h.users), "")
			} else {
				h.send(t, "DELETE", "/Groups/"+pick(h.groups), "")
			}
		case 13:
			h.send(t, "POST", "/Bulk", fmt.Sprintf(`{"Operations":[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"b%d"}},
				{"method":"PATCH","path":"/Groups/%s","data":{"Operations":[{"op":"add","path":"members","value":[{"value":"bulkId:a"}]}]}},{"method":"PUT","path":"/Users/bulkId:none","data":{}}]}`, h.named, pick(h.groups)))
		case 14:
			h.send(t, "POST", "/Users", fmt.Sprintf(`{"userName":"u%d@EXAMPLE.com"}`, h.random.IntN(h.named)+1))
			h.send(t, "PUT", "/Users/"+pick(h.users), `{"userName":"x"}`, "If-Match", `W/"999"`)
			h.send(t, "POST", "/Groups", `{"displayName":`)
		}
	}
}

func (h *house) replay(t testing.TB, edit ...func(*replay.Options)) replay.Report {
	t.Helper()
	options := replay.Options{Database: h.url, Workspace: h.slug, Connection: h.connection.Name}
	for _, one := range edit {
		one(&options)
	}
	report, err := replay.Run(t.Context(), options)
	must(t, err)
	h.clean(t)
	return report
}

// clean fails unless everything a replay made is gone.
func (w *world) clean(t testing.TB) {
	t.Helper()
	var left int
	must(t, w.db.QueryRow(context.Background(), `select count(*) from pg_namespace where nspname like 'postern\_replay\_%'`).Scan(&left))
	if left != 0 {
		t.Errorf("%d schemas are left", left)
	}
}

func (w *world) execute(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := w.db.Exec(t.Context(), statement, args...)
	must(t, err)
}

// count is how many rows the live tables have that a replay must not touch.
func (w *world) count(t testing.TB) string {
	t.Helper()
	var counts string
	must(t, w.db.QueryRow(t.Context(), `select concat_ws(' ', (select count(*) from audit_outbox), (select count(*) from provisioning_requests), (select count(*) from users),
		(select count(*) from workspaces), (select count(*) from connection_tokens), (select count(*) from river_job))`).Scan(&counts))
	return counts
}
