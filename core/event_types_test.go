package core_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"postern/core"
)

func TestEventTypesAreTheCatalogue(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []core.EventType
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if named, ok := spec.Type.(*ast.Ident); !ok || named.Name != "EventType" {
			t.Errorf("%s is not declared as an EventType", spec.Names[0].Name)
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, core.EventType(text))
		}
		return true
	})
	if listed := core.EventTypes(); !slices.Equal(listed, declared) {
		t.Errorf("listed are %v\ndeclared are %v", listed, declared)
	}
}
