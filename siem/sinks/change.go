package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
)

// Wanted is a sink as it is to be made.
type Wanted struct {
	Workspace   core.ID
	Name, Kind  string
	Settings    json.RawMessage
	Credentials map[string]seal.Secret
	Filter      Filter
	Redaction   []Redaction
	Disabled    bool
	// Everything has it begin with the first event of the log instead of the next.
	Everything bool
}

func (s *Service) check(one Sink, credentials map[string]seal.Secret) error {
	if strings.TrimSpace(one.Name) == "" || len(one.Name) > 100 {
		return core.Invalid("name", "a name has 1 to 100 bytes")
	}
	kind, there := s.Kinds[one.Kind]
	if !there {
		return core.Invalid("kind", "a sink is one of %s", strings.Join(slices.Sorted(maps.Keys(s.Kinds)), ", "))
	}
	if len(one.Settings) > 16<<10 {
		return core.Invalid("settings", "the settings have at most 16 KB")
	}
	if err := one.Filter.check(); err != nil {
		return err
	}
	if err := checkRedactions(one.Redaction); err != nil {
		return err
	}
	receiver, err := kind.Build(one.Settings, credentials)
	if err != nil {
		return err
	}
	return receiver.Close()
}

const countSinks = `select count(*) from workspace_sinks where workspace_id = @workspace`

const insertSink = `
insert into workspace_sinks (id, workspace_id, name, kind, settings, credentials, secret_version, filter, redaction, enabled, began, delivered, created, updated)
values (@id, @workspace, @name, @kind, @settings, @credentials, @version, @filter, @redaction, @enabled, @began::bigint, @began::bigint - 1, @now, @now)`

// Create has events delivered from now on, or all there are. A taken name is a Conflict on "name".
func (s *Service) Create(ctx context.Context, cause core.Cause, wanted Wanted) (Sink, error) {
	one := Sink{
		ID: core.NewID(), Workspace: wanted.Workspace, Name: wanted.Name, Kind: wanted.Kind, Settings: wanted.Settings, Filter: wanted.Filter,
		Redaction: append([]Redaction{}, wanted.Redaction...), Enabled: !wanted.Disabled,
	}
	if len(one.Settings) == 0 {
		one.Settings = json.RawMessage(`{}`)
	}
	if err := s.check(one, wanted.Credentials); err != nil {
		return Sink{}, err
	}
	err := s.change(ctx, func(tx pgx.Tx) error {
		var there int
		if err := tx.QueryRow(ctx, countSinks, pgx.StrictNamedArgs{"workspace": one.Workspace}).Scan(&there); err != nil {
			return err
		}
		if there >= maxSinks {
			return core.Conflict("", "a workspace has at most %d sinks", maxSinks)
		}
		head, err := audit.Head(ctx, tx, one.Workspace)
		if err != nil {
			return err
		}
		began := head + 1
		if wanted.Everything {
			if began, err = first(ctx, tx, one.Workspace, began); err != nil {
				return err
			}
		}
		if err := s.seal(ctx, tx, &one, wanted.Credentials); err != nil {
			return err
		}
		now := s.now()
		if _, err := tx.Exec(ctx, insertSink, pgx.StrictNamedArgs{
			"id": one.ID, "workspace": one.Workspace, "name": one.Name, "kind": one.Kind, "settings": one.Settings, "credentials": one.Credentials,
			"version": one.SecretVersion, "filter": one.Filter, "redaction": one.Redaction, "enabled": one.Enabled, "began": began, "now": now,
		}); err != nil {
			return collision(err)
		}
		if err := audit.Append(ctx, tx, core.NewEvent(core.SinkCreated, one.Workspace, cause, now, one.target()).With("kind", one.Kind)); err != nil {
			return err
		}
		one, err = s.Sink(ctx, tx, one.Workspace, one.ID)
		return err
	})
	return one, err
}

func collision(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "workspace_sink_name" {
		return core.Conflict("name", "there is a sink of that name")
	}
	return err
}

const updateSink = `
update workspace_sinks set name = @name, settings = @settings, credentials = @credentials, secret_version = @version, filter = @filter,
	redaction = @redaction, enabled = @enabled, revision = revision + 1, updated = @now
where workspace_id = @workspace and id = @id`

