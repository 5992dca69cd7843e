package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/siem/ocsf"
)

func TestEveryEventHasASentenceAndAClass(t *testing.T) {
	w := newWorld(t)
	types := core.EventTypes()
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
