package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/gateway"
)

// onDatabase is part of every command that works on the database directly.
type onDatabase struct {
	Database string `help:"PostgreSQL URL. One that holds a password must come as a reference (file:PATH or env:NAME)." env:"POSTERN_DATABASE" required:"" placeholder:"URL|REF"`
	JSON     bool   `help:"Print JSON, for scripts."`
}

// inWorkspace is part of every command that works on one workspace.
type inWorkspace struct {
	onDatabase `embed:""`
	Workspace  string `help:"Slug of the workspace." env:"POSTERN_WORKSPACE" required:"" placeholder:"SLUG"`
}

// setup is what such a command works with.
type setup struct {
	db        *postgres.DB
	people    *directory.Directory
	workspace directory.Workspace // of inWorkspace
	cause     core.Cause
	queue     *jobs.Queue
}

func (s *setup) close() { s.db.Close() }

func (o onDatabase) open(ctx context.Context) (*setup, error) {
	db, err := gateway.OpenDatabase(ctx, o.Database, postgres.Options{MaxConnections: 2, Name: "postern-cli"})
	if err != nil {
		return nil, err
	}
	queue, err := jobs.NewQueue(db, nil)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &setup{db: db, people: &directory.Directory{DB: db}, cause: core.NewCause(operator(), time.Now()), queue: queue}, nil
}

// operator is who types, as the audit log tells it: whoever can reach the database is trusted with it.
func operator() core.Actor {
	name := "Postern's command line"
	if who, err := user.Current(); err == nil && who.Username != "" {
		name += " (" + who.Username + ")"
	}
	return core.Actor{Kind: core.ActorSystem, Name: name}
}

func (i inWorkspace) open(ctx context.Context) (*setup, error) {
	s, err := i.onDatabase.open(ctx)
	if err != nil {
		return nil, err
	}
	if s.workspace, err = s.people.WorkspaceBySlug(ctx, s.db, i.Workspace); err == nil {
		return s, nil
	}
	defer s.close()
	if core.KindOf(err) != core.KindNotFound {
		return nil, err
	}
	all, err := s.people.Workspaces(ctx, s.db)
	if err != nil {
		return nil, err
	}
	var slugs []string
	for _, one := range all {
		slugs = append(slugs, one.Slug)
	}
	return nil, missing("workspace", i.Workspace, slugs, "postern workspace create")
}

// missing says that there is no such thing, and what there is instead.
func missing(noun, given string, known []string, command string) error {
	there := "there is none yet; make one with '" + command + "'"
	if len(known) > 0 {
		there = "there is " + strings.Join(known, ", ")
	}
	return &core.Error{Kind: core.KindNotFound, Message: fmt.Sprintf("there is no %s %q: %s", noun, given, there)}
}

// connection finds a connection by its id or its name.
func (s *setup) connection(ctx context.Context, given string) (directory.Connection, error) {
	all, err := s.people.Connections(ctx, s.db, s.workspace.ID)
	if err != nil {
		return directory.Connection{}, err
	}
	var names []string
	for _, one := range all {
		if one.ID.String() == given || strings.EqualFold(one.Name, given) {
			return one, nil
		}
		names = append(names, one.Name)
	}
	return directory.Connection{}, missing("connection", given, names, "postern connection create")
}

// show prints value as JSON where that was asked for, and otherwise has text printed for a person.
func (o onDatabase) show(terminal terminal, value any, text func(sheet sheet)) error {
	if o.JSON {
		encoder := json.NewEncoder(terminal.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	text(sheet{terminal.out})
	return nil
}

// sheet prints what a person reads and pastes.
type sheet struct{ out io.Writer }

func (s sheet) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// row is a name and what is to be pasted for it, alone at the end of the line.
func (s sheet) row(name, value string) { s.say("  %-26s %s", name, value) }

// lifetime is part of every command that makes a token.
type lifetime struct {
	Days int `help:"Days until the token expires; it never does when 0." default:"0" placeholder:"N"`
}

func (l lifetime) expires() (*time.Time, error) {
	switch {
	case l.Days < 0 || l.Days > 3650:
		return nil, core.Invalid("--days", "0 to 3650")
	case l.Days == 0:
		return nil, nil
	}
	return new(time.Now().UTC().AddDate(0, 0, l.Days).Truncate(time.Second)), nil
}

// tokenRow is a token in a list.
type tokenRow struct {
	ID       core.ID    `json:"id"`
	Live     bool       `json:"live"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty"`
}

func tokenRows(tokens []directory.Token) []tokenRow {
	rows := make([]tokenRow, 0, len(tokens))
	for _, one := range tokens {
		rows = append(rows, tokenRow{one.ID, one.Live(time.Now()), one.Created, one.Expires, one.LastUsed})
	}
	return rows
}

// tokens prints a list of tokens.
func (s sheet) tokens(rows []tokenRow) {
	if len(rows) == 0 {
		s.say("no tokens")
		return
	}
	s.say("%-36s  %-16s  %-16s  %s", "TOKEN", "CREATED", "LAST USED", "EXPIRES")
	for _, one := range rows {
		s.say("%s  %s", one.ID, one.times())
	}
}

// times is when a token was made, was last used and ends.
func (r tokenRow) times() string {
	when := func(at *time.Time, otherwise string) string {
		if at == nil {
			return otherwise
		}
		return at.UTC().Format("2006-01-02 15:04")
	}
	expires := when(r.Expires, "never")
	if !r.Live {
		expires += " (expired)"
	}
	return fmt.Sprintf("%-16s  %-16s  %s", when(&r.Created, ""), when(r.LastUsed, "never"), expires)
}
