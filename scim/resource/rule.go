package resource

import "slices"

// Rule names one way in which a request departed from the RFCs and was understood all the same.
type Rule string

// Rules are those that fired while one request was read. The zero value is ready; a nil *Rules takes
// and keeps none.
type Rules struct{ fired []Rule }

// Fire notes that a rule was needed.
func (r *Rules) Fire(rule Rule) {
	if r != nil && !slices.Contains(r.fired, rule) {
		r.fired = append(r.fired, rule)
	}
}

// List is the rules that fired, each once, in the order in which they first did.
func (r *Rules) List() []Rule {
	if r == nil {
		return nil
	}
	return slices.Clone(r.fired)
}
