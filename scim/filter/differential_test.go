package filter_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	peer "github.com/scim2/filter-parser/v2"
	"pgregory.net/rapid"

	"postern/scim/filter"
)

// The peer is an independent parser of the same grammar. Filters made from the grammar must be read
// alike by both, and so must texts near the grammar that both accept.

func TestAgreesWithThePeer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawFilter(t, 3, true)
		ours, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		theirs, err := peer.ParseFilterNumber([]byte(text))
		if err != nil {
			t.Skipf("the peer refuses %s: %v", text, err)
		}
		if diff := cmp.Diff(translate(theirs).String(), flatten(ours).String()); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
	})
}

func TestReadsDamagedFiltersLikeThePeer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawFilter(t, 2, true)
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "damage") {
		case 0:
			text = text[:at] + text[at+1:]
		case 1:
			text = text[:at]
		default:
			text = text[:at] + rapid.SampledFrom([]string{" ", "(", ")", "[", "]", "\"", ".", "and", "not", "a", ","}).Draw(t, "with") + text[at:]
		}
		ours, ourError := filter.Parse(text, filter.Options{})
		theirs, theirError := peer.ParseFilterNumber([]byte(text))
		if ourError != nil || theirError != nil {
			return // the peer also takes words glued together, names with any dollar sign, prefixes that are no URN
		}
		if diff := cmp.Diff(translate(theirs).String(), flatten(ours).String()); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
	})
}

func drawFilter(t *rapid.T, depth int, paths bool) string {
	kinds := []string{"comparison", "comparison", "present"}
	if depth > 0 {
		kinds = append(kinds, "and", "or", "not", "group")
		if paths {
			kinds = append(kinds, "path")
		}
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "and":
		return drawFilter(t, depth-1, paths) + spaced(t, "and") + drawFilter(t, depth-1, paths)
	case "or":
		return drawFilter(t, depth-1, paths) + spaced(t, "OR") + drawFilter(t, depth-1, paths)
	case "not":
		return "not (" + drawFilter(t, depth-1, paths) + ")"
	case "group":
		return "( " + drawFilter(t, depth-1, paths) + " )"
	case "path":
		// A sub-attribute has no elements, so ours refuses brackets after one; the grammar would not.
		name := rapid.SampledFrom([]string{"emails", "x-y_z9", enterprise + ":department"}).Draw(t, "name")
		return name + "[" + drawFilter(t, depth-1, false) + "]"
	case "present":
		return drawName(t) + spaced(t, "pr")[:3]
	}
	operator := rapid.SampledFrom([]string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ"}).Draw(t, "operator")
	return drawName(t) + spaced(t, operator) + drawValue(t)
}

func spaced(t *rapid.T, word string) string {
	space := strings.Repeat(" ", rapid.IntRange(1, 2).Draw(t, "spaces"))
	return " " + word + space
}

func drawName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"userName", "name.familyName", "emails.value", "x-y_z9", enterprise + ":department", enterprise + ":manager.value", "members.$ref"}).Draw(t, "name")
}

func drawValue(t *rapid.T) string {
	return rapid.SampledFrom([]string{`"ana"`, `""`, `"a b) ] and (c"`, `"O'Malley"`, `"\"q\""`, `"ä漢😀"`, "true", "false", "null", "0", "-1", "12.5", "1e3", "-1.5e-2"}).Draw(t, "value")
}

// flatten makes and/or of and/or one list, since the peer keeps pairs and drops parentheses.
func flatten(e filter.Expression) filter.Expression {
	switch e := e.(type) {
	case filter.And:
		var parts filter.And
		for _, part := range e {
			if inner, ok := flatten(part).(filter.And); ok {
				parts = append(parts, inner...)
			} else {
				parts = append(parts, flatten(part))
			}
		}
		return parts
	case filter.Or:
		var parts filter.Or
		for _, part := range e {
			if inner, ok := flatten(part).(filter.Or); ok {
				parts = append(parts, inner...)
			} else {
				parts = append(parts, flatten(part))
			}
		}
		return parts
	case filter.Not:
		return filter.Not{Inner: flatten(e.Inner)}
	case filter.Has:
		e.Path.Filter = flatten(e.Path.Filter)
		return e
	}
	return e
}

func translate(e peer.Expression) filter.Expression {
	switch e := e.(type) {
	case *peer.LogicalExpression:
		if e.Operator == peer.AND {
			return flatten(filter.And{translate(e.Left), translate(e.Right)})
		}
		return flatten(filter.Or{translate(e.Left), translate(e.Right)})
	case *peer.NotExpression:
		return filter.Not{Inner: translate(e.Expression)}
	case *peer.ValuePath:
		path := translatePath(e.AttributePath)
		path.Filter = translate(e.ValueFilter)
		return filter.Has{Path: path}
	case *peer.AttributeExpression:
		operator := filter.Operator(strings.ToLower(string(e.Operator)))
		return filter.Comparison{Path: translatePath(e.AttributePath), Operator: operator, Value: translateValue(operator, e.CompareValue)}
	}
	panic(fmt.Sprintf("%T", e))
}

func translatePath(p peer.AttributePath) filter.Path {
	return filter.Path{URN: strings.TrimSuffix(p.URI(), ":"), Name: p.AttributeName, Sub: p.SubAttributeName()}
}

func translateValue(operator filter.Operator, value any) filter.Value {
	if operator == filter.Present {
		return filter.Value{}
	}
	switch value := value.(type) {
	case nil:
		return filter.Value{Kind: filter.Null, Text: "null"}
	case bool:
		return filter.Value{Kind: filter.Boolean, Text: fmt.Sprint(value)}
	case json.Number:
		return filter.Value{Kind: filter.Number, Text: value.String()}
	case string:
		var decoded string // the peer leaves escapes as they are
		if err := json.Unmarshal([]byte(`"`+value+`"`), &decoded); err != nil {
			decoded = value
		}
		return filter.Value{Kind: filter.String, Text: decoded}
	}
	panic(fmt.Sprintf("%T", value))
}
