package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/jobs"
	"postern/core/postgres"
)

// check is one thing a process needs to be of use.
type check struct {
	name string
	ask  func(ctx context.Context) error
}

// health answers the two questions an orchestrator asks. /healthz: is the process alive? /readyz:
// can it do its work now? Readiness names what is missing, and ends first when the process stops,
// so that no new request is sent to it.
type health struct {
	checks []check

	mutex    sync.RWMutex
	stopping bool
}

func (h *health) stop() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stopping = true
}

func (h *health) mount(router gin.IRouter) {
	router.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	router.GET("/readyz", h.ready)
}

func (h *health) ready(c *gin.Context) {
	h.mutex.RLock()
	stopping := h.stopping
	h.mutex.RUnlock()
	if stopping {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "stopping"})
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), 2*time.Second)
	defer cancel()
	status, parts := http.StatusOK, gin.H{}
	for _, one := range h.checks {
		parts[one.name] = "ready"
		if err := one.ask(ctx); err != nil {
			status, parts[one.name] = http.StatusServiceUnavailable, missing(err)
		}
	}
	state := "ready"
	if status != http.StatusOK {
		state = "not ready"
	}
	c.JSON(status, gin.H{"status": state, "parts": parts})
}

// missing says what a person has to do, where it is theirs to do; any other error is for the log alone.
func missing(err error) string {
	if known := core.AsError(err); known.Kind == core.KindConflict {
		return known.Message
	}
	return "not available"
}

// upToDate fails on a database whose schema is older than this program, which a process started
// before 'postern migrate' meets. It is ready as soon as that has run.
func (g *Gateway) upToDate(ctx context.Context) error {
	lacking, err := postgres.Outdated(ctx, g.db)
	if err != nil {
		return err
	}
	queue, err := jobs.Outdated(ctx, g.db)
	if err == nil && (queue || len(lacking) > 0) {
		return core.Conflict("database", "the schema is older than this Postern: run 'postern migrate'")
	}
	return err
}
