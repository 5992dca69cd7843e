package recipe

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// The variables, each the whole value of a step that types.
const (
	Username        = "{{username}}"
	CurrentPassword = "{{current_password}}"
	NewPassword     = "{{new_password}}"
	Code            = "{{code}}"
)

var variables = []string{Username, CurrentPassword, NewPassword, Code}

// The types of steps, in the Recorder's words.
const (
	Navigate = "navigate"
	Click    = "click"
	Hover    = "hover"
	Change   = "change"  // types Value
	KeyDown  = "keyDown" // Enter, which sends a form
	WaitFor  = "waitForElement"
)

// Recipe is how an app is signed in to, and how the password is changed there. Either part may be empty; the browser
// then finds the way by itself.
type Recipe struct {
	Title string `json:"title,omitempty"`
	Steps []Step `json:"steps"`
	// ChangeFrom is the number of the first step of the change, counted from 1. Those before it sign in. 0: all do.
	ChangeFrom int `json:"change_from,omitempty"`
}

// Step is one step.
type Step struct {
	Type      string     `json:"type"`
	URL       string     `json:"url,omitempty"`       // of Navigate; {{username}} may stand in it
	Value     string     `json:"value,omitempty"`     // of Change: a variable, or a text if Literal
	Literal   bool       `json:"literal,omitempty"`   // whoever imported it said that the text is no secret
	Key       string     `json:"key,omitempty"`       // of KeyDown
	Selectors []Selector `json:"selectors,omitempty"` // alternatives, tried in order
	Frame     []int      `json:"frame,omitempty"`     // the way from the page to a frame: the number of a frame in each
	Events    []Event    `json:"assertedEvents,omitempty"`
}

// Selector finds an element. More than one text steps into shadow roots. A text begins with aria/, text/, xpath/ or
// pierce/, or is CSS.
type Selector []string

// UnmarshalJSON takes one text as well, as old recordings have it.
func (s *Selector) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte{'"'}) {
		*s = Selector{""}
		return json.Unmarshal(text, &(*s)[0])
	}
	return json.Unmarshal(text, (*[]string)(s))
}

// Event is what a step led to when it was recorded.
type Event struct {
	Type string `json:"type"` // navigation
	URL  string `json:"url,omitempty"`
}

// SignIn are the steps that sign in.
func (r *Recipe) SignIn() []Step {
	if r == nil || r.ChangeFrom == 0 {
		return r.all()
	}
	return r.Steps[:r.ChangeFrom-1]
}

// Change are the steps that change the password, of one who is signed in.
func (r *Recipe) Change() []Step {
	if r == nil || r.ChangeFrom == 0 {
		return nil
	}
	return r.Steps[r.ChangeFrom-1:]
}

func (r *Recipe) all() []Step {
	if r == nil {
		return nil
	}
	return r.Steps
}

// Leads is the address a step led to when it was recorded; empty if it led nowhere.
func (s Step) Leads() string {
	for _, event := range slices.Backward(s.Events) {
		if event.Type == "navigation" && event.URL != "" {
			return event.URL
		}
	}
	return ""
}

// Presses reports whether a step may send a form.
func (s Step) Presses() bool { return s.Type == Click || s.Type == KeyDown }

// String says in a few words what a step does, such as `types {{username}} into #user`.
func (s Step) String() string {
	at := ""
	if len(s.Selectors) > 0 {
		at = strings.Join(s.Selectors[0], " >>> ")
	}
	switch s.Type {
	case Navigate:
		return "goes to " + s.URL
	case Change:
		return "types " + s.Value + " into " + at
	case KeyDown:
		return "presses " + s.Key
	case WaitFor:
		return "waits for " + at
	case Hover:
		return "points at " + at
	}
	return "presses " + at
}

// Words says what steps do, one line each.
func Words(steps []Step) []string {
	lines := make([]string, len(steps))
	for i, step := range steps {
		lines[i] = step.String()
	}
	return lines
}

// texts is everything a recipe holds that came out of a recording.
func (r *Recipe) texts() []string {
	all := []string{r.Title}
	for _, step := range r.Steps {
		all = append(all, step.URL, step.Value)
		for _, selector := range step.Selectors {
			all = append(all, selector...)
		}
		for _, event := range step.Events {
			all = append(all, event.URL)
		}
	}
	return all
}

// Encode writes the recipe as a file that Chrome's Recorder opens and Import takes again.
func (r *Recipe) Encode() ([]byte, error) {
	type step struct {
		Step
		Target  string `json:"target,omitempty"`
		OffsetX *int   `json:"offsetX,omitempty"`
		OffsetY *int   `json:"offsetY,omitempty"`
	}
	file := struct {
		Title      string `json:"title"`
		Steps      []step `json:"steps"`
		ChangeFrom int    `json:"change_from,omitempty"`
	}{r.Title, make([]step, len(r.Steps)), r.ChangeFrom}
	for i, one := range r.Steps {
		file.Steps[i] = step{Step: one, Target: "main"}
		if one.Type == Click {
			file.Steps[i].OffsetX, file.Steps[i].OffsetY = new(1), new(1)
		}
	}
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(file)
	return written.Bytes(), err
}
