package recipe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postern/core"
	"postern/core/seal"
)

// MaxFile is the largest recording that is read, in bytes.
const MaxFile = 1 << 20

// Given is what was typed while recording, and what the recipe may hold.
type Given struct {
	Username string      // of the account that was recorded with
	Password seal.Secret // it had at the beginning
	New      seal.Secret // it was given; zero if the recording only signs in
	Domains  []string    // the app's; the recipe leads nowhere else
	// Keep are the numbers of steps that type a text which is no secret, such as a company's name.
	Keep []int
	// ChangeFrom is the number of the step the change begins with. 0: it is found.
	ChangeFrom int
}

// recording is a Recorder's file, as far as it is of use.
type recording struct {
	Title      string     `json:"title"`
	Steps      []recorded `json:"steps"`
	ChangeFrom int        `json:"change_from"`
}

type recorded struct {
	Step
	Target     string          `json:"target"`
	Button     string          `json:"button"`
	Operator   string          `json:"operator"`
	Count      *float64        `json:"count"`
	Visible    *bool           `json:"visible"`
	Attributes json.RawMessage `json:"attributes"`
	Properties json.RawMessage `json:"properties"`

	number int // in the file, from 1
}

// Import makes a recipe of a recording. The notes say what was done to it, for whoever imported it: they hold no
// secret. A recording that cannot be kept is Invalid, with the number of the step in the file.
func Import(file []byte, given Given) (*Recipe, []string, error) {
	if len(file) > MaxFile {
		return nil, nil, core.Invalid("recipe", "the recording is larger than %d bytes", MaxFile)
	}
	if given.Password.Reveal() != "" && given.Password.Equal(given.New) {
		return nil, nil, core.Invalid("recipe", "the two passwords that were typed are the same; record a change to another one")
	}
	var read recording
	if err := json.Unmarshal(file, &read); err != nil {
		return nil, nil, core.Invalid("recipe", "this is no recording: export one from Chrome's Recorder as JSON")
	}
	if len(read.Steps) == 0 {
		return nil, nil, core.Invalid("recipe", "the recording has no steps")
	}
	for i := range read.Steps {
		read.Steps[i].number = i + 1
	}
	steps, err := quieten(read.Steps)
	if err != nil {
		return nil, nil, err
	}
	s := scrubber{Given: given, stale: spellings(given)}
	for i := range steps {
		if err := s.step(&steps[i]); err != nil {
			return nil, nil, err
		}
		if err := steps[i].check(steps[i].number, given.Domains); err != nil {
			return nil, nil, err
		}
	}
	if given.ChangeFrom == 0 {
		given.ChangeFrom = read.ChangeFrom
	}
	made, err := divide(steps, given.ChangeFrom, &s)
	if err != nil {
		return nil, nil, err
	}
	made.Title = read.Title
	if s.holds(made.Title) || !writable(made.Title) || given.Username != "" && hasWord(made.Title, given.Username) {
		made.Title = ""
	}
	if err := made.Check(given.Domains); err != nil {
		return nil, nil, err
	}
	// Whatever the rules above let through, the recipe does not hold: this is what stands between a recording and a leak.
	if slices.ContainsFunc(made.texts(), s.holds) {
		return nil, nil, core.Invalid("recipe", "the recording holds a password that could not be taken out; record with a test password that is no word of the page")
	}
	return made, s.notes, nil
}

// noise reports whether a recipe does without a step: it says nothing about the app.
func (r recorded) noise() bool {
	switch r.Type {
	case "setViewport", "scroll", "keyUp", "close", "emulateNetworkConditions":
		return true
	case KeyDown:
		return r.Key != "Enter" && r.Key != "NumpadEnter"
	case Change:
		return r.Value == ""
	}
	return false
}

