package problem

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
)

// Options say how requests are treated. Zero values are good, except Log.
type Options struct {
	Log *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// HTTPS is whether the public address is https.
	HTTPS bool
	// MaxBody bounds a request body in bytes. Default 1 MiB.
	MaxBody int64
	// OwnLimits are the beginnings of paths whose handlers bound bodies themselves, because their
	// protocol has its own words for one that is too large.
	OwnLimits []string
	// Timeout bounds a request. Default 30 s.
	Timeout time.Duration
	// Streams are the routes without a timeout, as gin knows them.
	Streams []string
	// Quiet are the routes that are logged only when they fail.
	Quiet []string
}

// Install puts the middleware on an engine in its right order, and makes unknown routes and methods
// problems. Call it before any route is mounted.
func Install(engine *gin.Engine, options Options) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.MaxBody == 0 {
		options.MaxBody = 1 << 20
	}
	if options.Timeout == 0 {
		options.Timeout = 30 * time.Second
	}
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.Use(
		Identify(),
		AccessLog(options.Log, options.Now, options.Quiet...),
		Recover(options.Log),
		Headers(options.HTTPS),
		Limit(options.MaxBody, options.OwnLimits...),
		Deadline(options.Timeout, options.Streams...),
	)
	engine.NoRoute(func(c *gin.Context) { Write(c, core.NotFound("page")) })
	engine.NoMethod(func(c *gin.Context) {
		problem := From(c, core.Invalid("", "this address does not take %s", core.Cut(c.Request.Method, 16)))
		problem.Status, problem.Title, problem.Code = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed), "method_not_allowed"
		_ = c.Error(problem)
		c.Header("Content-Type", ContentType)
		c.AbortWithStatusJSON(problem.Status, problem)
	})
}
