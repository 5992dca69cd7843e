package hooks

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/signals"
)

// Kind is a way of calling a hook.
type Kind string

// The kinds.
const (
	Okta     Kind = "okta"     // Okta Event Hooks
	Graph    Kind = "graph"    // Microsoft Graph change notifications
	Standard Kind = "standard" // Standard Webhooks 1.0
	Signed   Kind = "signed"   // any other that signs: HMAC by a template, or a JWT
)

// Hook is one sender's way in, of one connection.
type Hook struct {
	ID             core.ID    `db:"id"`
	Workspace      core.ID    `db:"workspace_id"`
	Connection     core.ID    `db:"connection_id"`
	Kind           Kind       `db:"kind"`
	Name           string     `db:"name"`
	Settings       Settings   `db:"settings"`
	SecretVersion  int        `db:"secret_version"`
	Hashes         [][]byte   `db:"hashes"`
	PreviousEnds   *time.Time `db:"previous_ends"` // until when the secret before this one is good
	AccessVersion  int        `db:"access_version"`
	Verified       *time.Time `db:"verified"` // when the sender last proved that it reaches us
	LastHeard      *time.Time `db:"last_heard"`
	LastType       string     `db:"last_type"`
	LastError      string     `db:"last_error"`
	LastErrorStage string     `db:"last_error_stage"`
	LastErrorAt    *time.Time `db:"last_error_at"`
	Due            *time.Time `db:"due"`         // when the worker looks at it
	Filled         *time.Time `db:"filled"`      // Okta: until when the System Log was read
	RemoteID       string     `db:"remote_id"`   // Graph: the subscription
	RemoteEnds     *time.Time `db:"remote_ends"` // Graph: when it ends unless it is renewed
	DeltaLink      string     `db:"delta_link"`
	Resync         bool       `db:"resync"` // Graph: notifications were missed
	Created        time.Time  `db:"created"`
	Updated        time.Time  `db:"updated"`
}

// Target is the hook as an event names it.
func (h Hook) Target() core.Target { return core.Target{Kind: "hook", ID: h.ID, Name: h.Name} }

// Settings are what an administrator says of a hook. They hold no secret.
type Settings struct {
	Mapping *Mapping `json:"mapping,omitempty"` // standard, signed
	Scheme  *Scheme  `json:"scheme,omitempty"`  // signed
	Access  Access   `json:"access,omitzero"`   // okta, graph: the sender's API
}

// Access is how Postern gets in at a sender's API.
type Access struct {
	// Address is the API's: Okta's organisation, such as https://acme.okta.com; Graph's, when it is not
	// https://graph.microsoft.com.
	Address string `json:"address,omitempty"`
	// ClientID is an OAuth client's. Empty with Okta: the secret is an SSWS API token.
	ClientID string `json:"client_id,omitempty"`
	// TokenEndpoint is where the client gets its tokens; Entra's for Tenant, and Okta's own, when empty.
	TokenEndpoint string `json:"token_endpoint,omitempty"`
	Tenant        string `json:"tenant,omitempty"` // Entra's tenant id
	Scope         string `json:"scope,omitempty"`
	// SecretReference leads to the secret (file: or env:). Empty: it is sealed in the vault.
	SecretReference string `json:"secret_reference,omitempty"`
}

// Mapping is what of a body means what.
type Mapping struct {
	// Type is where the type of event stands: a JSON pointer, or header:NAME. Default /type.
	Type  string                  `json:"type,omitempty"`
	Kinds map[string]signals.Kind `json:"kinds"` // by type; "*" is every other
	// Subjects name the person, each in its own way: any that is there counts.
	Subjects    []Pointer `json:"subjects"`
	ID          string    `json:"message_id,omitempty"` // of the message: pointer or header:NAME. Without one the body is its own id
	Occurred    string    `json:"occurred,omitempty"`
	Transaction string    `json:"transaction,omitempty"`
	Session     string    `json:"session,omitempty"`
}

// Pointer is where a subject stands (RFC 6901), and what it is.
type Pointer struct {
	Format  signals.Format `json:"format"` // email, opaque or iss_sub
	Pointer string         `json:"pointer"`
	Issuer  string         `json:"issuer,omitempty"` // of iss_sub; the connection's when empty
}

