package activity

import (
	"slices"
	"strings"

	"postern/core"
)

// Types are the event types that names stand for: account.shared, or account.* for all that begin so.
func Types(names []string) ([]core.EventType, error) {
	var types []core.EventType
	for _, name := range names {
		before := len(types)
		for _, one := range core.EventTypes() {
			prefix, family := strings.CutSuffix(name, "*")
			if string(one) == name || family && strings.HasSuffix(prefix, ".") && strings.HasPrefix(string(one), prefix) {
				types = append(types, one)
			}
		}
		if len(types) == before {
			return nil, core.Invalid("type", "there are no events of the type %q; write one such as account.shared, or account.*", core.Cut(name, 100))
		}
	}
	slices.Sort(types)
	return slices.Compact(types), nil
}
