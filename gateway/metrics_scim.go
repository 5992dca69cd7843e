package gateway

import (
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"postern/core/directory"
	"postern/core/seal"
)

// maxKinds bounds the tokens whose kind of connection is remembered.
const maxKinds = 10_000

// provisioning counts what identity providers ask for by SCIM, by their kind: three of them, and
// unknown for whoever did not say who they are.
type provisioning struct {
	people    *directory.Directory
	requests  *prometheus.CounterVec
	throttled *prometheus.CounterVec

	lock  sync.RWMutex
	kinds map[[sha256.Size]byte]directory.ConnectionKind // by the hash of a token that was good
}

func newProvisioning(people *directory.Directory, registry *prometheus.Registry) *provisioning {
	p := &provisioning{
		people: people, kinds: map[[sha256.Size]byte]directory.ConnectionKind{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_scim_requests_total",
			Help: "SCIM requests by kind of connection, method and class of status. A change is answered 5xx when it, or its entry in the journal, could not be committed.",
		}, []string{"kind", "method", "status"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_scim_throttled_total", Help: "SCIM requests answered 429, by kind of connection.",
		}, []string{"kind"}),
	}
	registry.MustRegister(p.requests, p.throttled)
	return p
}

// observe counts a request under the SCIM endpoint once it is answered.
func (p *provisioning) observe(c *gin.Context) {
	c.Next()
	if !strings.HasPrefix(c.FullPath(), "/scim/") {
		return
	}
	status, method := c.Writer.Status(), c.Request.Method
	if !slices.Contains(methods, method) {
		method = "other"
	}
	kind := p.kind(c, status)
	p.requests.WithLabelValues(kind, method, strconv.Itoa(status/100)+"xx").Inc()
	if status == http.StatusTooManyRequests {
		p.throttled.WithLabelValues(kind).Inc()
	}
}

// kind tells whose token came with a request. The database is asked once per token, and never because
// of a request that was turned away.
func (p *provisioning) kind(c *gin.Context, status int) string {
	const unknown = "unknown"
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" || status == http.StatusUnauthorized {
		return unknown
	}
	hash := sha256.Sum256([]byte(token))
	p.lock.RLock()
	kind, known := p.kinds[hash]
	p.lock.RUnlock()
	if known {
		return string(kind)
	}
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		return unknown
	}
	// The request's own time is over once it is answered.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), time.Second)
	defer cancel()
	connection, err := p.people.AuthenticateConnection(ctx, seal.NewSecret(token))
	if err != nil {
		return unknown
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.kinds) >= maxKinds {
		clear(p.kinds)
	}
	p.kinds[hash] = connection.Kind
	return string(connection.Kind)
}
