package api

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"golang.org/x/time/rate"

	"postern/core"
	"postern/gateway/problem"
)

// DefaultRate is how many requests a second a service account may send to one process.
const DefaultRate = 50

// burst is how many seconds' worth of requests may come at once.
const burst = 4

// limits keeps count of each service account. They exist, so there are not too many.
type limits struct {
	mutex sync.Mutex
	known map[core.ID]*rate.Limiter
}

func (l *limits) of(account core.ID, perSecond int) *rate.Limiter {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	limiter, ok := l.known[account]
	if !ok {
		if l.known == nil {
			l.known = map[core.ID]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(rate.Limit(perSecond), burst*perSecond)
		l.known[account] = limiter
	}
	return limiter
}

// limit refuses what a service account asks beyond its rate, and tells every answer what is left
// (draft-ietf-httpapi-ratelimit-headers).
func (s *Service) limit(ctx huma.Context, next func(huma.Context)) {
	c, now := humagin.Unwrap(ctx), s.now()
	perSecond := s.Rate
	if perSecond <= 0 {
		perSecond = DefaultRate
	}
	limiter := s.limits.of(ctx.Context().Value(callerKey{}).(caller).ID, perSecond)
	allowed := limiter.AllowN(now, 1)
	left := max(0, limiter.TokensAt(now))
	full := math.Ceil((float64(limiter.Burst()) - left) / float64(perSecond))
	c.Header("RateLimit-Policy", fmt.Sprintf(`"requests";q=%d;w=%d`, limiter.Burst(), burst))
	c.Header("RateLimit", fmt.Sprintf(`"requests";r=%d;t=%d`, int(left), int(full)))
	if !allowed {
		problem.Write(c, &core.Error{
			Kind: core.KindRateLimited, Code: "rate_limited", RetryAfter: time.Second,
			Message: fmt.Sprintf("this service account may send %d requests a second", perSecond),
		})
		return
	}
	next(ctx)
}