const columns = `id, workspace_id, connection_id, kind, name, settings, secret_version, hashes, previous_ends, access_version, verified, last_heard, last_type,
	last_error, last_error_stage, last_error_at, due, filled, remote_id, remote_ends, delta_link, resync, created, updated`

const selectHook = `select ` + columns + ` from hooks where workspace_id = @workspace and id = @id`

// Hook reads one.
func (s *Service) Hook(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Hook, error) {
	found, err := list(ctx, q, selectHook, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && len(found) == 0 {
		return Hook{}, core.NotFound("hook")
	}
	if err != nil {
		return Hook{}, err
	}
	return found[0], nil
}

const selectHooks = `select ` + columns + ` from hooks where workspace_id = @workspace order by created, id`

// Hooks lists those of a workspace, oldest first.
func (s *Service) Hooks(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Hook, error) {
	return list(ctx, q, selectHooks, pgx.StrictNamedArgs{"workspace": workspace})
}

const selectHooksOf = `select ` + columns + ` from hooks where workspace_id = @workspace and connection_id = @connection and kind = @kind order by created, id`

func (s *Service) hooksOf(ctx context.Context, workspace, connection core.ID, kind Kind) ([]Hook, error) {
	return list(ctx, s.DB, selectHooksOf, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "kind": kind})
}

func list(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) ([]Hook, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Hook])
	return found, postgres.Classify(err)
}

// Messages come many at a time: the row is written at most once in a few seconds.
const updateHeard = `
update hooks set last_heard = @now, last_type = @type
where workspace_id = @workspace and id = @id and (last_heard is null or last_heard < @before)`

func (s *Service) heard(ctx context.Context, hook Hook, kind string) {
	now := s.now()
	if _, err := s.DB.Exec(ctx, updateHeard, pgx.StrictNamedArgs{
		"workspace": hook.Workspace, "id": hook.ID, "type": core.Cut(kind, 200), "now": now, "before": now.Add(-2 * time.Second),
	}); err != nil {
		s.warn(ctx, "when a hook was last heard could not be kept", hook.ID, err)
	}
}

const updateVerified = `update hooks set verified = @now where workspace_id = @workspace and id = any(@ids::uuid[])`

func (s *Service) proven(ctx context.Context, workspace core.ID, ids ...core.ID) error {
	_, err := s.DB.Exec(ctx, updateVerified, pgx.StrictNamedArgs{"workspace": workspace, "ids": ids, "now": s.now()})
	return postgres.Classify(err)
}

const updateFailed = `
update hooks set last_error = @error, last_error_stage = @stage, last_error_at = @now
where workspace_id = @workspace and id = @id and (last_error_stage <> @stage or last_error_at is null or last_error_at < @before)`

// failed keeps what went wrong last. It is kept even if the caller has hung up.
func (s *Service) failed(ctx context.Context, hook Hook, stage string, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now := s.now()
	if _, err := s.DB.Exec(ctx, updateFailed, pgx.StrictNamedArgs{
		"workspace": hook.Workspace, "id": hook.ID, "stage": stage, "error": core.Cut(visible(cause), 500), "now": now, "before": now.Add(-2 * time.Second),
	}); err != nil {
		s.warn(ctx, "what keeps a hook from working could not be kept", hook.ID, err)
	}
}

const updateWell = `
update hooks set last_error = '', last_error_stage = '', last_error_at = null
where workspace_id = @workspace and id = @id and last_error_stage = @stage`

func (s *Service) well(ctx context.Context, hook Hook, stage string) {
	if _, err := s.DB.Exec(ctx, updateWell, pgx.StrictNamedArgs{"workspace": hook.Workspace, "id": hook.ID, "stage": stage}); err != nil {
		s.warn(ctx, "that a hook works again could not be kept", hook.ID, err)
	}
}

// visible is what a person is told of an error.
func visible(err error) string {
	classified := core.AsError(err)
	if classified.Message == "" {
		return classified.Kind.String()
	}
	return classified.Message
}

// decode reads JSON that everybody reads alike: no name twice, none in another case, UTF-8.
func decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return core.Invalid("", "the body is not the JSON that is expected").Because(err).WithCode("body")
	}
	return nil
}

// transient reports whether the same message may well be taken later.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	kind := core.KindOf(err)
	return kind == core.KindInternal || kind == core.KindUnavailable || kind == core.KindRateLimited
}
