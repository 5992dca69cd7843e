package denied

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// asked is the code of a refusal that only asks for another proof: the act goes on after it.
const asked = "step_up_required"

// kinds are what the first part of an address is about.
var kinds = map[string]string{
	"accounts": "account", "apps": "app", "users": "user", "grants": "grant", "connections": "connection", "links": "link", "policies": "policy",
	"rotations": "rotation", "service-accounts": "service_account", "sinks": "sink", "webhooks": "webhook", "hooks": "hook", "partners": "partner",
}

// Recorder writes the events of one door.
type Recorder struct {
	db   *postgres.DB
	log  *slog.Logger
	now  func() time.Time
	wake func()
	base string

	throttle audit.Throttle
}

// NewRecorder makes the recorder of the door whose addresses begin with base: "/api/v1", or "".
func NewRecorder(db *postgres.DB, log *slog.Logger, now func() time.Time, wake func(), base string) *Recorder {
	return &Recorder{db: db, log: log, now: now, wake: wake, base: base, throttle: audit.Throttle{Burst: 20, Every: 10 * time.Second}}
}

// Tell records that a request was denied, if it was: after the answer, by the errors of its context. A refusal that only asks for another
// proof is none.
func (r *Recorder) Tell(c *gin.Context, workspace core.ID, cause core.Cause) {
	refusal := denial(c)
	if refusal == nil || refusal.Code == asked {
		return
	}
	now := r.now()
	suppressed, ok := r.throttle.Allow(now, cause.Actor.ID)
	if !ok {
		return
	}
	var targets []core.Target
	kind, _, _ := strings.Cut(strings.TrimPrefix(c.FullPath(), r.base+"/"), "/")
	if id, err := core.ParseID(c.Param("id")); err == nil && kinds[kind] != "" {
		targets = append(targets, core.Target{Kind: kinds[kind], ID: id})
	}
	event := core.NewEvent(core.AccessDenied, workspace, cause, now, targets...).Failed(refusal.Message).
		With("operation", c.Request.Method+" "+c.FullPath())
	if refusal.Code != "" {
		event = event.With("rule", refusal.Code)
	}
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	// The client may be gone by now; what it tried is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), 5*time.Second)
	defer cancel()
	if err := r.db.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) }); err != nil {
		r.log.WarnContext(ctx, "a denied act could not be recorded", "correlation", event.Correlation.String(), "error", err.Error())
		return
	}
	r.wake()
}

// denial finds the refusal among what became of a request, also where the answer hides it; nil if there is none.
func denial(c *gin.Context) *core.Error {
	for _, one := range c.Errors {
		for err := one.Err; ; {
			found, ok := errors.AsType[*core.Error](err)
			if !ok {
				break
			}
			if found.Kind == core.KindDenied {
				return found
			}
			err = found.Err
		}
	}
	return nil
}
