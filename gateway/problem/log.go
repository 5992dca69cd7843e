package problem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
)

// Add puts one more fact into the request's log line: who asks, which workspace. Never a secret.
func Add(c *gin.Context, facts ...slog.Attr) {
	if known, ok := c.Get(factsKey); ok {
		facts = append(known.([]slog.Attr), facts...)
	}
	c.Set(factsKey, facts)
}

// AccessLog writes one line per request when it has ended, with everything known about it. It logs
// the route and the path, not the query. Client faults are Info, faults of ours Error; requests of
// quiet routes (health checks) are logged only when they fail. What went wrong is the last error the
// handler gave to gin's c.Error, for edges that render their own errors, such as SCIM; Write does so.
func AccessLog(log *slog.Logger, now func() time.Time, quiet ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := now()
		c.Next()
		status := c.Writer.Status()
		if status < http.StatusBadRequest && slices.Contains(quiet, c.FullPath()) {
			return
		}
		facts := []slog.Attr{
			slog.String("request_id", RequestID(c)),
			slog.String("method", core.Cut(c.Request.Method, 16)),
			slog.String("route", c.FullPath()),
			slog.String("path", shown(c.Request.URL.Path)),
			slog.Int("status", status),
			slog.Duration("duration", now().Sub(began)),
			slog.Int("bytes", max(0, c.Writer.Size())),
			slog.String("address", c.ClientIP()),
			slog.String("agent", core.Cut(c.Request.UserAgent(), maxUserAgent)),
		}
		level := slog.LevelInfo
		if last := c.Errors.Last(); last != nil {
			err := last.Err
			classified := Classify(err)
			facts = append(facts, slog.String("error", err.Error()), slog.String("kind", classified.Kind.String()))
			if classified.Kind == core.KindUnavailable {
				level = slog.LevelWarn
			}
		}
		if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
			level = slog.LevelError
		}
		if known, ok := c.Get(factsKey); ok {
			facts = append(facts, known.([]slog.Attr)...)
		}
		// The client may be gone; its line is written all the same.
		log.LogAttrs(context.WithoutCancel(c.Request.Context()), level, "request", facts...)
	}
}

// hidden is how the paths begin that hold a secret: the addresses of links.
const hidden = "/l/"

// shown is a path as it is logged.
func shown(path string) string {
	if strings.HasPrefix(path, hidden) {
		return hidden + "…"
	}
	return core.Cut(path, 200)
}

// Recover turns a panic into Internal: the client gets the fixed text, the log the stack.
func Recover(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(fault) // net/http's own way to drop a connection
			}
			log.LogAttrs(context.WithoutCancel(c.Request.Context()), slog.LevelError, "panic",
				slog.String("request_id", RequestID(c)), slog.String("route", c.FullPath()), slog.String("stack", string(debug.Stack())))
			Write(c, core.Internal(fmt.Errorf("panic: %v", fault)))
		}()
		c.Next()
	}
}

// Deadline ends a request's context after limit, except on the routes that stream.
func Deadline(limit time.Duration, streams ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if slices.Contains(streams, c.FullPath()) {
			c.Next()
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), limit)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}
