package gateway

import (
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/core"
	"postern/core/seal"
	"postern/core/signals"
	"postern/gateway/console"
	"postern/gateway/problem"
)

// metrics are what this process counts. What all processes share is read from its source when it is
// asked for: see collector. They live on a registry of their own.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.HistogramVec
	timeToLockout *prometheus.HistogramVec
	rotations     *prometheus.CounterVec
	tried         *prometheus.CounterVec
	shut          *prometheus.CounterVec
	apps          names
	signals       *prometheus.HistogramVec
	refusals      *prometheus.CounterVec
	attempts      *prometheus.CounterVec
	sinkRequests  *prometheus.CounterVec
	sinkEvents    *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_http_request_duration_seconds", Help: "Time to answer, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method", "status"}),
		timeToLockout: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_time_to_lockout_seconds", Help: "From the IdP's request to the moment the old password was refused, by app and reason.",
			Buckets: []float64{1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 900, 3600},
		}, []string{"app", "reason"}),
		rotations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_rotations_total",
			Help: "Rotations a worker of this process brought to rest, by reason and outcome: rotated, verified, delayed (tried again by itself), blocked (waits for a person).",
		}, []string{"reason", "outcome"}),
		tried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_connector_attempts_total", Help: "Sign-ins (verify) and changes that connectors of this process made, by connector and outcome.",
		}, []string{"connector", "kind", "outcome"}),
		shut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_gate_refusals_total", Help: "Changes that were kept from being sent, by connector and by what: the page would have sent something else, or the lease was lost.",
		}, []string{"connector", "by"}),
		signals: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_signal_seconds", Help: "From the receipt of a signal to the end of the last session it means, by door.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"door"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_signals_refused_total", Help: "Signals that were not believed or not understood, by door and the stage that failed.",
		}, []string{"door", "stage"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_delivery_attempts_total",
			Help: "Attempts of this process to deliver, by kind of destination and outcome: delivered, again (tried again by itself), refused (a dead letter), given_up (the destination is disabled).",
		}, []string{"kind", "outcome"}),
		sinkRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_workspace_sink_requests_total",
			Help: "Requests of this process to sinks of workspaces, by kind and what the receiver said: accepted, busy (tried again by itself), misconfigured (the sink pauses), refused or too_large.",
		}, []string{"kind", "verdict"}),
		sinkEvents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_workspace_sink_events_total", Help: "Events that sinks of workspaces have taken from this process, by kind.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(m.requests, m.timeToLockout, m.rotations, m.tried, m.shut, m.signals, m.refusals, m.attempts, m.sinkRequests, m.sinkEvents, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Ended implements signals.Meter.
func (m *metrics) Ended(door signals.Door, took time.Duration) {
	m.signals.WithLabelValues(string(door)).Observe(took.Seconds())
}

// Refused implements signals.Meter.
func (m *metrics) Refused(door signals.Door, stage string) {
	m.refusals.WithLabelValues(string(door), stage).Inc()
}

// Attempted implements delivery.Meter.
func (m *metrics) Attempted(kind, outcome string) { m.attempts.WithLabelValues(kind, outcome).Inc() }

// methods are those told apart: a client may send any word as a method, and each would be a series.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// observe times every request by its route, never by its path: paths hold ids. Live streams last as
// long as somebody looks at them and are left out.
func (m *metrics) observe(c *gin.Context) {
	began := time.Now()
	c.Next()
	route, method := c.FullPath(), c.Request.Method
	if slices.Contains(console.StreamRoutes(), route) {
		return
	}
	if route == "" {
		route = "unknown"
	}
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(c.Writer.Status())).Observe(time.Since(began).Seconds())
}

// mount serves /metrics; with a token, only to who brings it.
func (m *metrics) mount(router gin.IRouter, token seal.Secret) {
	handler := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	router.GET("/metrics", func(c *gin.Context) {
		offered := []byte(c.GetHeader("Authorization"))
		if !token.IsZero() && subtle.ConstantTimeCompare(offered, []byte("Bearer "+token.Reveal())) != 1 {
			problem.Write(c, core.Unauthenticated("send the metrics token as Authorization: Bearer"))
			return
		}
		handler.ServeHTTP(c.Writer, c.Request)
	})
}
