package outgoing_test

import (
	"go/ast"
	"strconv"
)

// catalogue reads the event types out of the source of package core.
func catalogue(file *ast.File) []string {
	var types []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if named, ok := spec.Type.(*ast.Ident); ok && named.Name == "EventType" {
			for _, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok {
					if text, err := strconv.Unquote(literal.Value); err == nil {
						types = append(types, text)
					}
				}
			}
		}
		return true
	})
	return types
}
