package console_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// What people are denied is told, also where the page says that there is nothing, and so are guesses.
func TestWhatPeopleAreDeniedIsRecorded(t *testing.T) {
	w := newWorld(t)
	wiki, eve := w.wiki.ID.String(), w.people["eve"].ID.String()
	guess := core.NewID().String()
	for _, path := range []string{"/", "/accounts/" + wiki, "/accounts/" + guess, "/accounts/nonsense", "/users"} {
		w.ask(t, "eve", http.MethodGet, path, nil)
	}
	told, err := postgres.Column[string](t.Context(), w.db, `
select concat_ws(' ', event -> 'actor' ->> 'id', event -> 'data' ->> 'operation', event -> 'data' ->> 'rule', event -> 'targets' -> 0 ->> 'id')
from audit_outbox where event ->> 'type' = 'access.denied' and workspace_id = @workspace order by event_id`, pgx.StrictNamedArgs{"workspace": w.acme.ID})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{eve + " GET /accounts/:id not_shared " + wiki, eve + " GET /accounts/:id not_shared " + guess, eve + " GET /users not_administrator"}; !slices.Equal(told, want) {
		t.Errorf("got %s", strings.Join(told, "\n"))
	}
}