// quieten leaves out what is no part of the way, and refuses what no recipe does.
func quieten(steps []recorded) ([]recorded, error) {
	steps = slices.DeleteFunc(steps, recorded.noise)
	var kept []recorded
	for i, step := range steps {
		if step.Type == Navigate && len(kept) == 0 && (step.URL == "about:blank" || strings.HasPrefix(step.URL, "chrome:")) {
			continue
		}
		switch {
		case step.Type == "customStep" || step.Type == "waitForExpression":
			return nil, faulty(step.number, "runs a script (%s), which no recipe may; take the step out", step.Type)
		case step.Target != "" && step.Target != "main":
			return nil, faulty(step.number, "is in another window; record the way within one")
		case step.Button != "" && step.Button != "primary":
			return nil, faulty(step.number, "presses a mouse button that is not the first; record it with the first one")
		case step.Type == WaitFor && (step.Operator != "" && step.Operator != ">=" || step.Count != nil && *step.Count != 1 || step.Visible != nil && !*step.Visible || len(step.Attributes)+len(step.Properties) > 0):
			return nil, faulty(step.number, "waits for more than an element to be there; take out its operator, count, attributes and properties")
		}
		if step.Type == "doubleClick" {
			step.Type = Click // nobody needs two to sign in
		}
		step.Key = strings.Replace(step.Key, "NumpadEnter", "Enter", 1)
		// A press into a field before it is typed into, and all but the last of a field's own changes.
		if i+1 < len(steps) && steps[i+1].Type == Change && (step.Type == Click || step.Type == Change) && step.Leads() == "" && step.same(steps[i+1]) {
			continue
		}
		kept = append(kept, step)
	}
	return kept, nil
}

// same reports whether two steps are about one element.
func (r recorded) same(other recorded) bool {
	return len(r.Selectors) > 0 && slices.Equal(r.Frame, other.Frame) &&
		slices.EqualFunc(r.Selectors, other.Selectors, func(a, b Selector) bool { return slices.Equal(a, b) })
}

// divide finds where the sign-in ends and the change begins, and leaves out what follows the change.
func divide(steps []recorded, changeFrom int, s *scrubber) (*Recipe, error) {
	typed := func(from, to int, value string) int {
		at := slices.IndexFunc(steps[from:to], func(step recorded) bool { return step.Value == value })
		if at < 0 {
			return -1
		}
		return from + at
	}
	// sent is the step that sends what was typed: the first that led somewhere, or else the first pressed at all.
	sent := func(from, to int) int {
		at := slices.IndexFunc(steps[from:to], func(step recorded) bool { return step.Presses() && step.Leads() != "" })
		if at < 0 {
			at = slices.IndexFunc(steps[from:to], func(step recorded) bool { return step.Presses() })
		}
		if at < 0 {
			return -1
		}
		return from + at
	}
	made, begin := &Recipe{}, 0
	fresh := typed(0, len(steps), NewPassword)
	until := fresh
	if fresh < 0 {
		until = len(steps)
	}
	if changeFrom > 0 {
		begin = slices.IndexFunc(steps, func(step recorded) bool { return step.number >= changeFrom })
		if begin < 0 {
			return nil, core.Invalid("recipe", "the change cannot begin with step %d: there is none", changeFrom)
		}
	} else if typed(0, until, Username) >= 0 || fresh < 0 {
		password := typed(0, until, CurrentPassword)
		if password < 0 {
			return nil, core.Invalid("recipe", "the recording types no password that could be signed in with; give the password that was typed")
		}
		last := sent(password+1, until)
		if last < 0 {
			return nil, faulty(steps[password].number, "types the password, and nothing is pressed after it")
		}
		if code := typed(last+1, until, Code); code >= 0 {
			if last = sent(code+1, until); last < 0 {
				return nil, faulty(steps[code].number, "types the code, and nothing is pressed after it")
			}
		}
		begin = last + 1
	}
	end := begin
	if fresh >= 0 {
		again := fresh
		for i := fresh; i < len(steps); i++ {
			if steps[i].Value == NewPassword {
				again = i
			}
		}
		last := sent(again+1, len(steps))
		if last < 0 {
			return nil, faulty(steps[again].number, "types the new password, and nothing is pressed after it")
		}
		end = last + 1
		made.ChangeFrom = begin + 1
		s.note("step %d sends the new password", steps[last].number)
		if begin > 0 {
			s.note("step %d sends the sign-in", steps[begin-1].number)
		}
	}
	if end < len(steps) {
		s.note("what comes after step %d is left out", steps[end-1].number)
	}
	for _, step := range steps[:end] {
		made.Steps = append(made.Steps, step.Step)
	}
	return made, nil
}

func (s *scrubber) note(format string, arguments ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, arguments...))
}
