package sinks

import (
	"encoding/json"
	"slices"
	"strings"

	"postern/core"
	"postern/siem/stream"
)

// Filter says which events are for a sink. The zero Filter is every event; conditions that are set must all hold.
type Filter struct {
	Types    []string       `json:"types,omitempty" maxItems:"200" doc:"Such as user.deprovisioned, or user.* for all that begin so; none: every event"`
	Outcomes []core.Outcome `json:"outcomes,omitempty" maxItems:"2" enum:"success,failure"`
	Severity string         `json:"severity,omitempty" enum:"informational,low,medium,high,critical" doc:"And above"`
}

// severities are OCSF's (severity_id).
var severities = []string{"", "informational", "low", "medium", "high", "critical"}

// Severities lists what a filter can begin with, the least severe first.
func Severities() []string { return slices.Clone(severities[1:]) }

func (f Filter) everything() bool {
	return len(f.Types) == 0 && len(f.Outcomes) == 0 && f.Severity == ""
}

func (f Filter) check() error {
	if len(f.Types) > 200 {
		return core.Invalid("filter.types", "at most 200 types; none is every event")
	}
	for _, one := range f.Types {
		if !known(one) {
			return core.Invalid("filter.types", "there is no event %q; name one such as user.deprovisioned, or user.* for all that begin so", one)
		}
	}
	for _, one := range f.Outcomes {
		if one != core.Success && one != core.Failure {
			return core.Invalid("filter.outcomes", "outcomes are success and failure")
		}
	}
	if !slices.Contains(severities, f.Severity) {
		return core.Invalid("filter.severity", "severities are %s", strings.Join(severities[1:], ", "))
	}
	return nil
}

func known(name string) bool {
	noun, all := strings.CutSuffix(name, ".*")
	return slices.ContainsFunc(core.EventTypes(), func(kind core.EventType) bool {
		return string(kind) == name || all && strings.HasPrefix(string(kind), noun+".")
	})
}

// wants reports whether an event is for the sink.
func (f Filter) wants(event stream.Event) bool {
	if len(f.Types) > 0 {
		noun, _, _ := strings.Cut(string(event.Type), ".")
		if !slices.Contains(f.Types, string(event.Type)) && !slices.Contains(f.Types, noun+".*") {
			return false
		}
	}
	if len(f.Outcomes) == 0 && f.Severity == "" {
		return true
	}
	var told struct {
		Severity int `json:"severity_id"`
		Status   int `json:"status_id"`
	}
	if json.Unmarshal(event.Value, &told) != nil {
		return true // what cannot be read is better delivered than lost
	}
	outcome := core.Success
	if told.Status == 2 {
		outcome = core.Failure
	}
	return (len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, outcome)) && told.Severity >= slices.Index(severities, f.Severity)
}

// wanted are those of the events that are for the sink.
func (f Filter) wanted(events []stream.Event) []stream.Event {
	if f.everything() {
		return events
	}
	var wanted []stream.Event
	for _, event := range events {
		if f.wants(event) {
			wanted = append(wanted, event)
		}
	}
	return wanted
}
