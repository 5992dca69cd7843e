package browser

import (
	"context"
	"slices"

	"postern/connectors/recipe"
	"postern/core/rotation"
)

// record keeps the way the detection takes through a change, as a recipe that can be edited and followed.
type record struct {
	steps      []recipe.Step
	changeFrom int
}

// note keeps a step that is about an element. What cannot be found again is left out, and the record with it.
func (j *job) note(ctx context.Context, ref int, step recipe.Step) {
	if j.gate == nil {
		return
	}
	found, err := ask[struct {
		Frame     []int             `json:"frame"`
		Selectors []recipe.Selector `json:"selectors"`
	}](ctx, j.tab, "selectors", ref)
	if err != nil {
		j.record.steps = append(j.record.steps, recipe.Step{}) // no recipe
		return
	}
	step.Frame, step.Selectors = found.Frame, found.Selectors
	// A field that is filled in again is the same step.
	same := func(other recipe.Step) bool {
		return other.Type == step.Type && other.Value == step.Value && slices.Equal(other.Frame, step.Frame) &&
			slices.EqualFunc(other.Selectors, step.Selectors, func(a, b recipe.Selector) bool { return slices.Equal(a, b) })
	}
	if at := slices.IndexFunc(j.record.steps[j.record.begin():], same); at >= 0 {
		return
	}
	j.record.steps = append(j.record.steps, step)
}

// begin is where the part under way begins.
func (r *record) begin() int { return max(r.changeFrom-1, 0) }

// noteAddress keeps that an address was opened.
func (j *job) noteAddress(address string) {
	if j.gate != nil {
		j.record.steps = append(j.record.steps, recipe.Step{Type: recipe.Navigate, URL: address})
	}
}

// noteForm keeps what is typed into a form and how it is sent.
func (j *job) noteForm(ctx context.Context, f *form, fields entries) {
	for _, entry := range fields {
		for _, one := range f.Fields {
			if one.Ref == entry[0] {
				value := map[string]string{"username": recipe.Username, "current": recipe.CurrentPassword, "new": recipe.NewPassword, "confirm": recipe.NewPassword, "code": recipe.Code}[one.Kind]
				j.note(ctx, one.Ref, recipe.Step{Type: recipe.Change, Value: value})
			}
		}
	}
	if f.Submit != nil {
		j.note(ctx, f.Submit.Ref, recipe.Step{Type: recipe.Click})
	} else if j.gate != nil {
		j.record.steps = append(j.record.steps, recipe.Step{Type: recipe.KeyDown, Key: "Enter"})
	}
}

// recorded is the way that led to the gate; nil unless it could be followed again.
func (j *job) recorded() *recipe.Recipe {
	if j.gate == nil || j.outcome != rotation.NotSent || j.settings.Recipe != nil || j.record.changeFrom == 0 {
		return nil
	}
	made := &recipe.Recipe{Title: "as Postern found it", Steps: j.record.steps, ChangeFrom: j.record.changeFrom}
	text, err := made.Encode()
	if err != nil || made.Check(j.domains()) != nil || j.hide.replacer.Replace(string(text)) != string(text) {
		return nil
	}
	return made
}
