package sink

import (
	"encoding/json"
	"slices"
	"strings"
)

// Abilities are what receivers of a kind do beyond taking events.
type Abilities struct {
	Asked        Ability `json:"asked" doc:"Its receiver can be asked what it holds, so that what is missing is found"` // its Receiver is a Holder
	Acknowledges Ability `json:"acknowledges" doc:"Its receiver keeps what it accepts: its answer is more than a receipt"`
}

// Ability is one thing that receivers of a kind do, or do once they are told what it needs.
type Ability struct {
	Able      bool     `json:"able"`
	Needs     []string `json:"needs,omitempty" doc:"Settings and credentials without which it is not"`
	Otherwise string   `json:"otherwise,omitempty" doc:"What to do instead"`
}

// Of reports whether a receiver with these settings, and credentials of these names, has the ability.
func (a Ability) Of(settings json.RawMessage, credentials []string) bool {
	return a.Able && len(a.lacks(settings, credentials)) == 0
}

// Advice says what makes a receiver able, or what to do instead; "" if it is able, or nothing helps.
func (a Ability) Advice(settings json.RawMessage, credentials []string) string {
	if !a.Able {
		return a.Otherwise
	}
	if lacking := a.lacks(settings, credentials); len(lacking) > 0 {
		return "give it " + strings.Join(lacking, " and ")
	}
	return ""
}

func (a Ability) lacks(settings json.RawMessage, credentials []string) []string {
	var told map[string]any
	_ = json.Unmarshal(settings, &told) // nothing that can be read is nothing that is set
	return slices.DeleteFunc(slices.Clone(a.Needs), func(name string) bool {
		value := told[name]
		return value != nil && value != "" && value != false || slices.Contains(credentials, name)
	})
}
