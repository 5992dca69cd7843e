package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

const (
	// Retention is how long a key is remembered.
	Retention = 24 * time.Hour
	// Patience is how long a request may be under way. After that its process is taken for dead, and the
	// next request with its key for the first: should the dead one wake up, its transaction fails.
	Patience = time.Minute
	// MaxKey is the longest key, in bytes.
	MaxKey = 255
)

// Keys remembers requests. It is safe for concurrent use.
type Keys struct {
	DB  *postgres.DB
	Now func() time.Time // nil: time.Now
}

// Request is what is asked, and by whom.
type Request struct {
	Workspace core.ID
	Account   core.ID // the service account
	Key       string  // what it calls the request: 1 to 255 visible ASCII characters
	Digest    []byte  // SHA-256 of all that the request asks
	Token     seal.Secret
}

// Answer is what a request was answered.
type Answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

// Claim is a request's right to have its effect.
type Claim struct {
	keys    *Keys
	request Request
	id      core.ID
}

const claimKey = `
insert into idempotency_keys as k (workspace_id, service_account_id, key, claim, digest, state, begun)
values (@workspace, @account, @key, @claim, @digest, 'begun', @now)
on conflict (workspace_id, service_account_id, key) do update
set claim = excluded.claim, digest = excluded.digest, state = 'begun', begun = excluded.begun, answer = null
where k.begun <= @forgotten or (k.state = 'begun' and k.begun <= @dead)`

const selectKey = `
select digest, state, begun, claim, answer from idempotency_keys
where workspace_id = @workspace and service_account_id = @account and key = @key`

// A few at a time, with every new key: what is forgotten keeps pace with what comes.
const forgetKeys = `
delete from idempotency_keys
where workspace_id = @workspace and (service_account_id, key) in (
	select service_account_id, key from idempotency_keys
	where workspace_id = @workspace and begun <= @forgotten
	order by begun limit 4
	for update skip locked)`

// Begin gives a request its claim, or the answer it got before. It is a Conflict with code
// "idempotency_key_reused" if the key stands for another request, "request_under_way" while the first one
// is not answered, and "answer_lost" if that had its effect and nobody is left who knows its answer, or
// another token was told it.
func (k *Keys) Begin(ctx context.Context, request Request) (*Claim, *Answer, error) {
	if err := check(request.Key); err != nil {
		return nil, nil, err
	}
	now := k.now()
	claim := &Claim{keys: k, request: request, id: core.NewID()}
	args := pgx.StrictNamedArgs{
		"workspace": request.Workspace, "account": request.Account, "key": request.Key, "claim": claim.id, "digest": request.Digest,
		"now": now, "forgotten": now.Add(-Retention), "dead": now.Add(-Patience),
	}
	claimed, err := k.DB.Exec(ctx, claimKey, args)
	if err != nil {
		return nil, nil, postgres.Classify(err)
	}
	if claimed.RowsAffected() == 1 {
		_, err := k.DB.Exec(ctx, forgetKeys, pgx.StrictNamedArgs{"workspace": request.Workspace, "forgotten": now.Add(-Retention)})
		return claim, nil, postgres.Classify(err)
	}
	answer, err := k.first(ctx, request)
	return nil, answer, err
}

// first finds how the first request with a key went.
func (k *Keys) first(ctx context.Context, request Request) (*Answer, error) {
	var found struct {
		digest, answer []byte
		state          string
		begun          time.Time
		claim          core.ID
	}
	err := k.DB.QueryRow(ctx, selectKey, pgx.StrictNamedArgs{"workspace": request.Workspace, "account": request.Account, "key": request.Key}).
		Scan(&found.digest, &found.state, &found.begun, &found.claim, &found.answer)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it failed in this moment, without an effect
		return nil, underWay()
	case err != nil:
		return nil, postgres.Classify(err)
	case !seal.NewSecret(string(found.digest)).Equal(seal.NewSecret(string(request.Digest))):
		return nil, core.Conflict("", "this Idempotency-Key stands for another request; take a new one for each").WithCode("idempotency_key_reused")
	case found.state == "answered":
		return open(request, found.claim, found.answer)
	case k.now().Sub(found.begun) < Patience:
		return nil, underWay()
	}
	return nil, core.Conflict("", "this request had its effect, but its answer is lost; look at what there is now before you send another").WithCode("answer_lost")
}

func underWay() error {
	return core.Conflict("", "the first request with this Idempotency-Key is not answered yet; send it again in a moment").WithCode("request_under_way")
}

func check(key string) error {
	if key == "" || len(key) > MaxKey {
		return core.Invalid("Idempotency-Key", "an Idempotency-Key has 1 to %d characters", MaxKey)
	}
	for _, character := range []byte(key) {
		if character <= ' ' || character > '~' {
			return core.Invalid("Idempotency-Key", "an Idempotency-Key is made of visible ASCII characters")
		}
	}
	return nil
}

func (k *Keys) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

const commitClaim = `
update idempotency_keys set state = 'committed'
where workspace_id = @workspace and service_account_id = @account and key = @key and claim = @claim`

// Within has every transaction begun with the returned context note that the request has its effect, or
// fail if another one has taken its place.
func (c *Claim) Within(ctx context.Context) context.Context {
	return postgres.BeforeCommit(ctx, func(ctx context.Context, tx pgx.Tx) error {
		noted, err := tx.Exec(ctx, commitClaim, c.args())
		if err == nil && noted.RowsAffected() == 0 {
			err = core.Conflict("", "another request with this Idempotency-Key has taken the place of this one").WithCode("request_under_way")
		}
		return err
	})
}

const answerClaim = `
update idempotency_keys set state = 'answered', answer = @answer
where workspace_id = @workspace and service_account_id = @account and key = @key and claim = @claim`

const dropClaim = `
delete from idempotency_keys
where workspace_id = @workspace and service_account_id = @account and key = @key and claim = @claim and state = 'begun'`

// Finish keeps the answer of a request that succeeded. nil says that it failed: without an effect it is
// forgotten, and may be sent again.
func (c *Claim) Finish(ctx context.Context, answer *Answer) error {
	args := c.args()
	if answer == nil {
		_, err := c.keys.DB.Exec(ctx, dropClaim, args)
		return postgres.Classify(err)
	}
	plain, err := json.Marshal(answer)
	if err != nil {
		return core.Internal(err)
	}
	key, err := seal.KeyOfToken(c.request.Token, "answer")
	if err != nil {
		return err
	}
	if args["answer"], err = seal.SealUnder(key, binding(c.id), seal.NewSecret(string(plain))); err != nil {
		return err
	}
	_, err = c.keys.DB.Exec(ctx, answerClaim, args)
	return postgres.Classify(err)
}

func (c *Claim) args() pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{"workspace": c.request.Workspace, "account": c.request.Account, "key": c.request.Key, "claim": c.id}
}

func binding(claim core.ID) string { return "idempotency answer " + claim.String() }

// open reads an answer with the token it was given to.
func open(request Request, claim core.ID, sealed []byte) (*Answer, error) {
	key, err := seal.KeyOfToken(request.Token, "answer")
	if err != nil {
		return nil, err
	}
	plain, err := seal.OpenUnder(key, binding(claim), sealed)
	if err != nil {
		return nil, core.Conflict("", "this request was answered to another token of the service account").WithCode("answer_lost").Because(err)
	}
	var answer Answer
	if err := json.Unmarshal([]byte(plain.Reveal()), &answer); err != nil {
		return nil, core.Internal(err)
	}
	return &answer, nil
}
