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

// noted is a step and the element it is about.
type noted struct {
	ref  int
	step recipe.Step
}

// note keeps a step that is about an element.
func (j *job) note(ctx context.Context, ref int, step recipe.Step) { j.notes(ctx, noted{ref, step}) }

// notes keeps steps that are about elements of one page, asking it once. What cannot be found again is left out, and the record
// with it.
func (j *job) notes(ctx context.Context, steps ...noted) {
	if j.gate == nil || len(steps) == 0 {
		return
	}
	refs := make([]any, len(steps))
	for i, one := range steps {
		refs[i] = one.ref
	}
	if slices.ContainsFunc(steps, func(one noted) bool { return one.ref >= 1<<frameShift }) {
		j.record.steps = append(j.record.steps, recipe.Step{}) // no recipe: it finds its way through the page alone
		return
	}
	found, err := ask[[]struct {
		Frame     []int             `json:"frame"`
		Selectors []recipe.Selector `json:"selectors"`
	}](ctx, j.tab, "selectors", refs...)
	if err != nil || len(found) != len(steps) {
		j.record.steps = append(j.record.steps, recipe.Step{}) // no recipe
		return
	}
	for i, one := range steps {
		step := one.step
		step.Frame, step.Selectors = found[i].Frame, found[i].Selectors
		// A field that is filled in again is the same step.
		same := func(other recipe.Step) bool {
			return other.Type == step.Type && other.Value == step.Value && slices.Equal(other.Frame, step.Frame) &&
				slices.EqualFunc(other.Selectors, step.Selectors, func(a, b recipe.Selector) bool { return slices.Equal(a, b) })
		}
		if !slices.ContainsFunc(j.record.steps[j.record.begin():], same) {
			j.record.steps = append(j.record.steps, step)
		}
	}
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
	var steps []noted
	for _, entry := range fields {
		for _, one := range f.Fields {
			if one.Ref == entry[0] {
				value := map[string]string{"username": recipe.Username, "current": recipe.CurrentPassword, "new": recipe.NewPassword, "confirm": recipe.NewPassword, "code": recipe.Code}[one.Kind]
				steps = append(steps, noted{one.Ref, recipe.Step{Type: recipe.Change, Value: value}})
			}
		}
	}
	if f.Submit != nil {
		steps = append(steps, noted{f.Submit.Ref, recipe.Step{Type: recipe.Click}})
	}
	j.notes(ctx, steps...)
	if f.Submit == nil && j.gate != nil {
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
