package passwordrules

import (
	"fmt"
	"slices"
	"strings"
)

// Rules are what an app says of passwords. The zero value says nothing.
type Rules struct {
	MinLength      int   // characters; 0: not said
	MaxLength      int   // characters; 0: not said
	MaxConsecutive int   // how often one character may follow itself; 0: not said
	Required       []Set // of each, one character at least
	Allowed        Set   // all characters there may be; empty: every printable one
}

// IsZero reports whether nothing is said.
func (r Rules) IsZero() bool {
	return r.MinLength == 0 && r.MaxLength == 0 && r.MaxConsecutive == 0 && len(r.Required) == 0 && r.Allowed.empty()
}

// alphabet is every character there may be.
func (r Rules) alphabet() Set {
	if r.Allowed.empty() {
		return Printable
	}
	return r.Allowed
}

// Allows reports whether a password satisfies the rules.
func (r Rules) Allows(password string) bool {
	length := len([]rune(password))
	if length < r.MinLength || r.MaxLength > 0 && length > r.MaxLength {
		return false
	}
	run, last := 0, rune(-1)
	for _, c := range password {
		if !r.Allowed.empty() && (c > '~' || !r.Allowed.has(byte(c))) {
			return false
		}
		if c != last {
			run, last = 0, c
		}
		if run++; r.MaxConsecutive > 0 && run > r.MaxConsecutive {
			return false
		}
	}
	for _, set := range r.Required {
		if !strings.ContainsFunc(password, func(c rune) bool { return c <= '~' && set.has(byte(c)) }) {
			return false
		}
	}
	return true
}

// And is what satisfies both. It may be more than any password can.
func (r Rules) And(o Rules) Rules {
	least := func(a, b int) int {
		if a == 0 || b == 0 {
			return max(a, b)
		}
		return min(a, b)
	}
	both := Rules{
		MinLength: max(r.MinLength, o.MinLength), MaxLength: least(r.MaxLength, o.MaxLength), MaxConsecutive: least(r.MaxConsecutive, o.MaxConsecutive),
	}
	possible := true
	if !r.Allowed.empty() || !o.Allowed.empty() {
		both.Allowed = r.alphabet().and(o.alphabet())
		possible = !both.Allowed.empty()
	}
	for _, set := range slices.Concat(r.Required, o.Required) {
		set = set.and(both.alphabet())
		possible = possible && !set.empty()
		if !set.empty() && !slices.Contains(both.Required, set) {
			both.Required = append(both.Required, set)
		}
	}
	if !possible {
		// No set says that nothing is allowed; a length that cannot be does.
		both.MinLength, both.MaxLength = max(both.MinLength, 2), 1
	}
	return both
}

// String is the rules in the language, in one form. Parse reads it.
func (r Rules) String() string {
	var parts []string
	number := func(name string, value int) {
		if value > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", name, value))
		}
	}
	number("minlength", r.MinLength)
	number("maxlength", r.MaxLength)
	number("max-consecutive", r.MaxConsecutive)
	implied := Set{}
	for _, set := range r.Required {
		parts = append(parts, "required: "+set.String())
		implied = implied.or(set)
	}
	if allowed := r.alphabet(); !r.Allowed.empty() && allowed != implied || r.Allowed.empty() && len(r.Required) > 0 {
		parts = append(parts, "allowed: "+allowed.String())
	}
	return strings.Join(parts, "; ")
}
