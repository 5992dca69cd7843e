package oidc

import (
	"errors"
	"regexp"

	"postern/core"
)

// errorPage is an error an identity provider may answer with, and what a person is told.
type errorPage struct {
	kind    core.Kind
	message string // for the administrator, in the event
	title   string
	text    string // what happened, and what to do
}

// settingsWrong ends what is said about errors that only an administrator can do something about.
const settingsWrong = " You cannot change that yourself: tell your administrator the word below."

// registered are the errors of the authorization endpoint that are registered with IANA (RFC 6749
// §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6, RFC 8707, OpenID Connect Unmet Authentication
// Requirements 1.0). The word is the code of the event. Any other is somebody's text.
var registered = map[string]errorPage{
	"access_denied": {core.KindDenied, "the sign-in was cancelled or not allowed at the identity provider",
		"You were not signed in", "The sign-in was cancelled, or your identity provider does not let you into Postern. Your administrator decides there who may."},
	"login_required": {core.KindDenied, "the identity provider wants the person to sign in there: login_required",
		"Sign in at your identity provider first", "Your identity provider has no session of yours in this browser. Try again, and sign in there when it asks."},
	"interaction_required": {core.KindDenied, "the identity provider has something to ask the person: interaction_required",
		"Your identity provider has a question for you", "It needs you to do something there first, such as a second factor or new terms. Try again, and answer what it asks."},
	"consent_required": {core.KindDenied, "nobody has consented to Postern at the identity provider: consent_required",
		"Your identity provider wants consent", "You or an administrator must allow Postern there. Try again and allow it; if you are not asked, your administrator has to."},
	"account_selection_required": {core.KindDenied, "the person has several accounts at the identity provider: account_selection_required",
		"Choose an account", "Your identity provider knows several accounts of yours in this browser. Try again, and choose one there."},
	"unmet_authentication_requirements": {core.KindDenied, "the identity provider cannot give the proof that is asked for: unmet_authentication_requirements",
		"Your sign-in is not strong enough", "Postern asks for a stronger proof than your identity provider could get from you. Set up the second factor it wants, or ask your administrator."},
	"temporarily_unavailable": {core.KindUnavailable, "the identity provider has a problem: temporarily_unavailable",
		"Your identity provider is busy", "It asks to be tried again in a moment."},
	"server_error": {core.KindUnavailable, "the identity provider has a problem: server_error",
		"Your identity provider has a problem", "The fault is on its side. Try again in a moment; if it stays so, tell your administrator."},
	"invalid_request": {core.KindDenied, "the identity provider does not accept this connection's settings: invalid_request",
		"Your identity provider did not understand Postern", "It finds the request faulty." + settingsWrong},
	"unauthorized_client": {core.KindDenied, "the identity provider does not accept this connection's settings: unauthorized_client",
		"Postern may not sign people in there", "Its app at your identity provider is not allowed to use the authorization code flow." + settingsWrong},
	"unsupported_response_type": {core.KindDenied, "the identity provider does not accept this connection's settings: unsupported_response_type",
		"Your identity provider does not do the code flow", "The app there is of another kind than Postern needs." + settingsWrong},
	"invalid_scope": {core.KindDenied, "the identity provider does not accept the connection's scopes: invalid_scope",
		"Postern asks for something that is not there", "One of the scopes of this connection is unknown at your identity provider, or not allowed." + settingsWrong},
	"request_not_supported": {core.KindDenied, "the identity provider does not accept this connection's settings: request_not_supported",
		"Your identity provider did not understand Postern", "It does not take request objects." + settingsWrong},
	"request_uri_not_supported": {core.KindDenied, "the identity provider does not take the pushed request: request_uri_not_supported",
		"Your identity provider did not take the request", "It does not take pushed requests." + settingsWrong},
	"invalid_request_uri": {core.KindDenied, "the identity provider does not know the pushed request any more: invalid_request_uri",
		"The sign-in took too long", "Your identity provider has forgotten what Postern asked. Try again."},
	"invalid_request_object": {core.KindDenied, "the identity provider does not accept this connection's settings: invalid_request_object",
		"Your identity provider did not understand Postern", "It finds the request object faulty." + settingsWrong},
	"registration_not_supported": {core.KindDenied, "the identity provider does not accept this connection's settings: registration_not_supported",
		"Your identity provider does not know Postern", "The app has to be set up there first." + settingsWrong},
	"invalid_target": {core.KindDenied, "the identity provider does not accept this connection's settings: invalid_target",
		"Your identity provider did not understand Postern", "It does not know the resource that is asked for." + settingsWrong},
}

// answered says what an error of the IdP means. Of the description, which is anybody's text, only
// Microsoft's number of the reason is kept.
func answered(word, description string) *core.Error {
	known, ok := registered[word]
	if !ok {
		return core.Denied("the identity provider refused the sign-in").WithCode(codeRefused).Because(&refusal{trace: microsoftNumber(description)})
	}
	fault := core.Denied("%s", known.message)
	if known.kind == core.KindUnavailable {
		fault = core.Unavailable(discoveryRetry, "%s", known.message)
	}
	return fault.WithCode(word).Because(&refusal{code: word, trace: microsoftNumber(description)})
}

// tokenRefusal says what the no of the token endpoint, or the one requests are pushed to, means.
func tokenRefusal(err error, endpoint string) error {
	answer, ok := errors.AsType[*refusal](err)
	if !ok {
		return core.Unavailable(discoveryRetry, "the identity provider's %s does not answer", endpoint).WithCode(codeProviderDown).Because(err)
	}
	switch {
	case answer.status >= 500:
		return core.Unavailable(discoveryRetry, "the identity provider's %s answered %d", endpoint, answer.status).WithCode(codeProviderDown).Because(answer)
	case answer.code == "invalid_client" || answer.code == "unauthorized_client" || answer.status == 401:
		return core.Denied("the identity provider does not accept this connection's client id, secret or key").WithCode(codeClientRefused).Because(answer)
	case answer.code == "invalid_grant":
		return core.Denied("the identity provider does not accept the code: it has expired, was used, or belongs to another sign-in").WithCode(codeTokenRefused).Because(answer)
	case answer.status >= 300 && answer.status < 400:
		return core.Denied("the identity provider's %s wants to be asked elsewhere, which is not done", endpoint).WithCode(codeProviderWrong).Because(answer)
	}
	if known, ok := registered[answer.code]; ok && known.kind == core.KindDenied {
		return core.Denied("%s", known.message).WithCode(answer.code).Because(answer)
	}
	return core.Denied("the identity provider's %s answered %d", endpoint, answer.status).WithCode(codeTokenRefused).Because(answer)
}

var microsoftReason = regexp.MustCompile(`^AADSTS[0-9]{4,7}\b`)

// microsoftNumber is the number of a reason that Entra ID's descriptions begin with: it says more than
// any of the registered words, and can be looked up.
func microsoftNumber(description string) string { return microsoftReason.FindString(description) }

// traceOf is that number, from an error of the identity provider.
func traceOf(fault *core.Error) string {
	if answer, ok := errors.AsType[*refusal](fault); ok {
		return answer.trace
	}
	return ""
}
