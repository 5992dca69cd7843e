package replay

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/scim"
)

const (
	schemaPrefix = "postern_replay_"
	publicURL    = "https://replay.invalid"
	// tidyTime bounds the removal of a schema once the replay has ended.
	tidyTime = time.Minute
)

// scratch is an endpoint of its own over a schema of its own, with one workspace and one connection.
type scratch struct {
	db         *postgres.DB
	directory  *directory.Directory
	accounts   *accounts.Accounts
	lifecycle  *lifecycle.Lifecycle
	workspace  core.ID
	connection directory.Connection
	token      string
	owner      core.ID            // of every account
	apps       map[string]core.ID // by name
	engine     *gin.Engine
	at         atomic.Pointer[time.Time] // what its clock shows: when the request being played was received
	remove     func()
}

const listSchemas = `select nspname::text from pg_namespace where nspname like 'postern\_replay\_%' order by 1`

const holdSchema = `select pg_try_advisory_lock(hashtextextended(@schema, 0))`

const leaveSchema = `select pg_advisory_unlock(hashtextextended(@schema, 0))`

// openScratch makes the schema and what stands in it. The connection that holds the schema's lock says
// that somebody is at work there; what nobody holds was left by a process that was killed, and goes.
func openScratch(ctx context.Context, address, slug string, model directory.Connection) (opened *scratch, err error) {
	holder, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	name := schemaPrefix + strings.ReplaceAll(core.NewID().String(), "-", "")
	s := &scratch{}
	s.remove = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer cancel()
		if s.db != nil {
			s.db.Close()
		}
		if dropSchema(ctx, holder, name) != nil { // the connection is broken: an interrupt can do that
			if again, err := pgx.Connect(ctx, address); err == nil {
				_ = dropSchema(ctx, again, name)
				_ = again.Close(ctx)
			}
		}
		_ = holder.Close(ctx)
	}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if err := dropAbandoned(ctx, holder); err != nil {
		return nil, err
	}
	var held bool
	if err := holder.QueryRow(ctx, holdSchema, pgx.StrictNamedArgs{"schema": name}).Scan(&held); err != nil {
		return nil, postgres.Classify(err)
	}
	if _, err := holder.Exec(ctx, "create schema "+pgx.Identifier{name}.Sanitize()); err != nil {
		return nil, postgres.Classify(err)
	}
	inside, err := within(address, name)
	if err != nil {
		return nil, err
	}
	if s.db, err = postgres.Open(ctx, inside, postgres.Options{MaxConnections: 4, Name: "postern replay"}); err != nil {
		return nil, err
	}
	if _, err := postgres.Migrate(ctx, s.db); err != nil {
		return nil, err
	}
	if err := jobs.Migrate(ctx, s.db); err != nil {
		return nil, err
	}
	return s, s.furnish(ctx, slug, model)
}

func dropSchema(ctx context.Context, connection *pgx.Conn, name string) error {
	_, err := connection.Exec(ctx, "drop schema if exists "+pgx.Identifier{name}.Sanitize()+" cascade")
	return err
}

// dropAbandoned removes the schemas of replays that did not come to their end.
func dropAbandoned(ctx context.Context, connection *pgx.Conn) error {
	rows, err := connection.Query(ctx, listSchemas)
	if err != nil {
		return postgres.Classify(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		var free bool
		args := pgx.StrictNamedArgs{"schema": name}
		if err == nil {
			err = connection.QueryRow(ctx, holdSchema, args).Scan(&free)
		}
		if err == nil && free {
			if err = dropSchema(ctx, connection, name); err == nil {
				_, err = connection.Exec(ctx, leaveSchema, args)
			}
		}
	}
	return postgres.Classify(err)
}

// within is the database's address with everything unqualified in one schema and nowhere else.
func within(address, schema string) (string, error) {
	if !strings.Contains(address, "://") {
		return address + " search_path=" + schema, nil
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return "", core.Invalid("database", "the database URL cannot be read")
	}
	query := parsed.Query()
	query.Set("search_path", schema)
	parsed.RawQuery = query.Encode()
	return parsed.String(), nil
}

// furnish makes the workspace, a connection that behaves as the model does, and the endpoint.
func (s *scratch) furnish(ctx context.Context, slug string, model directory.Connection) error {
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		return err
	}
	queue, err := jobs.NewQueue(s.db, nil)
	if err != nil {
		return err
	}
	s.at.Store(new(time.Now()))
	now := func() time.Time { return *s.at.Load() }
	s.directory = &directory.Directory{DB: s.db, Now: now}
	s.accounts = &accounts.Accounts{DB: s.db, Vault: &vault.Vault{DB: s.db, Keys: key}, Directory: s.directory, Now: now}
	s.lifecycle = &lifecycle.Lifecycle{
		DB: s.db, Directory: s.directory, Accounts: s.accounts, Now: now, Rotations: &rotation.Rotations{DB: s.db, Accounts: s.accounts, Queue: queue},
	}
	service := &scim.Service{DB: s.db, Directory: s.directory, Accounts: s.accounts, PublicURL: publicURL, Now: now, Lifecycle: s.lifecycle}
	gin.SetMode(gin.ReleaseMode) // or it tells its routes on standard output, which belongs to the report
	s.engine = gin.New()
	service.Mount(s.engine)
	return s.db.Tx(ctx, func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, now())
		made, err := s.directory.CreateWorkspace(ctx, tx, cause, slug, slug)
		if err != nil {
			return err
		}
		s.workspace = made.ID
		settings := model.Provisioning
		settings.Assertion = directory.Assertion{}
		s.connection, err = s.directory.CreateConnection(ctx, tx, cause, made.ID, directory.NewConnection{
			Name: model.Name, Kind: model.Kind, Provisioning: settings,
		})
		if err != nil {
			return err
		}
		token, err := s.directory.CreateConnectionToken(ctx, tx, cause, made.ID, s.connection.ID, nil)
		s.token = token.Reveal()
		return err
	})
}

// play sends one request as it was received at a time.
func (s *scratch) play(ctx context.Context, at time.Time, method, path, query, body, agent string) (*recorder, error) {
	s.at.Store(&at)
	request, err := http.NewRequestWithContext(ctx, method, publicURL, strings.NewReader(body))
	if err != nil {
		return nil, core.Internal(fmt.Errorf("replay: %w", err))
	}
	request.URL.Path, request.URL.RawQuery = "/scim/v2"+path, query
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/scim+json")
	request.Header.Set("User-Agent", agent)
	answered := &recorder{header: http.Header{}}
	s.engine.ServeHTTP(answered, request)
	// Nothing else works here: what a departure takes is taken before the next request.
	if _, err := s.lifecycle.Take(ctx); err != nil {
		return nil, err
	}
	return answered, ctx.Err()
}

// recorder takes an answer.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(data []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(data)
}
