package gateway

import (
	"crypto/subtle"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/core"
	"postern/core/seal"
	"postern/gateway/problem"
)

// metrics are what a process counts. They live on a registry of their own.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.HistogramVec
	timeToLockout *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_http_request_duration_seconds", Help: "Time to answer, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method", "status"}),
		timeToLockout: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_time_to_lockout_seconds", Help: "From the IdP's request to the moment the old password was refused, by reason.",
			Buckets: []float64{1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 900, 3600},
		}, []string{"reason"}),
	}
	m.registry.MustRegister(m.requests, m.timeToLockout, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe times every request by its route, never by its path: paths hold ids.
func (m *metrics) observe(c *gin.Context) {
	began := time.Now()
	c.Next()
	route := c.FullPath()
	if route == "" {
		route = "unknown"
	}
	m.requests.WithLabelValues(route, c.Request.Method, strconv.Itoa(c.Writer.Status())).Observe(time.Since(began).Seconds())
}

// mount serves /metrics; with a token, only to who brings it.
func (m *metrics) mount(router gin.IRouter, token seal.Secret) {
	handler := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	router.GET("/metrics", func(c *gin.Context) {
		offered := []byte(c.GetHeader("Authorization"))
		if !token.IsZero() && subtle.ConstantTimeCompare(offered, []byte("Bearer "+token.Reveal())) != 1 {
			c.Header("WWW-Authenticate", `Bearer realm="metrics"`)
			problem.Write(c, core.Unauthenticated("a bearer token is needed"))
			return
		}
		handler.ServeHTTP(c.Writer, c.Request)
	})
}
