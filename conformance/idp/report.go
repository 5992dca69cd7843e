package idp

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is how a run went.
type Report struct {
	Shape    Shape         `json:"shape"`
	Seed     uint64        `json:"seed"`
	Users    int           `json:"users"`  // at the end, with those who joined
	Groups   int           `json:"groups"` // at the end
	Cycles   int           `json:"cycles"` // with the initial one
	Requests int64         `json:"requests"`
	Traffic  time.Duration `json:"traffic"` // until all was sent
	Took     time.Duration `json:"took"`    // until all was compared
	Rate     float64       `json:"rate"`    // requests a second while there was traffic
	Burst    int           `json:"burst"`   // most requests in one second
	AtOnce   int64         `json:"at_once"` // most requests on their way at one time

	Lost      int64 `json:"lost"`       // requests and answers the network lost
	Twice     int64 `json:"twice"`      // requests delivered twice
	Overtaken int64 `json:"overtaken"`  // copies that came behind a newer change of the same object
	OnTheWay  int64 `json:"on_the_way"` // answered 503 before they reached the server
	Broken    int64 `json:"broken"`     // connections the server broke
	Throttled int   `json:"throttled"`  // 429

	Statuses  map[int]int `json:"statuses"`
	Latencies []Latency   `json:"latencies"`
	Effects   *Effects    `json:"effects,omitempty"` // nil: nobody looked
	Faults    []string    `json:"faults"`
	More      int         `json:"more"` // faults beyond those kept
}

// Failed reports whether the end is another than intended, or something on the way was.
func (r *Report) Failed() bool { return len(r.Faults) > 0 }

func (s *simulation) report(traffic time.Duration, effects *Effects) *Report {
	last := s.plan.States[len(s.plan.States)-1]
	m := &s.client.meter
	statuses, burst, atOnce := m.answered()
	r := &Report{
		Shape: s.Options.Shape, Seed: s.Seed, Users: len(last.People), Groups: len(last.Groups), Cycles: len(s.plan.States),
		Requests: m.total.Load(), Traffic: traffic, Took: time.Since(s.began), Burst: burst, AtOnce: atOnce,
		Lost: m.lost.Load(), Twice: m.twice.Load(), Overtaken: m.overtaken.Load(), OnTheWay: m.refusedOnTheWay.Load(), Broken: m.broken.Load(), Throttled: statuses[429],
		Statuses: statuses, Latencies: m.latencies(), Effects: effects, Faults: slices.Clone(s.faults.texts), More: s.faults.more,
	}
	r.Rate = float64(s.sent) / traffic.Seconds()
	return r
}

// WriteText writes the report for a person.
func (r *Report) WriteText(out io.Writer) {
	fmt.Fprintf(out, "%s, seed %d: %d users, %d groups, %d cycles\n", r.Shape, r.Seed, r.Users, r.Groups, r.Cycles)
	fmt.Fprintf(out, "%d requests, %.0f a second while there was traffic (%s), at most %d in one second and %d at once\n",
		r.Requests, r.Rate, r.Traffic.Round(time.Millisecond), r.Burst, r.AtOnce)
	fmt.Fprintf(out, "lost on the way %d, delivered twice %d, behind a newer change %d, 503 on the way %d, broken by the server %d, throttled (429) %d\n",
		r.Lost, r.Twice, r.Overtaken, r.OnTheWay, r.Broken, r.Throttled)
	var statuses []string
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		statuses = append(statuses, fmt.Sprintf("%d: %d", status, r.Statuses[status]))
	}
	fmt.Fprintf(out, "answers  %s\n\n", strings.Join(statuses, "  "))
	fmt.Fprintf(out, "%-24s %9s %9s %9s %9s %9s\n", "", "requests", "p50", "p95", "p99", "most")
	for _, l := range r.Latencies {
		fmt.Fprintf(out, "%-24s %9d %9s %9s %9s %9s\n", l.Kind, l.Requests, short(l.P50), short(l.P95), short(l.P99), short(l.Most))
	}
	if e := r.Effects; e != nil {
		fmt.Fprintf(out, "\n%d departures: %d told, %d grants revoked and %d rotations planned with them; %d people provisioned, %d returned\n",
			e.Departures, e.Told, e.Revoked, e.Planned, e.Provisioned, e.Returned)
	}
	fmt.Fprintln(out)
	if !r.Failed() {
		fmt.Fprintln(out, "The end is exactly what was intended.")
		return
	}
	fmt.Fprintf(out, "%d faults:\n", len(r.Faults)+r.More)
	for _, fault := range r.Faults {
		fmt.Fprintln(out, " ", fault)
	}
	if r.More > 0 {
		fmt.Fprintf(out, "  … and %d more\n", r.More)
	}
}

func short(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
