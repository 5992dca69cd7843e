package push

import "crypto/rand"

const (
	schemaUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaGroup = "urn:ietf:params:scim:schemas:core:2.0:Group"
	schemaPatch = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

type object = map[string]any

// oktaNewUser is what Okta creates a user with. Its password is a random placeholder, which Okta
// sends even when passwords are not synchronised.
func oktaNewUser(user User) object {
	body := oktaProfile(user)
	body["schemas"] = []string{schemaUser}
	body["locale"] = "en-US"
	body["groups"] = []any{}
	body["password"] = rand.Text()[:8]
	return body
}

// oktaProfile is the part of a user that Okta pushes again when a profile changes.
func oktaProfile(user User) object {
	return object{
		"userName":    user.UserName,
		"externalId":  user.ID,
		"displayName": user.DisplayName,
		"name":        object{"givenName": user.GivenName, "familyName": user.FamilyName},
		"emails":      []object{{"primary": true, "value": user.Email, "type": "work"}},
		"active":      true,
	}
}

func oktaNewTeam(team Team, members []Member) object {
	return object{"schemas": []string{schemaGroup}, "displayName": team.DisplayName, "members": oktaMemberList(members)}
}

func oktaWholeTeam(id string, team Team, members []Member) object {
	body := oktaNewTeam(team, members)
	body["id"] = id
	return body
}

func oktaRename(id string, team Team) object {
	return patch(object{"op": "replace", "value": object{"id": id, "displayName": team.DisplayName}})
}

func oktaReplaceMembers(members []Member) object {
	return patch(object{"op": "replace", "path": "members", "value": oktaMemberList(members)})
}

func oktaMembers(add, remove []Member) object {
	var operations []object
	for _, member := range remove {
		operations = append(operations, object{"op": "remove", "path": `members[value eq "` + member.ID + `"]`})
	}
	if len(add) > 0 {
		operations = append(operations, object{"op": "add", "path": "members", "value": oktaMemberList(add)})
	}
	return patch(operations...)
}

func oktaMemberList(members []Member) []object {
	list := make([]object, 0, len(members))
	for _, member := range members {
		list = append(list, object{"value": member.ID, "display": member.UserName})
	}
	return list
}

func patch(operations ...object) object {
	return object{"schemas": []string{schemaPatch}, "Operations": operations}
}

// activation is how each style switches a user on or off.
func activation(style Style, active bool) object {
	switch style {
	case Entra:
		return patch(object{"op": "Replace", "path": "active", "value": entraBoolean(active)})
	case EntraCompliant:
		return patch(object{"op": "replace", "path": "active", "value": active})
	}
	return patch(object{"op": "replace", "value": object{"active": active}})
}
