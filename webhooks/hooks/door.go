package hooks

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
)

// maxBody bounds a request: Okta sends many events at once, nobody sends a megabyte.
const maxBody = 1 << 20

// remembered is how long a message is known for having come: longer than any sender repeats itself.
const remembered = 30 * 24 * time.Hour

// The stages a request can fail at, besides those of tokens.
const (
	stageSecret  = "secret" // the key, the client state
	stageBody    = "body"
	stageTime    = "timestamp"
	stageSigned  = "signature"
	stageEffect  = "effect"
	stageSubject = "subject"
)

// SelfTester is how the doctor calls itself. What a stranger of this name is refused is kept as StageSelfTest, so that
// nobody looks for a fault at the sender.
const (
	SelfTester    = "Postern-Doctor/1"
	StageSelfTest = "self_test"
)

var doors = map[Kind]signals.Door{Okta: signals.OktaEventHook, Graph: signals.Graph, Standard: signals.StandardWebhook, Signed: signals.SignedWebhook}

// arrival is one request. The body is as it came.
type arrival struct {
	connection directory.Connection
	hook       Hook
	known      bool // the caller showed what only the sender knows
	header     http.Header
	body       []byte
	received   time.Time
	origin     core.Origin
}

// door is the handler of a kind: what the kinds have in common.
func (s *Service) door(kind Kind, take func(c *gin.Context, in *arrival) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		in := &arrival{header: c.Request.Header, received: s.now(), origin: core.Origin{Address: c.ClientIP(), UserAgent: core.Cut(c.Request.UserAgent(), 200)}}
		c.Header("Cache-Control", "no-store")
		err := s.enter(c, kind, in)
		if err == nil {
			err = take(c, in)
		}
		if err == nil {
			if !c.Writer.Written() {
				c.Status(http.StatusNoContent)
				c.Writer.WriteHeaderNow()
			}
			return
		}
		s.refuse(c, kind, in, err)
	}
}

// enter finds the connection, and the hook if the address names it. What is not there is answered as a wrong
// secret is.
func (s *Service) enter(c *gin.Context, kind Kind, in *arrival) error {
	ctx := c.Request.Context()
	id, err := core.ParseID(c.Param("connection"))
	if err != nil {
		return stranger().Because(err)
	}
	if in.connection, err = s.Directory.ConnectionByID(ctx, s.DB, id); err != nil {
		return unknown(err)
	}
	if c.Param("hook") != "" {
		if id, err = core.ParseID(c.Param("hook")); err != nil {
			return stranger().Because(err)
		}
		if in.hook, err = s.Hook(ctx, s.DB, in.connection.Workspace, id); err != nil {
			return unknown(err)
		}
		if in.hook.Connection != in.connection.ID || in.hook.Kind != kind {
			in.hook = Hook{}
			return stranger()
		}
	}
	return nil
}

// read reads the body. A kind does so as late as it can: nothing is read for a stranger who shows as one before.
func (in *arrival) read(c *gin.Context) (err error) {
	if in.body, err = io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return core.TooLarge("a message may have at most %d bytes", maxBody).WithCode(stageBody)
		}
		return core.Invalid("", "the body could not be read to its end").Because(err).WithCode(stageBody)
	}
	return nil
}

func stranger() *core.Error {
	return core.Unauthenticated("this is not the secret of the hook").WithCode(stageSecret)
}

func unknown(err error) error {
	if core.KindOf(err) == core.KindNotFound {
		return stranger().Because(err)
	}
	return err
}

// refuse answers a request that was not taken, and keeps why.
func (s *Service) refuse(c *gin.Context, kind Kind, in *arrival, err error) {
	_ = c.Error(err)
	ctx := c.Request.Context()
	classified := core.AsError(err)
	if transient(err) {
		// Who cannot come in now may not come back: what was missed is fetched later.
		if in.known {
			s.missed(ctx, in.hook)
		}
		c.Header("Retry-After", "5")
		c.JSON(http.StatusServiceUnavailable, gin.H{"error": "temporarily_unavailable"})
		return
	}
	stage := classified.Code
	if stage == "" {
		stage = classified.Kind.String()
	}
	kept := stage
	if !in.known && in.origin.UserAgent == SelfTester {
		kept = StageSelfTest
	}
	s.Signals.Refused(ctx, signals.Refusal{Connection: in.connection, Door: doors[kind], Stage: kept, Err: err, Origin: in.origin, Known: in.known})
	if in.known {
		s.failed(ctx, in.hook, stage, err)
	}
	status := http.StatusBadRequest
	switch classified.Kind {
	case core.KindUnauthenticated:
		status = http.StatusUnauthorized
	case core.KindTooLarge:
		status = http.StatusRequestEntityTooLarge
	}
	c.JSON(status, gin.H{"error": stage, "description": visible(err)})
}

