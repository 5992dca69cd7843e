package scim

import (
	"postern/core/directory"
	"postern/scim/resource"
)

// fullGroup is a team with its members, if those are wanted.
func (r *request) fullGroup(team directory.Team, projection resource.Projection) (*resource.Object, error) {
	o, err := r.groupResource(team)
	if err != nil || !projection.Wants("members") {
		return o, err
	}
	members, err := r.Directory.Members(r.Context(), r.DB, team.Workspace, team.ID, 0, 0)
	if err != nil {
		return nil, err
	}
	shown := make([]any, 0, len(members))
	for _, member := range members {
		display := member.DisplayName
		if display == "" {
			display = member.UserName
		}
		shown = append(shown, resource.NewObject("value", member.User.String(), "$ref", r.location(userType, member.User), "display", display, "type", "User"))
	}
	o.Set("members", shown)
	return o, nil
}
