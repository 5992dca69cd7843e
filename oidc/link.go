package oidc

import (
	"context"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
)

// userOf finds the user of a connection whom an IdP means, and links the two the first time: by the
// id the IdP itself gave (SCIM externalId is sub, or oid with Entra), else by name. A name is a weaker
// sign than an id (it can be given to somebody else later), so it links only a user whom no identity
// has claimed yet. Somebody nobody provisioned is made just in time where the connection says so. No
// user of another connection is ever meant, whatever address the two share.
func (s *Service) userOf(ctx context.Context, tx pgx.Tx, cause core.Cause, connection directory.Connection, who identity) (directory.User, error) {
	workspace := connection.Workspace
	for _, subject := range []string{who.subject, who.pairwise} {
		if subject == "" {
			continue
		}
		user, err := s.Directory.UserByIdentity(ctx, tx, workspace, connection.ID, who.issuer, subject)
		if err == nil || core.KindOf(err) != core.KindNotFound {
			return user, err
		}
	}
	for _, id := range []string{who.subject, who.pairwise} {
		if id == "" {
			continue
		}
		user, err := s.Directory.UserByExternalID(ctx, tx, workspace, connection.ID, id)
		if core.KindOf(err) == core.KindNotFound && err != nil {
			continue
		}
		if err != nil {
			return directory.User{}, err
		}
		return user, s.Directory.LinkIdentity(ctx, tx, workspace, connection.ID, who.issuer, who.subject, user.ID)
	}
	for _, name := range []string{who.userName, who.email} {
		if name == "" {
			continue
		}
		user, err := s.Directory.UserByName(ctx, tx, workspace, connection.ID, name)
		if err != nil {
			if core.KindOf(err) == core.KindNotFound {
				continue
			}
			return directory.User{}, err
		}
		if user.Connection != connection.ID || otherPerson(connection, user, who) {
			continue
		}
		// The lock lets one of two identities that claim the name at once come first.
		if user, err = s.Directory.LockUser(ctx, tx, workspace, user.ID); err != nil {
			return directory.User{}, err
		}
		claimed, err := hasIdentity(ctx, tx, workspace, connection.ID, user.ID)
		if err != nil {
			return directory.User{}, err
		}
		if claimed {
			continue
		}
		return user, s.Directory.LinkIdentity(ctx, tx, workspace, connection.ID, who.issuer, who.subject, user.ID)
	}
	if connection.SignIn.JustInTime {
		return s.newUser(ctx, tx, cause, connection, who)
	}
	return directory.User{}, core.Denied("nobody has been provisioned for this sign-in").WithCode(codeNotProvisioned)
}

// otherPerson recognises a user name that was given to somebody new: the IdP's own ids differ. Okta's
// ids of people and Entra's are told by their form; elsewhere an externalId may be anything.
func otherPerson(connection directory.Connection, user directory.User, who identity) bool {
	if user.ExternalID == who.subject {
		return false
	}
	switch connection.Kind {
	case directory.Okta:
		return strings.HasPrefix(user.ExternalID, "00u") && strings.HasPrefix(who.subject, "00u")
	case directory.Entra:
		return objectID.MatchString(user.ExternalID) && objectID.MatchString(who.subject)
	}
	return false
}

var objectID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

const selectHasIdentity = `
select exists (select from identities where workspace_id = @workspace and connection_id = @connection and user_id = @user)`

func hasIdentity(ctx context.Context, q postgres.Querier, workspace, connection, user core.ID) (bool, error) {
	var exists bool
	err := q.QueryRow(ctx, selectHasIdentity, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "user": user}).Scan(&exists)
	return exists, postgres.Classify(err)
}
