package scim

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/journal"
)

// unusable are the statuses that say a connection sent what cannot be done. A resource that is gone
// or a version that has moved on is everyday traffic.
var unusable = []int{
	http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
}

// memorable are the statuses with which a request for a change stays in the journal. The others are no
// answer to what it asked for: nobody known asked it, the address does not take it, it came too fast,
// or we failed and it will come again.
var memorable = append([]int{http.StatusNotFound, http.StatusPreconditionFailed}, unusable...)

// recordRefusal appends the event and the journal entry of a refused request, in one transaction of
// its own: the refused one left nothing behind. The event tells where the request went and why it
// failed, nothing of its body. Of many alike both are a sample. That they could not be written does not
// change the answer.
func (r *request) recordRefusal(shown scimerrors.ScimError, subject core.ID) {
	if r.connection.ID.IsZero() {
		return
	}
	told := slices.Contains(unusable, shown.Status)
	journalled := (r.writes() || r.understood()) && slices.Contains(memorable, shown.Status)
	if !told && !journalled {
		return
	}
	suppressed, kept := r.samples.take(shown.Status, r.connection.ID, r.received)
	if !kept {
		return
	}
	var entry *journal.Entry
	if journalled {
		entry = new(r.entry(shown.Status, withSuppressed(shown.Detail, "refused", suppressed), subject))
	}
	var events []core.Event
	if told {
		events = append(events, r.refusal(shown, suppressed))
	}
	if r.recordAlone(entry, events...) && told && r.Lifecycle.Wake != nil {
		r.Lifecycle.Wake()
	}
}

// recordReading leaves an entry of a request that changes nothing, if a rule was needed to understand
// it: the answer depends on it, and nobody but the client sees its header. Of many alike a sample.
func (r *request) recordReading(status int) {
	if r.writes() || !r.understood() {
		return
	}
	if suppressed, kept := r.samples.take(status, r.connection.ID, r.received); kept {
		r.recordAlone(new(r.entry(status, withSuppressed("", "readings", suppressed), core.ID{})))
	}
}

// recordAlone writes what tells of a request that had no effect, in a transaction of its own, and
// reports whether it could. A nil entry is none.
func (r *request) recordAlone(entry *journal.Entry, events ...core.Event) bool {
	// The client may be gone by now; what it asked is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	err := r.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := audit.Append(ctx, tx, events...); err != nil || entry == nil {
			return err
		}
		batch := &pgx.Batch{}
		journal.Queue(batch, *entry)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		r.log().WarnContext(ctx, "a SCIM request could not be recorded", "correlation", r.cause.Correlation.String(), "error", err.Error())
	}
	return err == nil
}

// withSuppressed is what an entry says with how many like it were left out of the journal before.
func withSuppressed(detail, how string, suppressed int) string {
	if suppressed == 0 {
		return detail
	}
	left := strconv.Itoa(suppressed) + " " + how + " like it before were not kept"
	if detail == "" {
		return left
	}
	return core.Cut(detail, longestDetail/2) + " (" + left + ")"
}

// refusal is the event of a refused request, and of those like it that were left out before.
func (r *request) refusal(shown scimerrors.ScimError, suppressed int) core.Event {
	targets := []core.Target{{Kind: "connection", ID: r.connection.ID, Name: r.connection.Name}}
	if id, err := core.ParseID(r.id); err == nil {
		switch r.address {
		case "/Users/{id}":
			targets = append(targets, core.Target{Kind: "user", ID: id})
		case "/Groups/{id}":
			targets = append(targets, core.Target{Kind: "team", ID: id})
		}
	}
	event := core.NewEvent(core.RequestRefused, r.connection.Workspace, r.cause, r.received, targets...).Failed(shown.Detail).
		With("protocol", "scim").With("method", r.Method).With("address", r.address).With("status", strconv.Itoa(shown.Status))
	if shown.ScimType != "" {
		event = event.With("scim_type", string(shown.ScimType))
	}
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	return event
}
