package signals

import (
	"context"
	"slices"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
)

// resolve finds the users a subject means, inside the connection that was proven and nowhere else.
// An e-mail address that several users share means all of them: a person too many who signs in
// again is better than one session that lives on. Nobody is NotFound.
func (s *Signals) resolve(ctx context.Context, q postgres.Querier, connection directory.Connection, subject Subject) ([]directory.User, error) {
	found := finder{directory: s.Directory, ctx: ctx, q: q, connection: connection}
	switch subject.Format {
	case FormatEmail:
		byEmail, err := s.Directory.UsersByEmail(ctx, q, connection.Workspace, subject.Email)
		for _, user := range byEmail {
			found.add(user, err)
		}
		found.fail(err)
		// Identity providers use the address as userName, and some send no e-mail attribute at all.
		found.add(s.Directory.UserByName(ctx, q, connection.Workspace, connection.ID, subject.Email))
	case FormatIssSub:
		for _, issuer := range s.issuersMeant(connection, subject.Issuer) {
			found.identity(issuer, subject.Subject)
		}
		if len(found.users) == 0 && s.speaksForUs(connection, subject.Issuer) {
			found.provisioned(subject.Subject)
		}
	case FormatOpaque:
		found.provisioned(subject.ID)
		if len(found.users) == 0 {
			for _, issuer := range issuers(connection) {
				found.identity(issuer, subject.ID)
			}
		}
	}
	if found.err != nil {
		return nil, found.err
	}
	if len(found.users) == 0 {
		return nil, core.NotFound("user in this connection")
	}
	return found.users, nil
}

// issuersMeant are the issuers an identity may be linked under: the one named, and when it is one of
// the connection's, the others too, for an organisation with two domains has one set of subjects.
func (s *Signals) issuersMeant(connection directory.Connection, issuer string) []string {
	meant := []string{issuer}
	own := issuers(connection)
	if !slices.ContainsFunc(own, func(name string) bool { return same(name, issuer) }) {
		return meant
	}
	for _, name := range own {
		if !slices.Contains(meant, name) {
			meant = append(meant, name)
		}
	}
	return meant
}

// speaksForUs reports whether an issuer's subjects may be ids that provisioning gave: Okta names a
// user of a provisioned application by the application's own id.
func (s *Signals) speaksForUs(connection directory.Connection, issuer string) bool {
	return same(issuer, s.PublicURL) || slices.ContainsFunc(issuers(connection), func(name string) bool { return same(name, issuer) })
}

// same compares issuers as people type them: with or without a slash at the end.
func same(one, other string) bool {
	return strings.TrimSuffix(one, "/") == strings.TrimSuffix(other, "/")
}

// finder collects users of one connection, each once, and the first error.
type finder struct {
	directory  *directory.Directory
	ctx        context.Context
	q          postgres.Querier
	connection directory.Connection
	users      []directory.User
	err        error
}

// identity adds the user linked to an issuer's subject.
func (f *finder) identity(issuer, subject string) {
	f.add(f.directory.UserByIdentity(f.ctx, f.q, f.connection.Workspace, f.connection.ID, issuer, subject))
}

// provisioned adds the user whose id is the one we gave at provisioning, or else the one the
// identity provider gave.
func (f *finder) provisioned(id string) {
	if own, err := core.ParseID(id); err == nil {
		f.add(f.directory.User(f.ctx, f.q, f.connection.Workspace, own))
	}
	if len(f.users) == 0 {
		f.add(f.directory.UserByExternalID(f.ctx, f.q, f.connection.Workspace, f.connection.ID, id))
	}
}

func (f *finder) add(user directory.User, err error) {
	f.fail(err)
	if err != nil || user.Connection != f.connection.ID {
		return
	}
	if !slices.ContainsFunc(f.users, func(known directory.User) bool { return known.ID == user.ID }) {
		f.users = append(f.users, user)
	}
}

func (f *finder) fail(err error) {
	if err != nil && f.err == nil && core.KindOf(err) != core.KindNotFound {
		f.err = err
	}
}

// issuers are the names a connection's identity provider may sign as.
func issuers(connection directory.Connection) []string {
	var all []string
	if connection.Issuer != "" {
		all = append(all, connection.Issuer)
	}
	return append(all, connection.LogoutIssuers...)
}
