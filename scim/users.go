package scim

import (
	"context"
	"net/http"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/scim/resource"
)

func (s *Service) createUser(r *request) (answer, error) {
	sent, err := r.document()
	if err != nil {
		return answer{}, err
	}
	o, err := userType.Normalise(sent, r.profile)
	if err != nil {
		return answer{}, err
	}
	if _, found := o.Get("active"); !found {
		o.Set("active", true)
	}
	user := directory.User{Workspace: r.connection.Workspace, Connection: r.connection.ID}
	provision := r.recording(http.StatusCreated).Provision
	if r.grants() {
		wanted, err := takeEntitlements(o)
		if err != nil {
			return answer{}, err
		}
		provision = func(ctx context.Context, cause core.Cause, user directory.User) (directory.User, error) {
			return r.recording(http.StatusCreated).ProvisionEntitled(ctx, cause, user, wanted)
		}
	}
	if err := write(&user, o); err != nil {
		return answer{}, err
	}
	made, err := provision(r.Context(), r.cause, user)
	if err != nil {
		return answer{}, r.nameUser(err, user)
	}
	return r.showUser(http.StatusCreated, made)
}

func (s *Service) getUser(r *request) (answer, error) {
	user, err := r.user()
	if err != nil {
		return answer{}, err
	}
	if err := r.precondition(user.Version); err != nil {
		return answer{}, err
	}
	// The groups a person is in are no part of their version, nor is what others grant them.
	if r.unchanged(user.Version) && !r.projection(userType).Wants("groups") && !r.grants() {
		return answer{status: http.StatusNotModified, header: map[string]string{"ETag": etag(user.Version)}}, nil
	}
	return r.showUser(http.StatusOK, user)
}

// user is the one the address names, if the connection provisioned them.
func (r *request) user() (directory.User, error) {
	id, err := r.resourceID("user")
	if err != nil {
		return directory.User{}, err
	}
	if r.sight != nil {
		if r.sight.User == nil {
			return directory.User{}, core.NotFound("user")
		}
		return *r.sight.User, r.own(*r.sight.User)
	}
	user, err := r.Directory.User(r.Context(), r.DB, r.connection.Workspace, id)
	if err != nil {
		return directory.User{}, err
	}
	return user, r.own(user)
}

func (r *request) own(user directory.User) error {
	if user.Connection != r.connection.ID {
		return core.NotFound("user")
	}
	return nil
}

// replaceUser is PUT. What the request does not mention is removed, but for what would be a different
// act: being active, the id the identity provider knows the person by, and what they were granted.
func (s *Service) replaceUser(r *request) (answer, error) {
	sent, err := r.document()
	if err != nil {
		return answer{}, err
	}
	wanted, err := userType.Normalise(sent, r.profile)
	if err != nil {
		return answer{}, err
	}
	_, mentioned := sent.Get("externalId")
	return r.changeUser(func(user directory.User, held []accounts.Held) (*resource.Object, error) {
		o := wanted.Clone()
		if _, found := o.Get("active"); !found {
			o.Set("active", user.Active)
		}
		if !mentioned && user.ExternalID != "" {
			o.Set("externalId", user.ExternalID)
		}
		for _, g := range grantables {
			if _, mentioned := sent.Get(g.attribute); !mentioned {
				g.show(o, held)
			}
		}
		return o, nil
	})
}

func (s *Service) patchUser(r *request) (answer, error) {
	body, err := r.document()
	if err != nil {
		return answer{}, err
	}
	changes, err := userType.Changes(body, r.profile)
	if err != nil {
		return answer{}, err
	}
	return r.changeUser(func(user directory.User, held []accounts.Held) (*resource.Object, error) {
		o, err := editable(user)
		if err != nil {
			return nil, err
		}
		if r.grants() {
			showHeld(o, held)
		}
		return o, userType.Patch(o, changes, r.profile)
	})
}

// changeUser makes the user the address names what edit returns, in one transaction with all that
// follows from it. held is what they hold now, if the connection grants.
func (r *request) changeUser(edit func(user directory.User, held []accounts.Held) (*resource.Object, error)) (answer, error) {
	id, err := r.resourceID("user")
	if err != nil {
		return answer{}, err
	}
	wanted := func(user *directory.User, held []accounts.Held) (*resource.Object, error) {
		if err := r.own(*user); err != nil {
			return nil, err
		}
		if err := r.precondition(user.Version); err != nil {
			return nil, err
		}
		return edit(*user, held)
	}
	var after directory.User
	if r.grants() {
		after, err = r.recording(http.StatusOK).ChangeEntitled(r.Context(), r.cause, r.connection.Workspace, id,
			func(user *directory.User, held []accounts.Held) ([]accounts.Entitlement, error) {
				o, err := wanted(user, held)
				if err != nil {
					return nil, err
				}
				granted, err := takeEntitlements(o)
				if err != nil {
					return nil, err
				}
				return granted, write(user, o)
			})
	} else {
		after, err = r.recording(http.StatusOK).Change(r.Context(), r.cause, r.connection.Workspace, id, func(user *directory.User) error {
			o, err := wanted(user, nil)
			if err != nil {
				return err
			}
			return write(user, o)
		})
	}
	if err != nil {
		return answer{}, err
	}
	return r.showUser(http.StatusOK, after)
}

func (s *Service) deleteUser(r *request) (answer, error) {
	id, err := r.resourceID("user")
	if err != nil {
		return answer{}, err
	}
	err = r.recording(http.StatusNoContent).Remove(r.Context(), r.cause, r.connection.Workspace, id, func(user directory.User) error {
		if err := r.own(user); err != nil {
			return err
		}
		return r.precondition(user.Version)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// showUser answers with a user.
func (r *request) showUser(status int, user directory.User) (answer, error) {
	projection := r.projection(userType)
	o, err := r.fullUser(user, projection)
	if err != nil {
		return answer{}, err
	}
	return answer{
		status: status, body: projection.Apply(o).Append(make([]byte, 0, 1024)),
		header: r.headers(userType, user.ID, user.Version, status),
	}, nil
}

// fullUser is a user with the groups they are in, if those are wanted, and with what they hold, if the
// connection grants.
func (r *request) fullUser(user directory.User, projection resource.Projection) (*resource.Object, error) {
	o, err := r.userResource(user)
	if err != nil {
		return nil, err
	}
	if projection.Wants("groups") {
		teams, err := r.teamsOf(user)
		if err != nil {
			return nil, err
		}
		r.showGroups(o, teams)
	}
	if r.grants() {
		held, err := r.Accounts.Held(r.Context(), r.DB, user.Workspace, user.ID)
		if err != nil {
			return nil, err
		}
		showHeld(o, held)
	}
	return o, nil
}

func (r *request) teamsOf(user directory.User) ([]directory.TeamName, error) {
	if r.sight != nil {
		return r.sight.Teams, nil
	}
	teams, err := r.Directory.TeamsOf(r.Context(), r.DB, user.Workspace, user.ID)
	names := make([]directory.TeamName, len(teams))
	for i, team := range teams {
		names[i] = team.Name()
	}
	return names, err
}

// headers belong to the answer with one resource.
func (r *request) headers(kind *resource.Type, id core.ID, version int64, status int) map[string]string {
	header := map[string]string{"ETag": etag(version)}
	if status == http.StatusCreated {
		header["Location"] = r.location(kind, id)
	}
	return header
}
