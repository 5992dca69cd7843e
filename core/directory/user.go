package directory

import (
	"encoding/json"
	"slices"
	"time"

	"postern/core"
)

// Role is what a user may do in the workspace as a whole.
type Role string

// The roles, most powerful first.
const (
	RoleOwner      Role = "owner"
	RoleSuperAdmin Role = "super_admin"
	RoleAdmin      Role = "admin"
	RoleUser       Role = "user"
	RoleLoginOnly  Role = "login_only"
	RoleGuest      Role = "guest"
)

// Administers reports whether the role manages what belongs to others.
func (r Role) Administers() bool { return r == RoleOwner || r == RoleSuperAdmin || r == RoleAdmin }

// MayOwn reports whether the role may own an account; the others are collaborators at most.
func (r Role) MayOwn() bool { return r.Administers() || r == RoleUser }

// roles are all of them, most powerful first.
var roles = []Role{RoleOwner, RoleSuperAdmin, RoleAdmin, RoleUser, RoleLoginOnly, RoleGuest}

// Above reports whether the role is more powerful than another one.
func (r Role) Above(other Role) bool {
	at, below := slices.Index(roles, r), slices.Index(roles, other)
	return at >= 0 && (below < 0 || at < below)
}

func (r Role) known() bool { return slices.Contains(roles, r) }

// User is a person of a workspace, as the identity provider describes them.
type User struct {
	ID          core.ID         `db:"id"`
	Workspace   core.ID         `db:"workspace_id"`
	Connection  core.ID         `db:"connection_id"` // zero: a guest, whom no IdP provisions
	UserName    string          `db:"user_name"`     // unique in the connection, whatever its case
	ExternalID  string          `db:"external_id"`   // unique in the connection, case matters
	DisplayName string          `db:"display_name"`
	GivenName   string          `db:"given_name"`
	FamilyName  string          `db:"family_name"`
	Email       string          `db:"email"` // the primary one
	Active      bool            `db:"active"`
	Role        Role            `db:"role"`
	Attributes  json.RawMessage `db:"attributes"` // the rest of the IdP's resource, a JSON object
	Version     int64           `db:"version"`    // grows with every change
	Epoch       *time.Time      `db:"epoch"`      // sessions begun before it are dead; only EndSessions raises it
	Created     time.Time       `db:"created"`
	Updated     time.Time       `db:"updated"`
	Deleted     *time.Time      `db:"deleted"` // no read finds a deleted user; the row stays for its history
}

// Name is what a person would call the user.
func (u User) Name() string {
	if u.DisplayName != "" {
		return u.DisplayName
	}
	return u.UserName
}

// Actor is the user as who did something.
func (u User) Actor() core.Actor { return core.Actor{Kind: core.ActorUser, ID: u.ID, Name: u.Name()} }

// Target is the user as what something happened to.
func (u User) Target() core.Target { return core.Target{Kind: "user", ID: u.ID, Name: u.Name()} }

// check refuses a user that cannot be stored and returns it with its attributes made storable.
func (u User) check() (User, error) {
	if err := present("userName", u.UserName); err != nil {
		return User{}, err
	}
	for _, text := range []struct{ field, value string }{
		{"externalId", u.ExternalID}, {"displayName", u.DisplayName}, {"name.givenName", u.GivenName},
		{"name.familyName", u.FamilyName}, {"emails", u.Email},
	} {
		if err := short(text.field, text.value); err != nil {
			return User{}, err
		}
	}
	if !u.Role.known() {
		return User{}, core.Invalid("role", "a role is owner, super_admin, admin, user, login_only or guest")
	}
	attributes, err := object(u.Attributes)
	u.Attributes = attributes
	return u, err
}
