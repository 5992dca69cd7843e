package scim

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome is how a check ended.
type Outcome string

// Warned is a failed SHOULD.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Warned  Outcome = "warned"
	Skipped Outcome = "skipped"
)

// Report is what a run found.
type Report struct {
	URL         string    `json:"url"`
	Profile     Profile   `json:"profile"`
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"`
	Requests    int       `json:"requests"`
	Planned     int       `json:"planned"`     // checks chosen
	Interrupted bool      `json:"interrupted"` // not all of them were run
	Results     []Result  `json:"results"`
}

// Result is how one check ended.
type Result struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Section string   `json:"section"`
	Source  string   `json:"source"`
	Level   Level    `json:"level"`
	Outcome Outcome  `json:"outcome"`
	Reason  string   `json:"reason,omitempty"` // why it was skipped
	Failure *Failure `json:"failure,omitempty"`
	Seconds float64  `json:"seconds"`
}

// Failure says what was expected, what came, what to do, and how the conversation ended.
type Failure struct {
	Expected  string      `json:"expected"`
	Got       string      `json:"got"`
	Advice    string      `json:"advice"`
	Exchanges []*Exchange `json:"exchanges"`
}

// Section is the results that stand under one heading.
type Section struct {
	Title   string
	Results []Result
}

// Passed reports whether everything required was asked and passed.
func (r Report) Passed() bool { return !r.Interrupted && r.Count(Failed) == 0 }

// Count counts the checks that ended so.
func (r Report) Count(outcome Outcome) int {
	count := 0
	for _, result := range r.Results {
		if result.Outcome == outcome {
			count++
		}
	}
	return count
}

// Count counts the checks of the section that ended so.
func (s Section) Count(outcome Outcome) int { return Report{Results: s.Results}.Count(outcome) }

// Sections are the results by heading, in order.
func (r Report) Sections() []Section {
	var sections []Section
	for _, result := range r.Results {
		if last := len(sections) - 1; last >= 0 && sections[last].Title == result.Section {
			sections[last].Results = append(sections[last].Results, result)
			continue
		}
		sections = append(sections, Section{result.Section, []Result{result}})
	}
	return sections
}

// Verdict is the whole in one sentence.
func (r Report) Verdict() string {
	switch {
	case r.Interrupted:
		return fmt.Sprintf("Stopped after %d of %d checks: %s.", len(r.Results), r.Planned, r.counts())
	case r.Passed():
		return "Everything required passed: " + r.counts() + "."
	}
	return "Not conforming: " + r.counts() + "."
}

func (r Report) counts() string {
	return fmt.Sprintf("%d passed, %d failed, %d warnings, %d skipped", r.Count(Passed), r.Count(Failed), r.Count(Warned), r.Count(Skipped))
}

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Report
		Passed bool            `json:"passed"`
		Counts map[Outcome]int `json:"counts"`
	}{r, r.Passed(), map[Outcome]int{Passed: r.Count(Passed), Failed: r.Count(Failed), Warned: r.Count(Warned), Skipped: r.Count(Skipped)}})
}

// WriteText writes the report for a terminal or a log: the sections in a line each, and everything about
// what did not pass.
func (r Report) WriteText(w io.Writer) error {
	out := &texts{w: w}
	out.say("SCIM conformance of %s, profile %s\n", r.URL, r.Profile)
	for _, section := range r.Sections() {
		out.say("  %-44s %3d passed  %2d failed  %2d warnings  %2d skipped", section.Title, section.Count(Passed), section.Count(Failed), section.Count(Warned), section.Count(Skipped))
	}
	for _, result := range r.Results {
		if result.Failure == nil {
			continue
		}
		out.say("\n%s %s (%s, %s)", map[Outcome]string{Failed: "FAILED ", Warned: "WARNING"}[result.Outcome], result.Name, result.Level, result.Source)
		out.say("  %s", result.Title)
		out.say("  expected  %s\n  came      %s\n  to do     %s", result.Failure.Expected, result.Failure.Got, result.Failure.Advice)
		for _, exchange := range result.Failure.Exchanges {
			out.say("    %s", exchange.line())
		}
	}
	reasons := map[string][]string{}
	var order []string
	for _, result := range r.Results {
		if result.Outcome == Skipped {
			if reasons[result.Reason] == nil {
				order = append(order, result.Reason)
			}
			reasons[result.Reason] = append(reasons[result.Reason], result.Name)
		}
	}
	if len(order) > 0 {
		out.say("\nSkipped:")
	}
	for _, reason := range order {
		out.say("  %s\n    %s", reason, strings.Join(reasons[reason], ", "))
	}
	out.say("\n%s\n%d requests in %.1f s.", r.Verdict(), r.Requests, r.Seconds)
	return out.err
}

// line is an exchange in one line.
func (e *Exchange) line() string {
	status := fmt.Sprint(e.Status)
	if e.Status == 0 {
		status = e.Error
	}
	text := fmt.Sprintf("%s %s", e.Method, e.URL)
	if e.RequestBody != "" {
		text += " " + short(e.RequestBody)
	}
	text += " → " + status
	if e.ResponseBody != "" {
		text += " " + short(e.ResponseBody)
	}
	return text
}

func short(body string) string {
	body = strings.Join(strings.Fields(body), " ")
	if len(body) > 240 {
		body = strings.ToValidUTF8(body[:240], "") + "…"
	}
	return body
}

// texts writes lines until one fails.
type texts struct {
	w   io.Writer
	err error
}

func (t *texts) say(format string, arguments ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", arguments...)
	}
}

// JUnit's elements, as build servers read them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as build servers read it. A warning is a passed test with output.
func (r Report) WriteJUnit(w io.Writer) error {
	suites := junitSuites{Name: "SCIM conformance, profile " + string(r.Profile), Tests: len(r.Results), Failures: r.Count(Failed), Skipped: r.Count(Skipped), Time: fmt.Sprintf("%.3f", r.Seconds)}
	for _, section := range r.Sections() {
		suite := junitSuite{Name: section.Title, Tests: len(section.Results), Failures: section.Count(Failed), Skipped: section.Count(Skipped), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05")}
		for _, result := range section.Results {
			one := junitCase{Name: result.Name, Class: "scim." + string(Check{Name: result.Name}.Profile()), Time: fmt.Sprintf("%.3f", result.Seconds)}
			if result.Outcome == Skipped {
				one.Skipped = &junitMessage{Message: result.Reason}
			}
			if result.Failure != nil {
				var text strings.Builder
				fmt.Fprintf(&text, "%s (%s)\nexpected: %s\ncame: %s\nto do: %s\n", result.Title, result.Source, result.Failure.Expected, result.Failure.Got, result.Failure.Advice)
				for _, exchange := range result.Failure.Exchanges {
					fmt.Fprintln(&text, exchange.line())
				}
				if result.Outcome == Failed {
					one.Failure = &junitMessage{Message: result.Failure.Expected + "; came " + result.Failure.Got, Text: text.String()}
				} else {
					one.Output = "warning: " + text.String()
				}
			}
			suite.Cases = append(suite.Cases, one)
		}
		suites.Suites = append(suites.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
