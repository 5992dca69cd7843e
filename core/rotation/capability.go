package rotation

import "encoding/json"

// Capability is something a connector can do for an app.
type Capability string

// The capabilities. A connector has those whose interface it implements.
const (
	CanVerify  Capability = "verify"       // every Connector
	CanChange  Capability = "change"       // Changer
	CanEnrol   Capability = "enrol"        // Enroller: turn on a second factor
	CanReset   Capability = "reset"        // Resetter
	CanRecover Capability = "recover"      // Recoverer: set a password by way of the app's forgotten-password mail
	CanDisable Capability = "disable"      // Disabler
	CanRevoke  Capability = "end_sessions" // Revoker
	CanList    Capability = "list"         // Lister: tell which accounts an app has
	CanIssue   Capability = "tokens"       // Issuer: make and end an account's tokens
)

// Particular is a Connector that can do less in one app than in another.
type Particular interface {
	Connector

	// Can reports whether an app's settings allow for what the connector has an interface for; nil: whether some do. Settings
	// that cannot be read allow for nothing.
	Can(settings json.RawMessage, capability Capability) bool
}

// Capabilities are what a connector can do in an app with these settings; nil: in some app. They are in the order of the
// constants.
func Capabilities(connector Connector, settings json.RawMessage) []Capability {
	var can []Capability
	particular, less := connector.(Particular)
	add := func(capability Capability, implemented bool) {
		if implemented && (!less || particular.Can(settings, capability)) {
			can = append(can, capability)
		}
	}
	_, changes := connector.(Changer)
	_, enrols := connector.(Enroller)
	_, resets := connector.(Resetter)
	add(CanVerify, connector != nil)
	add(CanChange, changes)
	add(CanEnrol, enrols)
	add(CanReset, resets)
	_, recovers := connector.(Recoverer)
	add(CanRecover, recovers)
	_, disables := connector.(Disabler)
	_, revokes := connector.(Revoker)
	add(CanDisable, disables)
	add(CanRevoke, revokes)
	_, lists := connector.(Lister)
	add(CanList, lists)
	_, issues := connector.(Issuer)
	add(CanIssue, issues)
	return can
}
