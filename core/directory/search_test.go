package directory_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// TestASearchThatNoIndexHelpsEnds gives a search no time.
func TestASearchThatNoIndexHelpsEnds(t *testing.T) {
	w := open(t)
	w.tx(t, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into users (id, workspace_id, connection_id, user_name, attributes)
			select gen_random_uuid(), $1, $2, 'u' || n, jsonb_build_object('title', repeat('x', 500)) from generate_series(1, 20000) n`, w.acme.workspace.ID, w.acme.connection.ID)
		return err
	})
	slow := directory.Search{
		Connection: w.acme.connection.ID, Limit: 10, Total: true, Timeout: time.Millisecond,
		Where: directory.In{Path: []directory.Name{{Text: "title"}}, Holds: directory.Scalar{Is: directory.Contains, With: "y"}},
	}
	_, err := w.SearchUsers(t.Context(), w.acme.workspace.ID, slow)
	if got := core.AsError(err); got.Code != "tooMany" || got.Kind != core.KindInvalid {
		t.Fatalf("got %v", err)
	}
	// The limit was the search's alone, and a lookup knows none.
	for range 20 {
		var timeout string
		if err := w.DB.QueryRow(t.Context(), "show statement_timeout").Scan(&timeout); err != nil || timeout != "0" {
			t.Fatalf("the timeout stays at %s, %v", timeout, err)
		}
	}
	slow.Where = directory.Text{Of: directory.FieldUserName, Is: directory.Equal, With: "U7"}
	if page, err := w.SearchUsers(t.Context(), w.acme.workspace.ID, slow); err != nil || page.Total != 1 || len(page.Rows) != 1 {
		t.Fatalf("found %d of %d, %v", len(page.Rows), page.Total, err)
	}
	slow.Connection = w.other.connection.ID
	if page, err := w.SearchUsers(t.Context(), w.acme.workspace.ID, slow); err != nil || page.Total != 0 {
		t.Fatalf("found %d of another workspace, %v", page.Total, err)
	}
}
