package hooks

import (
	"slices"

	"postern/core/signals"
)

// oktaRule is what a type of event means.
type oktaRule struct {
	kind       signals.Kind
	done       bool // it means something only if it succeeded
	self       bool // people do it themselves: the actor is meant where no user is a target
	session    bool // it is about one session
	credential string
}

// oktaTypes are the types that matter, of those that event hooks can be had for. Every other type is recorded
// and sets nothing in motion. A lock comes of wrong passwords, which anybody can send: it is no reason to take
// anything from anybody.
var oktaTypes = map[string]oktaRule{
	"user.lifecycle.create":           {kind: signals.Other},
	"user.lifecycle.activate":         {kind: signals.AccountEnabled, done: true},
	"user.lifecycle.reactivate":       {kind: signals.AccountEnabled, done: true},
	"user.lifecycle.unsuspend":        {kind: signals.AccountEnabled, done: true},
	"user.lifecycle.deactivate":       {kind: signals.AccountDisabled, done: true},
	"user.lifecycle.suspend":          {kind: signals.AccountDisabled, done: true},
	"user.lifecycle.delete.initiated": {kind: signals.AccountPurged, done: true},

	"user.session.start":          {kind: signals.SessionEstablished, done: true, self: true, session: true},
	"user.session.context.change": {kind: signals.SessionPresented, self: true, session: true},
	"user.session.end":            {kind: signals.Logout, done: true, self: true, session: true},
	"user.session.clear":          {kind: signals.SessionRevoked, done: true},

	"user.authentication.universal_logout":           {kind: signals.SessionRevoked},
	"user.authentication.universal_logout.scheduled": {kind: signals.SessionRevoked},
	"policy.auth_reevaluate.fail":                    {kind: signals.AssuranceChanged, self: true},
	"user.risk.change":                               {kind: signals.RiskChanged, self: true},
	"user.risk.detect":                               {kind: signals.RiskChanged, self: true},

	"user.account.lock":                                  {kind: signals.Other},
	"user.account.unlock":                                {kind: signals.Other},
	"user.account.update_password":                       {kind: signals.CredentialChanged, done: true, self: true, credential: "password"},
	"user.account.reset_password":                        {kind: signals.CredentialChanged, done: true, credential: "password"},
	"user.account.update_profile":                        {kind: signals.ClaimsChanged, done: true},
	"user.account.report_suspicious_activity_by_enduser": {kind: signals.CredentialCompromised, self: true},

	"user.mfa.factor.deactivate": {kind: signals.CredentialChanged, done: true, self: true, credential: "app"},
	"user.mfa.factor.reset_all":  {kind: signals.CredentialChanged, done: true, self: true, credential: "app"},

	"group.user_membership.add":                   {kind: signals.ClaimsChanged, done: true},
	"group.user_membership.remove":                {kind: signals.ClaimsChanged, done: true},
	"application.user_membership.add":             {kind: signals.ClaimsChanged, done: true},
	"application.user_membership.remove":          {kind: signals.ClaimsChanged, done: true},
	"application.user_membership.update":          {kind: signals.ClaimsChanged, done: true},
	"application.user_membership.change_password": {kind: signals.Other},
}

// OktaTypes are the types to subscribe an Event Hook to, in order.
func OktaTypes() []string {
	types := make([]string, 0, len(oktaTypes))
	for one := range oktaTypes {
		types = append(types, one)
	}
	slices.Sort(types)
	return types
}