// hashed reports whether a text is one of a hook's hashed secrets. It takes as long whichever it is.
func (h Hook) hashed(text string, now time.Time) bool {
	presented, matched := seal.HashToken(text), 0
	for i, hash := range h.Hashes {
		same := subtle.ConstantTimeCompare(hash, presented)
		if i == 0 || h.PreviousEnds != nil && now.Before(*h.PreviousEnds) {
			matched |= same
		}
	}
	return matched == 1
}

// secrets are a hook's sealed secrets that are good now, the newest first.
func (s *Service) secrets(ctx context.Context, hook Hook) ([]seal.Secret, error) {
	if hook.SecretVersion == 0 {
		return nil, nil
	}
	versions := []int{hook.SecretVersion}
	if hook.PreviousEnds != nil && hook.SecretVersion > 1 && s.now().Before(*hook.PreviousEnds) {
		versions = append(versions, hook.SecretVersion-1)
	}
	var found []seal.Secret
	for _, version := range versions {
		one, err := s.Vault.Open(ctx, s.DB, hook.Workspace, hook.ID, secretField, version)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

// happening is one event of a message, understood.
type happening struct {
	id          string // of the event, as its sender calls it
	kind        signals.Kind
	eventType   string
	subject     signals.Subject
	sid         string
	occurred    time.Time
	transaction string
	digest      []byte            // of what was signed, or of the event
	same        []byte            // what of it cannot differ when it comes again; nil: digest
	facts       map[string]string // besides what the type says
}

// tell hands one event to the pipeline. An event about nobody Postern knows is told all the same: the receipt
// says so, and it is used up. What the pipeline refuses is kept; only what may work later is an error.
func (s *Service) tell(ctx context.Context, in *arrival, one happening) error {
	if one.subject.IsZero() && one.sid == "" {
		s.heard(ctx, in.hook, one.eventType)
		return nil // about a thing, not about a person
	}
	cause := core.NewCause(in.connection.Actor(), in.received)
	cause.Origin = in.origin
	sum := sha256.Sum256([]byte(one.id))
	same := one.same
	if same == nil {
		same = one.digest
	}
	_, err := s.Signals.Receive(ctx, cause, signals.Signal{
		Workspace: in.hook.Workspace, Connection: in.connection.ID, ConnectionName: in.connection.Name, Door: doors[in.hook.Kind], Kind: one.kind,
		Subject: one.subject, SID: one.sid, Occurred: one.occurred, Received: in.received, Transaction: one.transaction,
		Evidence: signals.Evidence{Issuer: in.connection.Issuer, TokenID: core.Cut(one.id, 200), Type: core.Cut(one.eventType, 200), Digest: one.digest, Facts: one.facts},
	}, &signals.Once{
		TokenID:  "hook " + in.hook.ID.String() + " " + hex.EncodeToString(sum[:]),
		BodyHash: same, Status: http.StatusNoContent, Expires: in.received.Add(remembered),
	})
	switch {
	case err == nil || core.KindOf(err) == core.KindNotFound:
		s.heard(ctx, in.hook, one.eventType)
		return nil
	case transient(err):
		return err
	case core.AsError(err).Code == "replayed":
		return core.AsError(err)
	}
	s.Signals.Refused(ctx, signals.Refusal{
		Connection: in.connection, Door: doors[in.hook.Kind], Stage: stageEffect, Err: err, Subject: one.subject.String(), Origin: in.origin, Known: true,
	})
	s.failed(ctx, in.hook, stageEffect, err)
	return nil
}
