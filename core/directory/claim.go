package directory

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core/seal"
)

// maxClaims bounds how many tokens are remembered.
const maxClaims = 10_000

// Claim is a token as this process found it last. It opens nothing by itself: what is done on its
// strength has to ask QueueClaim in the same transaction, and anything told without doing has to
// authenticate first.
type Claim struct {
	hash   []byte
	bearer bearer
}

// claims are the tokens found lately, by their hashes.
type claims struct {
	lock  sync.RWMutex
	known map[[32]byte]claimed
}

type claimed struct {
	bearer
	found time.Time
}

// put remembers what was found. Of the many requests of a busy token hardly one has to.
func (c *claims) put(hash []byte, found bearer, now time.Time) {
	key := [32]byte(hash)
	c.lock.RLock()
	one, known := c.known[key]
	c.lock.RUnlock()
	if known && one.row == found.row && now.Sub(one.found) < touchEvery/2 {
		return
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.known == nil || len(c.known) >= maxClaims {
		c.known = map[[32]byte]claimed{}
	}
	c.known[key] = claimed{found, now}
}

// get is what was found within touchEvery: once in that time a token is looked up, which writes down
// that it was used.
func (c *claims) get(hash []byte, now time.Time) (bearer, bool) {
	c.lock.RLock()
	defer c.lock.RUnlock()
	one, known := c.known[[32]byte(hash)]
	return one.bearer, known && now.Sub(one.found) < touchEvery
}

func (c *claims) drop(hash []byte) {
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.known, [32]byte(hash))
}

// RecallConnection is the connection a token opened when this process last found it, without asking
// the database: false if that was more than a minute ago or never, or lately it did not.
func (d *Directory) RecallConnection(token seal.Secret) (Connection, Claim, bool) {
	hash := seal.HashToken(token.Reveal())
	found, known := d.claims.get(hash, d.now())
	if !known {
		return Connection{}, Claim{}, false
	}
	connection, known := d.remembered.get(found.connection, found.row)
	return connection.own(), Claim{hash, found}, known
}

// The function fails. It is called where it has to: a call costs as much as the look itself.
const requireToken = `
select require_connection_token(@hash, @connection, @row, @now)
where not exists (
	select from connection_tokens t join connections c on c.workspace_id = t.workspace_id and c.id = t.connection_id
	where t.hash = @hash and (t.expires is null or t.expires > @now) and c.id = @connection and c.xmin = @row::text::xid)`

// QueueClaim has a transaction fail whose token no longer opens the connection, or not the connection
// as it was recalled: see ClaimFailed. From the commit of a revocation on nothing is done by the token.
func (d *Directory) QueueClaim(batch *pgx.Batch, claim Claim) {
	batch.Queue(requireToken, pgx.StrictNamedArgs{
		"hash": claim.hash, "connection": claim.bearer.connection, "row": strconv.FormatUint(uint64(claim.bearer.row), 10), "now": d.now(),
	})
}

// ClaimFailed reports whether a transaction failed because its claim did not hold. The token may still
// be good: authenticate, and do it again.
func ClaimFailed(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && server.Code == "PT401"
}
