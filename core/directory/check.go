package directory

import (
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
)

// longest is the most bytes an indexed text may have: PostgreSQL refuses index rows beyond 2,704.
const longest = 1000

// short refuses a text too long to be indexed.
func short(field, text string) error {
	if len(text) > longest {
		return core.Invalid(field, "at most %d bytes are kept, these are %d", longest, len(text))
	}
	return nil
}

// present refuses an empty text and one too long to be indexed.
func present(field, text string) error {
	if text == "" {
		return core.Invalid(field, "a value is needed")
	}
	return short(field, text)
}

// object is attributes as the database keeps them: a JSON object, never NULL.
func object(attributes json.RawMessage) (json.RawMessage, error) {
	if len(attributes) == 0 {
		return json.RawMessage("{}"), nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(attributes, &members); err != nil || members == nil {
		return nil, core.Invalid("attributes", "the attributes are not a JSON object").Because(err)
	}
	return attributes, nil
}

// fields says in the caller's words what a unique constraint guards.
var fields = map[string]struct{ name, text string }{
	"workspaces_slug_key":  {"slug", "another workspace has this slug"},
	"connection_name":      {"name", "another connection has this name"},
	"service_account_name": {"name", "another service account has this name"},
	"user_name":            {"userName", "another user of this connection has this userName"},
	"user_external_id":     {"externalId", "another user of this connection has this externalId"},
	"team_display_name":    {"displayName", "another team of this connection has this displayName"},
}

// collision turns a violated unique constraint into a Conflict that names the field. Every other
// error passes unchanged, so that the transaction can still be run again where that helps.
func collision(err error) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || server.Code != "23505" {
		return err
	}
	field, known := fields[server.ConstraintName]
	if !known {
		return err
	}
	return core.Conflict(field.name, "%s", field.text).WithCode(server.ConstraintName).Because(err)
}
