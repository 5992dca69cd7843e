package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"postern/core"
)

// Report is what a replay came to. Ids in it are the live ones.
type Report struct {
	Workspace  string    `json:"workspace"`
	Connection string    `json:"connection"`
	From       time.Time `json:"from,omitzero"`
	To         time.Time `json:"to"`

	Played           int            `json:"played"`            // requests of the stretch
	Statuses         map[string]int `json:"statuses"`          // of the answers to them
	Baseline         int            `json:"baseline"`          // earlier requests, played to get there
	BaselineDiffers  int            `json:"baseline_differs"`  // of those, answered otherwise than then
	ChangedAfterward int            `json:"changed_afterward"` // users and groups that are not compared, since later requests changed them

	Skipped     []Skipped    `json:"skipped"`
	Seeded      []Seeded     `json:"seeded"`
	Answers     []Answer     `json:"answers"`
	Differences []Difference `json:"differences"`
}

// Skipped is a request that could not be played.
type Skipped struct {
	Entry   core.ID `json:"entry"`
	Method  string  `json:"method"`
	Address string  `json:"address"`
	Status  int     `json:"status"`
	Reason  string  `json:"reason"`
}

// Seeded is what no request made: a user or group that was there before the journal, an account or a
// grant somebody else gave. Reason says why it could not be taken from the live state.
type Seeded struct {
	Kind   string  `json:"kind"` // user, group, account, grant
	ID     core.ID `json:"id"`
	Name   string  `json:"name"`
	Reason string  `json:"reason,omitempty"`
}

// Answer is a request that was answered otherwise than it was then.
type Answer struct {
	Entry    core.ID   `json:"entry"`
	Received time.Time `json:"received"`
	Method   string    `json:"method"`
	Address  string    `json:"address"`
	Then     int       `json:"then"`
	Now      int       `json:"now"`
	Detail   string    `json:"detail,omitempty"` // what the refusal says now
}

// Difference is one thing in which the live state and the replayed one are apart.
type Difference struct {
	Kind     string  `json:"kind"` // user, group, member, entitlement
	ID       core.ID `json:"id"`   // of the user or group; for a member, the group's
	Name     string  `json:"name"`
	Field    string  `json:"field,omitempty"` // the attribute; for a member, the user's id; for an entitlement, its id; empty: the whole
	Live     string  `json:"live"`
	Replayed string  `json:"replayed"`
}

// Same reports whether everything that was compared came out as it is.
func (r Report) Same() bool { return len(r.Answers) == 0 && len(r.Differences) == 0 }

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes the report for a person to read.
func (r Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	stretch := "up to " + stamp(r.To)
	if !r.From.IsZero() {
		stretch = stamp(r.From) + " to " + stamp(r.To)
	}
	fmt.Fprintf(t, "workspace\t%s\nconnection\t%s\nstretch\t%s\n", r.Workspace, r.Connection, stretch)
	fmt.Fprintf(t, "played\t%d requests: %s\n", r.Played, statuses(r.Statuses))
	fmt.Fprintf(t, "before it\t%d requests, %d answered otherwise than then\n", r.Baseline, r.BaselineDiffers)
	if r.ChangedAfterward > 0 {
		fmt.Fprintf(t, "not compared\t%d users and groups that later requests changed\n", r.ChangedAfterward)
	}
	section(t, "could not be played", r.Skipped, func(s Skipped) []string {
		return []string{s.Method, s.Address, strconv.Itoa(s.Status), s.Reason}
	})
	section(t, "not made by these requests, taken from the live state", r.Seeded, func(s Seeded) []string {
		return []string{s.Kind, s.ID.String(), s.Name, s.Reason}
	})
	section(t, "answered otherwise", r.Answers, func(a Answer) []string {
		return []string{stamp(a.Received), a.Method, a.Address, fmt.Sprintf("%d then, %d now", a.Then, a.Now), a.Detail}
	})
	section(t, "different state", r.Differences, func(d Difference) []string {
		return []string{d.Kind, d.ID.String(), d.Name, d.Field, "live: " + d.Live, "replayed: " + d.Replayed}
	})
	if r.Same() {
		fmt.Fprint(t, "\nno difference\n")
	}
	return t.Flush()
}

// section writes rows under a heading; none are no section.
func section[Row any](w io.Writer, heading string, rows []Row, cells func(Row) []string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s: %d\n", heading, len(rows))
	for _, row := range rows {
		fmt.Fprintf(w, "  %s\n", strings.TrimRight(strings.Join(cells(row), "\t"), "\t"))
	}
}

func statuses(counts map[string]int) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s × %d", status, counts[status]))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
