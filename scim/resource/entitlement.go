package resource

import (
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
)

// The URNs by which Okta Identity Governance knows what it may grant ("SCIM 2.0 with entitlements").
const (
	EntitlementURN = "urn:okta:scim:schemas:core:1.0:Entitlement"
	RoleURN        = "urn:okta:scim:schemas:core:1.0:Role"
)

// Entitlement is the type of what a person may be allowed to use: a shared account.
func Entitlement() *Type {
	return newType(Type{
		Name: "Entitlement", Endpoint: "/Entitlements", Description: "The use of a shared account",
		Core: grantable(EntitlementURN, "Entitlement", "What kind of grant this is: the name of the resource type."),
	})
}

// Role is the type of what a person may be made responsible for: the ownership of a shared account.
func Role() *Type {
	return newType(Type{
		Name: "Role", Endpoint: "/Roles", Description: "The ownership of a shared account",
		Core: grantable(RoleURN, "Role", "What kind of grant this is: the name of the resource type."),
	})
}

func grantable(urn, name, kind string) schema.Schema {
	readOnly := schema.AttributeMutabilityReadOnly()
	text := func(attribute, description string) schema.CoreAttribute {
		return schema.SimpleCoreAttribute(schema.SimpleStringParams(schema.StringParams{
			Name: attribute, Mutability: readOnly, Description: optional.NewString(description),
		}))
	}
	return schema.Schema{
		ID: urn, Name: optional.NewString(name), Description: optional.NewString("What the identity provider can grant"),
		Attributes: schema.Attributes{
			text("displayName", "The application and the login in it."),
			text("type", kind),
			text("description", "What whoever holds it may do."),
		},
	}
}
