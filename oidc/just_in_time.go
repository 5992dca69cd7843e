package oidc

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
)

// newUser makes the user of a connection whom nobody provisioned, as their IdP describes them. Whoever
// the IdP took out by SCIM is not brought back by signing in, and nobody's name is taken over.
func (s *Service) newUser(ctx context.Context, tx pgx.Tx, cause core.Cause, connection directory.Connection, who identity) (directory.User, error) {
	name := who.userName
	if name == "" {
		name = who.email
	}
	if name == "" {
		return directory.User{}, core.Denied("the identity provider does not say what to call the person (preferred_username, or a verified email)").WithCode(codeNotProvisioned)
	}
	if domains := connection.SignIn.Domains; len(domains) > 0 && !slices.Contains(domains, domainOf(connection, who)) {
		return directory.User{}, core.Denied("the person's address is not of a domain that users are made for").WithCode(codeOtherDomain)
	}
	gone, err := wasDeleted(ctx, tx, connection, who)
	if err != nil {
		return directory.User{}, err
	}
	if gone {
		return directory.User{}, core.Denied("the identity provider has deprovisioned this person").WithCode(codeGone)
	}
	if _, err := s.Directory.UserByName(ctx, tx, connection.Workspace, connection.ID, name); err == nil {
		return directory.User{}, core.Denied("a user of this name exists already and belongs to another identity").WithCode(codeNameTaken)
	} else if core.KindOf(err) != core.KindNotFound {
		return directory.User{}, err
	}
	made, err := s.Directory.InsertUser(ctx, tx, directory.User{
		Workspace: connection.Workspace, Connection: connection.ID, UserName: name, ExternalID: who.subject, Role: directory.RoleUser,
		DisplayName: who.displayName, GivenName: who.givenName, FamilyName: who.familyName, Email: who.email, Active: true,
	})
	if core.KindOf(err) == core.KindConflict && err != nil {
		return directory.User{}, core.Denied("somebody of this name was provisioned at the same time").WithCode(codeNameTaken).Because(err)
	}
	if err != nil {
		return directory.User{}, err
	}
	event := core.NewEvent(core.UserProvisioned, made.Workspace, cause, s.now(), made.Target()).With("active", "true").With("just_in_time", "true")
	if err := audit.Append(ctx, tx, event); err != nil {
		return directory.User{}, err
	}
	return made, s.Directory.LinkIdentity(ctx, tx, connection.Workspace, connection.ID, who.issuer, who.subject, made.ID)
}

// domainOf is the domain of an address that the IdP vouches for. Entra ID's are those of the tenant in
// the user name of a member; a guest's holds #EXT# and is of nowhere.
func domainOf(connection directory.Connection, who identity) string {
	address := who.email
	if connection.Kind == directory.Entra {
		address = who.userName
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 || strings.Contains(address, "#EXT#") {
		return ""
	}
	return strings.ToLower(address[at+1:])
}

const selectWasDeleted = `
select exists (
	select from users where workspace_id = @workspace and connection_id = @connection and external_id = any(@ids) and deleted is not null
) or exists (
	select from identities i join users u on u.workspace_id = i.workspace_id and u.id = i.user_id
	where i.workspace_id = @workspace and i.connection_id = @connection and i.issuer = @issuer and i.subject = any(@ids) and u.deleted is not null)`

func wasDeleted(ctx context.Context, q postgres.Querier, connection directory.Connection, who identity) (bool, error) {
	ids := []string{who.subject}
	if who.pairwise != "" {
		ids = append(ids, who.pairwise)
	}
	var gone bool
	err := q.QueryRow(ctx, selectWasDeleted, pgx.StrictNamedArgs{
		"workspace": connection.Workspace, "connection": connection.ID, "issuer": who.issuer, "ids": ids,
	}).Scan(&gone)
	return gone, postgres.Classify(err)
}
