package push

const (
	schemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	// schemaEntraGroup is a URN of Microsoft's own that Entra lists on every group it creates.
	schemaEntraGroup = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
)

func entraNewUser(user User) object {
	return object{
		"schemas":     []string{schemaUser, schemaEnterprise},
		"externalId":  user.ID,
		"userName":    user.UserName,
		"active":      true,
		"displayName": user.DisplayName,
		"emails":      []object{{"primary": true, "type": "work", "value": user.Email}},
		"meta":        object{"resourceType": "User"},
		"name":        object{"formatted": user.DisplayName, "familyName": user.FamilyName, "givenName": user.GivenName},
		"roles":       []any{},
	}
}

// entraUpdate is a profile update: one operation per attribute by default, and with the flag one
// value path operation and one without a path whose keys are dotted.
func entraUpdate(style Style, user User) object {
	if style == EntraCompliant {
		return patch(
			object{"op": "replace", "path": `emails[type eq "work"].value`, "value": user.Email},
			object{"op": "replace", "value": object{
				"active":          true,
				"displayName":     user.DisplayName,
				"name.givenName":  user.GivenName,
				"name.familyName": user.FamilyName,
				"name.formatted":  user.DisplayName,
				"externalId":      user.ID,
				"userName":        user.UserName,
			}},
		)
	}
	replace := func(path string, value any) object {
		return object{"op": "Replace", "path": path, "value": value}
	}
	return patch(
		replace("active", entraBoolean(true)),
		replace("displayName", user.DisplayName),
		replace(`emails[type eq "work"].value`, user.Email),
		replace("name.givenName", user.GivenName),
		replace("name.familyName", user.FamilyName),
		replace("name.formatted", user.DisplayName),
		replace("externalId", user.ID),
		replace("userName", user.UserName),
	)
}

func entraNewTeam(team Team) object {
	return object{
		"schemas":     []string{schemaGroup, schemaEntraGroup},
		"externalId":  team.ID,
		"displayName": team.DisplayName,
		"meta":        object{"resourceType": "Group"},
	}
}

func entraMembers(style Style, add, remove []Member) object {
	addition := "Add"
	if style == EntraCompliant {
		addition = "add"
	}
	var operations []object
	if len(add) > 0 {
		operations = append(operations, object{"op": addition, "path": "members", "value": entraMemberList(add)})
	}
	if style == EntraCompliant {
		for _, member := range remove {
			operations = append(operations, object{"op": "remove", "path": `members[value eq "` + member.ID + `"]`})
		}
	} else if len(remove) > 0 {
		operations = append(operations, object{"op": "Remove", "path": "members", "value": entraMemberList(remove)})
	}
	return patch(operations...)
}

func entraMemberList(members []Member) []object {
	list := make([]object, 0, len(members))
	for _, member := range members {
		list = append(list, object{"$ref": nil, "value": member.ID})
	}
	return list
}

func entraBoolean(value bool) string {
	if value {
		return "True"
	}
	return "False"
}
