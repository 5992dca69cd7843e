package browser

import (
	"strings"

	"postern/core/passwordrules"
)

// rules is what a change form says of the password it takes. A person's word goes before its passwordrules, which is
// only advice; what its fields cannot hold they cannot hold. What nobody can read, or contradicts the rest, says nothing.
func (f *form) rules(told bool) passwordrules.Rules {
	var all passwordrules.Rules
	add := func(said passwordrules.Rules) {
		both := all.And(said)
		if both.MaxLength == 0 || both.MinLength <= both.MaxLength {
			all = both
		}
	}
	for _, field := range f.Fields {
		if field.Kind != "new" && field.Kind != "confirm" {
			continue
		}
		add(passwordrules.Rules{MaxLength: field.Limit})
		add(passwordrules.Rules{MinLength: field.Least})
		if said, ok := passwordrules.Pattern(field.Pattern); ok {
			add(said)
		}
		if said, err := passwordrules.Parse(field.Rules); err == nil && !told {
			add(said)
		}
	}
	return all
}

// say puts rules into the report, beside those already there.
func (j *job) say(rules passwordrules.Rules) {
	said, _ := passwordrules.Parse(j.report.Rules)
	j.report.Rules = said.And(rules).String()
}

// heard puts into the report what the app's words of a refusal say.
func (j *job) heard(texts []string) {
	var about []string
	for _, text := range texts {
		if saysRefused.MatchString(text) {
			about = append(about, j.hide.text(text))
		}
	}
	words := strings.Join(about, "\n")
	j.say(passwordrules.Heard(words))
	j.report.Reused = passwordrules.Reused(words)
}
