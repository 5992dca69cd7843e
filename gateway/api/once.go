package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"postern/core/idempotency"
	"postern/core/seal"
	"postern/gateway/problem"
)

// idempotencyKey names the header (draft-ietf-httpapi-idempotency-key-header).
const idempotencyKey = "Idempotency-Key"

// ownKey marks an operation that keeps its key itself: its effect is more than one transaction.
const ownKey = "own-key"

// maxBody is the largest body an operation takes.
const maxBody = 256 << 10

// once makes a change that comes with an Idempotency-Key happen once, however often it is sent.
func (s *Service) once(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	sent := c.Request.Header.Values(idempotencyKey)
	if len(sent) == 0 || c.Request.Method == http.MethodGet || ctx.Operation().Metadata[ownKey] != nil {
		next(ctx)
		return
	}
	digest, whole := digestOf(c.Request)
	if !whole { // it is refused for that, and changes nothing
		next(ctx)
		return
	}
	by := ctx.Context().Value(callerKey{}).(caller)
	keys := &idempotency.Keys{DB: s.DB, Now: s.Now}
	claim, before, err := keys.Begin(ctx.Context(), idempotency.Request{
		Workspace: by.Workspace, Account: by.ID, Key: sent[0], Digest: digest, Token: seal.NewSecret(bearer(c.Request)),
	})
	if err != nil {
		problem.Write(c, err)
		return
	}
	if before != nil {
		for name, value := range before.Headers {
			c.Header(name, value)
		}
		c.Header("Idempotency-Replayed", "true")
		c.Status(before.Status)
		_, _ = c.Writer.Write(before.Body)
		return
	}
	held := &heldAnswer{ResponseWriter: c.Writer}
	c.Writer = held
	defer func() { held.send(c) }()
	next(huma.WithContext(ctx, claim.Within(ctx.Context())))
	// The client may be gone; what it did is remembered all the same, before it is answered.
	if err := claim.Finish(context.WithoutCancel(ctx.Context()), held.answer()); err != nil {
		_ = c.Error(fmt.Errorf("the answer of an Idempotency-Key is not kept: %w", err))
	}
}

// digestOf is what a request asks, in 32 bytes. The body can be read again. whole is false if it could
// not be read to its end, or is too large for any operation.
func digestOf(request *http.Request) (digest []byte, whole bool) {
	text, err := io.ReadAll(io.LimitReader(request.Body, maxBody+1))
	rest := request.Body
	request.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), failing{err}, rest), rest}
	if err != nil || len(text) > maxBody {
		return nil, false
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%s\n%s\n%s\n", request.Method, request.URL.EscapedPath(), request.URL.RawQuery, request.Header.Get("If-Match"))
	hash.Write(text)
	return hash.Sum(nil), true
}

// failing reads nothing, and fails as the body did.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) {
	if f.err == nil || errors.Is(f.err, io.EOF) {
		return 0, io.EOF
	}
	return 0, f.err
}

// heldAnswer keeps an answer until it may be sent.
type heldAnswer struct {
	gin.ResponseWriter
	body bytes.Buffer
	done bool
}

// Write implements http.ResponseWriter.
func (h *heldAnswer) Write(text []byte) (int, error) {
	h.done = true
	return h.body.Write(text)
}

// WriteString implements gin.ResponseWriter.
func (h *heldAnswer) WriteString(text string) (int, error) { return h.Write([]byte(text)) }

// WriteHeaderNow implements gin.ResponseWriter.
func (h *heldAnswer) WriteHeaderNow() { h.done = true }

// Written implements gin.ResponseWriter.
func (h *heldAnswer) Written() bool { return h.done }

// answer is what is to be told again; nil for a refusal.
func (h *heldAnswer) answer() *idempotency.Answer {
	if h.Status() >= http.StatusBadRequest {
		return nil
	}
	headers := map[string]string{}
	for _, name := range []string{"Content-Type", "ETag", "Location"} {
		if value := h.Header().Get(name); value != "" {
			headers[name] = value
		}
	}
	return &idempotency.Answer{Status: h.Status(), Headers: headers, Body: h.body.Bytes()}
}

func (h *heldAnswer) send(c *gin.Context) {
	c.Writer = h.ResponseWriter
	if !h.done { // a panic: whoever recovers answers
		return
	}
	c.Writer.WriteHeaderNow()
	_, _ = c.Writer.Write(h.body.Bytes())
}
