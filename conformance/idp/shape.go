package idp

import (
	"slices"
	"strings"

	"postern/core"
)

// Shape is an identity provider with the way in which it is connected.
type Shape string

// The shapes.
const (
	Okta        Shape = "okta"         // an app of the integration network: PATCH for being active and for groups
	OktaWizard  Shape = "okta-wizard"  // an app of the integration wizard: PUT of everything
	Entra       Shape = "entra"        // with the flag aadOptscim062020
	EntraLegacy Shape = "entra-legacy" // without it: "Replace", "False", one operation for each attribute
)

// Shapes is all of them.
var Shapes = []Shape{Okta, OktaWizard, Entra, EntraLegacy}

// ParseShape reads the name of a shape.
func ParseShape(name string) (Shape, error) {
	if shape := Shape(name); slices.Contains(Shapes, shape) {
		return shape, nil
	}
	return "", core.Invalid("shape", "%q is none of okta, okta-wizard, entra and entra-legacy", name)
}

func (s Shape) entra() bool { return s == Entra || s == EntraLegacy }

// word writes an operation of a PATCH as the shape does.
func (s Shape) word(operation string) string {
	if s == EntraLegacy {
		return strings.ToUpper(operation[:1]) + operation[1:]
	}
	return operation
}

func (s Shape) agent() string {
	if s.entra() {
		return "" // none is documented: Entra ID is known by its shapes
	}
	return "Okta SCIM Client 1.0.0"
}
