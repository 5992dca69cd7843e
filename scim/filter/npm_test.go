package filter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/conformance/partstest"
	"postern/scim/filter"
)

// What npm's scim2-parse-filter refuses, with what the RFCs have to say.
var npmRefuses = map[string]string{
	" -":   `RFC 7644, 3.4.2.2: compValue = false / null / true / number / string, "rules from JSON (RFC 7159)": number = [ minus ] int [ frac ] [ exp ]`,
	"$ref": `RFC 7643, 2.1: nameChar = "$" / "-" / "_" / DIGIT / ALPHA`,
}

// npm's scim2-parse-filter is a third parser, by others again: it reads the same filters alike.
func TestAgreesWithNPM(t *testing.T) {
	folder := filepath.Join(partstest.Suites(t, "node_modules/scim2-parse-filter"), "node_modules")
	generator := rapid.Custom(func(t *rapid.T) string { return drawFilter(t, 3, true) })
	var input bytes.Buffer
	filters := make([]string, 3000)
	for i := range filters {
		filters[i] = generator.Example(i)
		written, err := json.Marshal(filters[i])
		if err != nil {
			t.Fatal(err)
		}
		input.Write(append(written, '\n'))
	}
	node := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "differential", "peer.cjs"))
	node.Env = append(os.Environ(), "NODE_PATH="+folder)
	node.Stdin, node.Stderr = &input, os.Stderr
	output, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	if len(lines) != len(filters) {
		t.Fatalf("%d answers to %d filters", len(lines), len(filters))
	}
	alike, refused := 0, map[string]bool{}
	for i, text := range filters {
		ours, err := filter.Parse(text, filter.Options{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var theirs struct {
			Read    map[string]any
			Refused string
		}
		if err := json.Unmarshal(lines[i], &theirs); err != nil {
			t.Fatal(err)
		}
		if theirs.Refused != "" {
			known := false
			for name := range npmRefuses {
				if strings.Contains(text, name) {
					known, refused[name] = true, true
				}
			}
			if !known {
				t.Errorf("npm refuses %s: %s", text, theirs.Refused)
			}
			continue
		}
		if got, want := shape(flatten(ours)), npmShape(theirs.Read); got != want {
			t.Errorf("%s\nours %s\nnpm  %s", text, got, want)
			continue
		}
		alike++
	}
	for name := range npmRefuses {
		if !refused[name] {
			t.Errorf("npm takes %s now", name)
		}
	}
	t.Logf("%d of %d are read alike, the others refused by npm", alike, len(filters))
	if alike < len(filters)/2 {
		t.Errorf("only %d of %d are compared", alike, len(filters))
	}
}

// shape is an expression in a form both can be brought into.
func shape(e filter.Expression) string {
	each := func(parts []filter.Expression) string {
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = shape(part)
		}
		return strings.Join(texts, ", ")
	}
	switch e := e.(type) {
	case filter.And:
		return "and(" + each(e) + ")"
	case filter.Or:
		return "or(" + each(e) + ")"
	case filter.Not:
		return "not(" + shape(e.Inner) + ")"
	case filter.Has:
		return filter.Path{URN: e.Path.URN, Name: e.Path.Name}.String() + "[" + shape(e.Path.Filter) + "]"
	case filter.Comparison:
		value := ""
		switch e.Value.Kind {
		case filter.None:
		case filter.String:
			value = strconv.Quote(e.Value.Text)
		case filter.Number:
			number, _ := strconv.ParseFloat(e.Value.Text, 64)
			value = fmt.Sprint(number)
		case filter.Boolean, filter.Null:
			value = e.Value.Text
		}
		return string(e.Operator) + "(" + e.Path.String() + " " + value + ")"
	}
	return fmt.Sprintf("%T", e)
}

func npmShape(e map[string]any) string {
	operator, _ := e["op"].(string)
	operator = strings.ToLower(operator)
	switch operator {
	case "and", "or":
		var texts []string
		for _, part := range e["filters"].([]any) {
			text := npmShape(part.(map[string]any))
			if inner, nested := strings.CutPrefix(text, operator+"("); nested { // it keeps some parentheses
				text = strings.TrimSuffix(inner, ")")
			}
			texts = append(texts, text)
		}
		return operator + "(" + strings.Join(texts, ", ") + ")"
	case "not":
		return "not(" + npmShape(e["filter"].(map[string]any)) + ")"
	case "[]":
		return fmt.Sprint(e["attrPath"]) + "[" + npmShape(e["valFilter"].(map[string]any)) + "]"
	}
	value := ""
	switch given := e["compValue"].(type) {
	case string:
		value = strconv.Quote(given)
	case nil:
		if operator != "pr" {
			value = "null"
		}
	default:
		value = fmt.Sprint(given)
	}
	return operator + "(" + fmt.Sprint(e["attrPath"]) + " " + value + ")"
}
