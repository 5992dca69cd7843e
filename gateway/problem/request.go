package problem

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"postern/core"
)

const (
	requestIDHeader = "X-Request-Id"
	requestIDKey    = "postern.request_id"
	factsKey        = "postern.facts"

	maxUserAgent = 200
)

// Identify gives every request an id and answers with it. An id from outside is kept only when it
// is well-formed: 8 to 64 letters, digits, hyphens or underscores, so that a log cannot be forged
// through it.
func Identify() gin.HandlerFunc {
	return func(c *gin.Context) {
		id := c.GetHeader(requestIDHeader)
		if !wellFormed(id) {
			id = core.NewID().String()
		}
		c.Set(requestIDKey, id)
		c.Header(requestIDHeader, id)
		if agent := c.Request.UserAgent(); len(agent) > maxUserAgent || !utf8.ValidString(agent) {
			c.Request.Header.Set("User-Agent", core.Cut(agent, maxUserAgent))
		}
		c.Next()
	}
}

// RequestID is the id Identify gave the request; empty without Identify.
func RequestID(c *gin.Context) string {
	if c == nil {
		return ""
	}
	return c.GetString(requestIDKey)
}

// Origin is where a request came from, as events tell it.
func Origin(c *gin.Context) core.Origin {
	return core.Origin{Address: c.ClientIP(), UserAgent: core.Cut(c.Request.UserAgent(), maxUserAgent)}
}

func wellFormed(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return false
		}
	}
	return true
}

// Limit refuses a body of more than size bytes: at once when the request says its length, else when
// the handler reads past the limit (Classify then makes it TooLarge). Paths that begin with one of
// own are left alone: their handlers have a limit, and a way to say so, of their own.
func Limit(size int64, own ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		within := func(prefix string) bool { return strings.HasPrefix(c.Request.URL.Path, prefix) }
		if slices.ContainsFunc(own, within) {
			c.Next()
			return
		}
		if c.Request.ContentLength > size {
			Write(c, core.TooLarge("a request body may have at most %d bytes", size))
			return
		}
		if c.Request.Body != nil {
			c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, size)
		}
		c.Next()
	}
}

// Headers sets what protects a browser on every answer; a page may loosen Content-Security-Policy
// and Cache-Control for itself. With https it also asks browsers never to come without it.
func Headers(https bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("Cache-Control", "no-store")
		if https {
			header.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		c.Next()
	}
}
