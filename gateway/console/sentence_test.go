package console_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/siem/ocsf"
)

// catalogue reads the types of events from where they are declared.
func catalogue(t testing.TB) []core.EventType {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../core/catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []core.EventType
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			types = append(types, core.EventType(text))
		}
		return true
	})
	if len(types) < 50 {
		t.Fatalf("only %d types of events were found", len(types))
	}
	return types
}

func TestEveryEventHasASentenceAndAClass(t *testing.T) {
	w := newWorld(t)
	types := catalogue(t)
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		cause := core.NewCause(w.people["zoe"].Actor(), time.Now())
		for _, kind := range types {
			if err := audit.Append(ctx, tx, core.NewEvent(kind, w.acme.ID, cause, time.Now(), w.people["ana"].Target())); err != nil {
				return err
			}
		}
		return nil
	})
	w.sequence(t)
	_, body := w.ask(t, "zoe", http.MethodGet, "/activity", nil)
	mapper := ocsf.Mapper{}
	records, err := audit.List(t.Context(), w.db, w.acme.ID, audit.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	told := map[core.EventType]bool{}
	for _, record := range records {
		told[record.Event.Type] = true
		if _, err := mapper.Map(record); err != nil {
			t.Errorf("%s has no class: %v", record.Event.Type, err)
		}
	}
	for _, kind := range types {
		if !told[kind] {
			t.Errorf("%s is not in the log", kind)
		}
		// Without a sentence the type itself stands in its place.
		if strings.Contains(body, "</b> "+string(kind)) {
			t.Errorf("%s has no sentence", kind)
		}
	}
}
