package signals

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// Outcome is how a vector ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is how one vector ended.
type Result struct {
	Name    string  `json:"name"`
	Door    string  `json:"door"`
	Title   string  `json:"title,omitempty"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // why it failed or was skipped
	Seconds float64 `json:"seconds"`
}

// Report is what a run found.
type Report struct {
	URL         string    `json:"url"`
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"`
	Requests    int       `json:"requests"`
	Planned     int       `json:"planned"`
	Interrupted bool      `json:"interrupted"`
	Results     []Result  `json:"results"`
	Left        []string  `json:"left,omitempty"` // what could not be taken away again
	Kept        []string  `json:"kept"`           // ids of the connections that were made: they believe nobody any more, and have no way in
}

// History says what stays of a run, though all that was made is taken away.
func (r Report) History() string {
	if len(r.Kept) == 0 {
		return "Nothing was made."
	}
	return fmt.Sprintf("On record stay the receipts and requests of this run, the people it deleted, and %d of its connections, which believe nobody and let nobody in.", len(r.Kept))
}

// Count counts the vectors that ended so.
func (r Report) Count(outcome Outcome) int {
	count := 0
	for _, one := range r.Results {
		if one.Outcome == outcome {
			count++
		}
	}
	return count
}

// Passed reports whether every vector was asked and none failed.
func (r Report) Passed() bool { return !r.Interrupted && r.Count(Failed) == 0 }

// Verdict is the whole in one sentence.
func (r Report) Verdict() string {
	counts := fmt.Sprintf("%d passed, %d failed, %d skipped", r.Count(Passed), r.Count(Failed), r.Count(Skipped))
	switch {
	case r.Interrupted:
		return fmt.Sprintf("Stopped after %d of %d vectors: %s.", len(r.Results), r.Planned, counts)
	case r.Passed():
		return "Every vector passed: " + counts + "."
	}
	return "Not conforming: " + counts + "."
}

// Doors are the doors asked, in order.
func (r Report) Doors() []string {
	var doors []string
	for _, one := range r.Results {
		if len(doors) == 0 || doors[len(doors)-1] != one.Door {
			doors = append(doors, one.Door)
		}
	}
	return doors
}

// WriteText writes the report for a terminal or a log.
func (r Report) WriteText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "Signals conformance of %s\n\n", r.URL)
	for _, door := range r.Doors() {
		var of Report
		for _, one := range r.Results {
			if one.Door == door {
				of.Results = append(of.Results, one)
			}
		}
		fmt.Fprintf(&out, "  %-24s %3d passed  %2d failed  %2d skipped\n", strings.ReplaceAll(door, "_", " "), of.Count(Passed), of.Count(Failed), of.Count(Skipped))
	}
	for _, one := range r.Results {
		if one.Outcome == Passed {
			continue
		}
		fmt.Fprintf(&out, "\n%s %s\n", strings.ToUpper(string(one.Outcome)), one.Name)
		if one.Title != "" {
			fmt.Fprintf(&out, "  %s\n", one.Title)
		}
		fmt.Fprintf(&out, "  %s\n", one.Reason)
	}
	for _, one := range r.Left {
		fmt.Fprintf(&out, "\nLEFT BEHIND %s\n", one)
	}
	fmt.Fprintf(&out, "\n%s\n%s\n%d requests in %.1f s.\n", r.Verdict(), r.History(), r.Requests, r.Seconds)
	_, err := io.WriteString(w, out.String())
	return err
}

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Report
		Passed bool `json:"passed"`
	}{r, r.Passed()})
}

//go:embed report.html
var page string

// WriteHTML writes the report as one page that needs nothing else.
func (r Report) WriteHTML(w io.Writer) error {
	parsed, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	return parsed.Execute(w, r)
}
