package ocsf

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/core"
)

var update = flag.Bool("update", false, "write siem/EVENTS.md anew")

// catalogue reads what the catalogue says of each type: the constant's name, and the comment beside it.
func catalogue(t *testing.T) (types map[string]core.EventType, says map[core.EventType]string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../core/catalogue.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	types, says = map[string]core.EventType{}, map[core.EventType]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			types[spec.Names[0].Name], says[core.EventType(text)] = core.EventType(text), strings.TrimSpace(spec.Comment.Text())
		}
		return true
	})
	return types, says
}

// facts finds in the code the names of the facts that events of each type are given.
func facts(t *testing.T, types map[string]core.EventType) map[core.EventType][]string {
	t.Helper()
	found := map[core.EventType]map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok && function.Body != nil {
				factsIn(function.Body, types, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sorted := map[core.EventType][]string{}
	for kind, names := range found {
		sorted[kind] = slices.Sorted(maps.Keys(names))
	}
	return sorted
}

// factsIn looks at one function: at chains of With behind what makes an event, and behind the variable it is kept in.
func factsIn(body *ast.BlockStmt, types map[string]core.EventType, found map[core.EventType]map[string]bool) {
	kept := map[string]core.EventType{}
	var of func(expression ast.Expr) core.EventType
	of = func(expression ast.Expr) core.EventType {
		switch one := expression.(type) {
		case *ast.Ident:
			return kept[one.Name]
		case *ast.CallExpr:
			for _, argument := range one.Args {
				if selector, ok := argument.(*ast.SelectorExpr); ok && types[selector.Sel.Name] != "" {
					return types[selector.Sel.Name]
				}
				if name, ok := argument.(*ast.Ident); ok && types[name.Name] != "" {
					return types[name.Name]
				}
			}
			if selector, ok := one.Fun.(*ast.SelectorExpr); ok {
				return of(selector.X)
			}
		}
		return ""
	}
	ast.Inspect(body, func(node ast.Node) bool {
		switch one := node.(type) {
		case *ast.AssignStmt:
			if name, ok := one.Lhs[0].(*ast.Ident); ok && len(one.Rhs) == 1 {
				if kind := of(one.Rhs[0]); kind != "" {
					kept[name.Name] = kind
				}
			}
		case *ast.CallExpr:
			selector, ok := one.Fun.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != "With" || len(one.Args) != 2 {
				return true
			}
			literal, ok := one.Args[0].(*ast.BasicLit)
			if kind := of(selector.X); ok && kind != "" {
				if found[kind] == nil {
					found[kind] = map[string]bool{}
				}
				text, _ := strconv.Unquote(literal.Value)
				found[kind][text] = true
			}
		}
		return true
	})
}

// page is the whole of siem/EVENTS.md.
func page(t *testing.T) []byte {
	types, says := catalogue(t)
	known := facts(t, types)
	var text bytes.Buffer
	text.WriteString(`# Events

Everything Postern records, in the order of ` + "`core/catalogue.go`" + `. This page is made from the code: ` + "`go test ./siem/ocsf -run ThePageOfEvents -update`" + `.

An event has an id (UUIDv7), a type, a time, an actor, targets, an outcome with a reason, and a correlation id that leads from the identity
provider's request to the last proof. **About** is the target it is told of in OCSF; **facts** are further names under ` + "`data`" + ` that
some or all events of the type have. A failure has severity Medium at least. In OCSF 1.9 Account Change (3001) is
User Management (3007), whose activities have the numbers in brackets.

| event | note | about | OCSF class | activity | severity | facts |
|---|---|---|---|---|---|---|
`)
	for _, one := range core.EventTypes() {
		now, next := kindOf(one, Version18), kindOf(one, Version19)
		activity := fmt.Sprintf("%d %s", now.activity, now.name)
		if next.class != now.class {
			activity += fmt.Sprintf(" [%d]", next.activity)
		}
		names := ""
		for i, name := range known[one] {
			if i > 0 {
				names += ", "
			}
			names += "`" + name + "`"
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s | %d %s | %s | %s | %s |\n", one, strings.ReplaceAll(says[one], "|", "\\|"), cmp.Or(now.subject, "several"), now.class, classNames[now.class], activity, severityNames[now.severity], names)
	}
	return text.Bytes()
}

func TestThePageOfEventsIsCurrent(t *testing.T) {
	const path = "../EVENTS.md"
	want := page(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("siem/EVENTS.md does not say what the code does: go test ./siem/ocsf -run ThePageOfEvents -update")
	}
	for _, one := range core.EventTypes() {
		if !bytes.Contains(got, []byte("| `"+string(one)+"` |")) {
			t.Errorf("%s is not on the page", one)
		}
	}
}
