package links

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

const (
	codeDigits   = 8
	codeLife     = 10 * time.Minute
	codeAttempts = 5
	// mailboxAsks and addressAsks are how often within askWindow codes may be asked for one mailbox, and from one
	// network address. They count askers, not recipients: whom nobody knows is limited likewise.
	mailboxAsks = 10
	addressAsks = 60
	askWindow   = time.Hour
	// codesKept is how long codes are remembered that nobody can use any more.
	codesKept = 24 * time.Hour
)

// newCode makes the code that is mailed.
func newCode() (seal.Secret, error) {
	number, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil))
	if err != nil {
		return seal.Secret{}, core.Internal(err)
	}
	return seal.NewSecret(fmt.Sprintf("%0*d", codeDigits, number)), nil
}

// answerOf is what is stored of a code.
func answerOf(challenge, code seal.Secret) []byte {
	sum := sha256.Sum256([]byte("mailed code\n" + challenge.Reveal() + "\n" + code.Reveal()))
	return sum[:]
}

// typed is a code as somebody typed it.
func typed(code seal.Secret) seal.Secret {
	return seal.NewSecret(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return 'x'
	}, core.Cut(code.Reveal(), 64)))
}

// ask is somebody who wants a code.
type ask struct {
	Workspace core.ID
	Link      core.ID // zero: to sign in as a guest
	Email     string  // as mail.Address gives it, in lower case
	Address   string  // where they are
	Decoy     bool    // nobody is to be written to
	Subject   string
	Text      func(code string) string
}

// One who asks waits for another who asks about the same mailbox, so that the limits hold.
const lockMailbox = `select pg_advisory_xact_lock(hashtextextended('code ' || @workspace::text || ' ' || @email, 0))`

const selectAsks = `
select (select count(*) from codes where workspace_id = @workspace and email = @email and created > @since),
	(select count(*) from codes where workspace_id = @workspace and address = @address and created > @since)`

const insertCode = `
insert into codes (id, workspace_id, link_id, email, decoy, challenge, answer, address, created, expires)
values (@id, @workspace, @link, @email, @decoy, @challenge, @answer, @address, @now, @expires)`

const sweepCodes = `
delete from codes where (workspace_id, id) in (
	select workspace_id, id from codes where workspace_id = @workspace and created < @old limit 100 for update skip locked)`

// challengeToken begins what the asking browser keeps.
const challengeToken = "pst_code"

// ask makes a code, has it mailed, and returns what the browser has to send along with it.
func (l *Links) ask(ctx context.Context, tx pgx.Tx, wanted ask) (seal.Secret, error) {
	now := l.now()
	args := pgx.StrictNamedArgs{"workspace": wanted.Workspace, "email": wanted.Email}
	if _, err := tx.Exec(ctx, lockMailbox, args); err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	var mailbox, address int
	args["address"], args["since"] = wanted.Address, now.Add(-askWindow)
	if err := tx.QueryRow(ctx, selectAsks, args).Scan(&mailbox, &address); err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	if mailbox >= mailboxAsks || wanted.Address != "" && address >= addressAsks {
		return seal.Secret{}, &core.Error{
			Kind: core.KindRateLimited, Code: "too_many_codes", RetryAfter: askWindow / 4,
			Message: "too many codes were asked for; use the latest one, or try again later",
		}
	}
	code, err := newCode()
	if err != nil {
		return seal.Secret{}, err
	}
	challenge := seal.NewToken(challengeToken)
	if _, err := tx.Exec(ctx, insertCode, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": wanted.Workspace, "link": wanted.Link, "email": wanted.Email, "decoy": wanted.Decoy,
		"challenge": seal.HashToken(challenge.Reveal()), "answer": answerOf(challenge, code), "address": wanted.Address,
		"now": now, "expires": now.Add(codeLife),
	}); err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	if _, err := tx.Exec(ctx, sweepCodes, pgx.StrictNamedArgs{"workspace": wanted.Workspace, "old": now.Add(-codesKept)}); err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	plain := code.Reveal()
	_, err = l.Mail.Queue(ctx, tx, wanted.Workspace, mail.Message{
		To: wanted.Email, Subject: wanted.Subject, Text: seal.NewSecret(wanted.Text(plain[:codeDigits/2] + " " + plain[codeDigits/2:])),
		Until: now.Add(codeLife), Decoy: wanted.Decoy,
	})
	return challenge, err
}

// proof is a code that was typed and is right, but not used up yet.
type proof struct {
	ID       core.ID   `db:"id"`
	Email    string    `db:"email"`
	Decoy    bool      `db:"decoy"`
	Answer   []byte    `db:"answer"`
	Attempts int       `db:"attempts"`
	Created  time.Time `db:"created"`
}

// Each attempt counts before it is judged, however many are made at once.
const countAttempt = `
update codes set attempts = attempts + 1
where workspace_id = @workspace and challenge = @challenge and link_id is not distinct from @link
	and used is null and expires > @now and attempts < @most
returning id, email, decoy, answer, attempts, created`

func wrongCode() *core.Error {
	return core.Denied("this code is wrong, has expired or was used already; ask for another one").WithCode("wrong_code")
}

// prove judges a code. last says that a wrong one was the last attempt, by somebody who was written to.
func (l *Links) prove(ctx context.Context, workspace, link core.ID, challenge, code seal.Secret) (found proof, last bool, err error) {
	found, err = postgres.One[proof](ctx, l.DB, "code", countAttempt, pgx.StrictNamedArgs{
		"workspace": workspace, "link": link, "challenge": seal.HashToken(challenge.Reveal()), "now": l.now(), "most": codeAttempts,
	})
	if core.KindOf(err) == core.KindNotFound && err != nil {
		return proof{}, false, wrongCode()
	}
	if err != nil {
		return proof{}, false, err
	}
	right := subtle.ConstantTimeCompare(found.Answer, answerOf(challenge, typed(code))) == 1
	if !right || found.Decoy {
		return found, found.Attempts >= codeAttempts && !found.Decoy, wrongCode()
	}
	return found, false, nil
}

const useCode = `
update codes set used = @now where workspace_id = @workspace and id = @id and used is null and expires > @now`

// use takes a right code in the transaction of what it lets somebody do: of two who have it, one.
func (l *Links) use(ctx context.Context, tx pgx.Tx, workspace core.ID, right proof) error {
	done, err := tx.Exec(ctx, useCode, pgx.StrictNamedArgs{"workspace": workspace, "id": right.ID, "now": l.now()})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() == 0 {
		return wrongCode()
	}
	return nil
}
