package idp

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
)

const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	patchURN      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	// entraGroupURN comes with the groups of Entra ID.
	entraGroupURN = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
	entraRole     = "WindowsAzureActiveDirectoryRole"
)

// Status is where a person or a group stands with the app.
type Status int

// The statuses.
const (
	Absent   Status = iota // not assigned yet
	Active                 // assigned
	Inactive               // deactivated, and still known
	Deleted                // gone for good
)

// Person is somebody as the identity provider wants the app to know them.
type Person struct {
	Key        int
	Status     Status
	UserName   string
	ExternalID string
	Given      string
	Family     string
	Display    string
	Email      string
	Title      string
	Department string
	Number     string
	Phone      string // Entra ID alone
	Role       string // Entra ID alone
	Manager    int    // key of another person, or -1; Entra ID alone
}

// Group is a group as the identity provider wants the app to know it.
type Group struct {
	Key        int
	Status     Status // Active or Deleted, and Absent before
	Name       string
	ExternalID string // Entra ID alone
	Members    map[int]bool
}

// State is everything the identity provider wants at one time. People and groups stand at their keys.
type State struct {
	People []Person
	Groups []Group
}

func (s State) clone() State {
	next := State{People: append([]Person(nil), s.People...), Groups: append([]Group(nil), s.Groups...)}
	for i := range next.Groups {
		next.Groups[i].Members = maps.Clone(next.Groups[i].Members)
	}
	return next
}

// attributes is what a server should have of a person, each value under its path. id gives the id the
// server knows somebody by.
func (p Person) attributes(shape Shape, id func(key int) string) map[string]string {
	all := map[string]string{
		"userName": p.UserName, "externalId": p.ExternalID, "displayName": p.Display, "name.givenName": p.Given, "name.familyName": p.Family,
		"emails[work].value": p.Email, "emails[work].primary": "true", "title": p.Title, "active": strconv.FormatBool(p.Status == Active),
		enterpriseURN + ":department": p.Department, enterpriseURN + ":employeeNumber": p.Number,
	}
	if !shape.entra() {
		all["locale"] = "en-US"
	} else {
		all["name.formatted"] = p.Given + " " + p.Family
		all["phoneNumbers[mobile].value"] = p.Phone
		if p.Role != "" {
			all["roles["+entraRole+"].value"], all["roles["+entraRole+"].primary"] = p.Role, "true"
		}
		if p.Manager >= 0 {
			all[enterpriseURN+":manager.value"] = id(p.Manager)
		}
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// flatten is attributes of what a server answered. What it adds of its own accord stays out: ids,
// groups, metadata, and what it derives from a reference.
func flatten(resource map[string]any) map[string]string {
	found := map[string]string{}
	for name, value := range resource {
		switch strings.ToLower(name) {
		case "id", "schemas", "meta", "groups", "members":
			continue
		}
		separator := "."
		if strings.HasPrefix(strings.ToLower(name), "urn:") {
			separator = ":"
		}
		flattenInto(found, name, separator, value)
	}
	return found
}

func flattenInto(found map[string]string, path, separator string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if name == "$ref" || strings.HasSuffix(path, "manager") && name == "displayName" {
				continue
			}
			flattenInto(found, path+separator+name, ".", inner)
		}
	case []any:
		for i, element := range value {
			key := strconv.Itoa(i)
			if object, ok := element.(map[string]any); ok {
				if kind, _ := object["type"].(string); kind != "" {
					key = kind
					delete(object, "type")
				}
			}
			for _, taken := found[path+"["+key+"].value"]; taken; _, taken = found[path+"["+key+"].value"] {
				key += "+"
			}
			flattenInto(found, path+"["+key+"]", ".", element)
		}
	case nil:
	case string:
		if value != "" {
			found[path] = value
		}
	default:
		text, _ := json.Marshal(value)
		found[path] = string(text)
	}
}
