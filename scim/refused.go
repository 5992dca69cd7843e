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
)

// unusable are the statuses that say a connection sent what cannot be done. A resource that is gone
// or a version that has moved on is everyday traffic.
var unusable = []int{
	http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
}

// recordRefusal appends the event of a refused request, in a transaction of its own: the refused one
// left nothing behind. It tells where the request went and why it failed, nothing of its body. That
// it could not be written does not change the answer.
func (r *request) recordRefusal(shown scimerrors.ScimError) {
	if r.connection.ID.IsZero() || !slices.Contains(unusable, shown.Status) {
		return
	}
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
	// The client may be gone by now; what it tried is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	err := r.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) })
	if err != nil {
		r.log().WarnContext(ctx, "a refused SCIM request could not be recorded", "correlation", r.cause.Correlation.String(), "error", err.Error())
		return
	}
	if r.Lifecycle.Wake != nil {
		r.Lifecycle.Wake()
	}
}
