package recipe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Difference is what became of a page since it was last as it should be: names, kinds and words of its fields, never
// what is in them.
type Difference struct {
	Gone []string `json:"gone,omitempty"`
	New  []string `json:"new,omitempty"`
}

// model is the picture of a page, as the browser's reports keep it.
type model struct {
	Address string  `json:"address"`
	Before  []model `json:"before"`
	Forms   []struct {
		Kind   string `json:"kind"`
		Submit string `json:"submit"`
		Fields []struct {
			Kind string `json:"kind"`
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"fields"`
	} `json:"forms"`
}

// lines are the page in a form that can be compared line by line.
func (m model) lines() []string {
	var all []string
	if m.Address != "" {
		all = append(all, "the page "+m.Address)
	}
	for _, form := range m.Forms {
		for _, field := range form.Fields {
			all = append(all, fmt.Sprintf("the field %q (%s) of the %s form", field.Name, field.Type, form.Kind))
		}
		if form.Submit != "" {
			all = append(all, fmt.Sprintf("the button %q of the %s form", form.Submit, form.Kind))
		}
		if len(form.Fields) == 0 {
			all = append(all, "the "+form.Kind+" form")
		}
	}
	return all
}

// Compare says what has gone from the pages of a way and what is new on them, by two page models of the browser's reports:
// the page each shows, and those before it. A page is compared with the one that was at the same address, and the last one
// otherwise with that at the same place of the way. What cannot be read is an empty page.
func Compare(before, after json.RawMessage) Difference {
	var was, is model
	_ = json.Unmarshal(before, &was)
	_ = json.Unmarshal(after, &is)
	known := append(was.Before, was)
	var all Difference
	for _, page := range append(is.Before, is) {
		at := slices.IndexFunc(known, func(one model) bool { return one.Address == page.Address && len(one.Forms) > 0 })
		if at < 0 && page.Address != is.Address {
			continue // another account's, or another way
		}
		if at < 0 {
			at = min(len(is.Before), len(known)-1)
		}
		gone, fresh := without(known[at].lines(), page.lines()), without(page.lines(), known[at].lines())
		all.Gone, all.New = append(all.Gone, without(gone, all.Gone)...), append(all.New, without(fresh, all.New)...)
	}
	return all
}

// Told is the difference that a page model of the browser's reports tells of; none if it cannot be read.
func Told(page json.RawMessage) Difference {
	var told struct {
		Difference Difference `json:"difference"`
	}
	if json.Unmarshal(page, &told) != nil {
		return Difference{}
	}
	return told.Difference
}

// String is the difference as the end of a report's sentence; empty if there is none.
func (d Difference) String() string {
	text := ""
	for _, part := range []struct {
		title string
		lines []string
	}{{"Gone", d.Gone}, {"New", d.New}} {
		if len(part.lines) == 0 {
			continue
		}
		shown := part.lines[:min(len(part.lines), 3)]
		text += " " + part.title + ": " + strings.Join(shown, ", ")
		if more := len(part.lines) - len(shown); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		text += "."
	}
	return text
}

// without are the lines of one list that the other lacks, each as often as it lacks it.
func without(list, other []string) []string {
	other = slices.Clone(other)
	var left []string
	for _, line := range list {
		if at := slices.Index(other, line); at >= 0 {
			other = slices.Delete(other, at, at+1)
			continue
		}
		left = append(left, line)
	}
	return left
}
