package scim

import (
	"postern/core"
	"postern/core/directory"
)

// occupied is a Conflict with what the connection made itself, and where that is. A create that is
// sent again after a timeout finds its way to what the first one made; nothing of it is changed. Okta
// and Entra ID do not follow a Location with a 409 (both look up by filter), others may. What another
// connection made is never named.
type occupied struct {
	error
	location string
	id       core.ID
}

// Unwrap gives the Conflict.
func (o occupied) Unwrap() error { return o.error }

// nameUser adds to a Conflict where the user in the way is, if it is the connection's own.
func (r *request) nameUser(err error, wanted directory.User) error {
	var found directory.User
	var fault error
	switch e := core.AsError(err); {
	case e.Kind == core.KindConflict && e.Field == "userName":
		found, fault = r.Directory.UserByName(r.Context(), r.DB, wanted.Workspace, wanted.Connection, wanted.UserName)
	case e.Kind == core.KindConflict && e.Field == "externalId":
		found, fault = r.Directory.UserByExternalID(r.Context(), r.DB, wanted.Workspace, wanted.Connection, wanted.ExternalID)
	default:
		return err
	}
	if fault != nil {
		return err
	}
	return occupied{err, r.location(userType, found.ID), found.ID}
}

// nameGroup is nameUser for groups.
func (r *request) nameGroup(err error, wanted directory.Team) error {
	e := core.AsError(err)
	if e.Kind != core.KindConflict || e.Field != "displayName" {
		return err
	}
	query := directory.TeamQuery{Connection: wanted.Connection, DisplayName: wanted.DisplayName, Limit: 1}
	found, _, fault := r.Directory.Teams(r.Context(), r.DB, wanted.Workspace, query)
	if fault != nil || len(found) == 0 {
		return err
	}
	return occupied{err, r.location(groupType, found[0].ID), found[0].ID}
}
