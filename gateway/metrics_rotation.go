package gateway

import (
	"cmp"
	"sync"

	"postern/core/accounts"
	"postern/core/rotation"
)

// mostApps is how many apps have series of their own in a process: whoever may add apps must not be able to fill the
// memory of Prometheus. Those that come later are told as "other".
const mostApps = 100

// names are the labels given so far.
type names struct {
	lock  sync.Mutex
	known map[string]bool
}

// label is the name, or "other" once there are too many.
func (n *names) label(name string) string {
	n.lock.Lock()
	defer n.lock.Unlock()
	if !n.known[name] {
		if len(n.known) >= mostApps {
			return "other"
		}
		if n.known == nil {
			n.known = map[string]bool{}
		}
		n.known[name] = true
	}
	return name
}

// Rested implements rotation.Meter.
func (m *metrics) Rested(app accounts.App, r rotation.Rotation) {
	outcome := "delayed"
	switch {
	case r.Receipt != nil:
		outcome = "rotated"
		m.timeToLockout.WithLabelValues(m.apps.label(cmp.Or(app.Name, "unknown")), string(r.Receipt.Reason)).Observe(r.Receipt.TimeToLockout.Seconds())
	case r.Finished != nil:
		outcome = "verified"
	case r.State == rotation.StateBlocked:
		outcome = "blocked"
	}
	m.rotations.WithLabelValues(string(r.Reason), outcome).Inc()
}

// Tried implements rotation.Meter.
func (m *metrics) Tried(connector string, change bool, outcome rotation.Outcome) {
	kind := "verify"
	if change {
		kind = "change"
	}
	m.tried.WithLabelValues(connector, kind, string(outcome)).Inc()
}

// Shut implements rotation.Meter.
func (m *metrics) Shut(connector string, by rotation.Keeper) {
	m.shut.WithLabelValues(connector, string(by)).Inc()
}