// Change writes what edit makes of a sink's name, settings, filter, redaction and whether it is enabled.
// Credentials replace those of the same name; an empty one is removed. Where they go to is known when they are
// given: with another address all of them are to be given again. An error of edit's leaves the sink as it is.
func (s *Service) Change(ctx context.Context, cause core.Cause, workspace, id core.ID, credentials map[string]seal.Secret, edit func(*Sink) error) (Sink, error) {
	var one Sink
	err := s.change(ctx, func(tx pgx.Tx) error {
		before, err := s.locked(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		one = before
		if err := edit(&one); err != nil {
			return err
		}
		one.ID, one.Workspace, one.Kind, one.Redaction = before.ID, before.Workspace, before.Kind, append([]Redaction{}, one.Redaction...)
		kept, err := s.credentials(ctx, tx, before)
		if err != nil {
			return err
		}
		if moved(before.Settings, one.Settings) {
			for name := range kept {
				if _, given := credentials[name]; !given { // one that is removed is sent nowhere
					return core.Invalid("credentials."+name, "the address changes: give %s again, so that nobody has it sent elsewhere who does not know it", name)
				}
			}
		}
		for name, secret := range credentials {
			kept[name] = secret
			if secret.IsZero() {
				delete(kept, name)
			}
		}
		if err := s.check(one, kept); err != nil {
			return err
		}
		if len(credentials) > 0 {
			if err := s.seal(ctx, tx, &one, kept); err != nil {
				return err
			}
		}
		now := s.now()
		if _, err := tx.Exec(ctx, updateSink, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "name": one.Name, "settings": one.Settings, "credentials": one.Credentials, "version": one.SecretVersion,
			"filter": one.Filter, "redaction": one.Redaction, "enabled": one.Enabled, "now": now,
		}); err != nil {
			return collision(err)
		}
		event := core.NewEvent(core.SinkUpdated, workspace, cause, now, one.target()).With("changed", strings.Join(changes(before, one), ", "))
		if err := audit.Append(ctx, tx, event); err != nil {
			return err
		}
		one, err = s.Sink(ctx, tx, workspace, id)
		return err
	})
	return one, err
}

// changes are the words for what differs, for the event.
func changes(before, after Sink) []string {
	same := func(a, b any) bool {
		first, _ := json.Marshal(a)
		second, _ := json.Marshal(b)
		return bytes.Equal(first, second)
	}
	var words []string
	for _, one := range []struct {
		word          string
		before, after any
	}{
		{"name", before.Name, after.Name}, {"settings", before.Settings, after.Settings}, {"credentials", before.SecretVersion, after.SecretVersion},
		{"filter", before.Filter, after.Filter}, {"redaction", before.Redaction, after.Redaction}, {"enabled", before.Enabled, after.Enabled},
	} {
		if !same(one.before, one.after) {
			words = append(words, one.word)
		}
	}
	if len(words) == 0 {
		words = []string{"nothing"}
	}
	return words
}

// addresses are the words by which the names of settings end that say where events go to.
var addresses = []string{"url", "urls", "address", "addresses", "endpoint", "endpoints", "host", "hosts", "server", "bucket", "plain", "tls"}

// moved reports whether the settings lead to another place.
func moved(before, after json.RawMessage) bool {
	var old, now map[string]any // not bytes: PostgreSQL keeps the same JSON with other spaces
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(after, &now) != nil {
		return true
	}
	for _, settings := range []map[string]any{old, now} {
		for name := range settings {
			leads := slices.ContainsFunc(addresses, func(word string) bool { return name == word || strings.HasSuffix(name, "_"+word) })
			if leads && !reflect.DeepEqual(old[name], now[name]) {
				return true
			}
		}
	}
	return false
}

const deleteSinkLetters = `delete from dead_letters where workspace_id = @workspace and sink_id = @id`

const deleteSink = `delete from workspace_sinks where workspace_id = @workspace and id = @id`

// Delete ends a sink, its replays, its dead letters and its credentials. The log keeps every event.
func (s *Service) Delete(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.locked(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		for _, statement := range []string{deleteSinkLetters, deleteSink} {
			if _, err := tx.Exec(ctx, statement, pgx.StrictNamedArgs{"workspace": workspace, "id": id}); err != nil {
				return err
			}
		}
		if err := s.Vault.Forget(ctx, tx, workspace, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SinkDeleted, workspace, cause, s.now(), one.target()))
	})
}
