package oidc

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
)

// The codes of what can go wrong with a sign-in, also in the event session.sign_in_failed.
const (
	codeNoConnection   = "no_connection"
	codeFlowOver       = "flow_over"
	codeWrongIssuer    = "wrong_issuer"
	codeTokenRefused   = "token_refused"
	codeProviderDown   = "provider_down"
	codeProviderWrong  = "provider_misconfigured"
	codeClientRefused  = "client_refused"
	codeRefused        = "refused_by_provider" // with a word that is not registered
	codeOutsider       = "outsider"            // of another Entra tenant or Google Workspace domain
	codeOtherDomain    = "other_domain"        // just-in-time users are of other domains
	codeNameTaken      = "name_taken"
	codeGone           = "deprovisioned"
	codeNotProvisioned = "not_provisioned"
	codeInactive       = "user_inactive"        // core/directory's
	codeSignedOut      = "signed_out_meanwhile" // core/directory's
	codeCrossOrigin    = "cross_origin"
	codeNoNeed         = "unknown_need"
	codeWeakProof      = "weak_proof"   // a step-up's acr is not one of those that were asked for
	codeStaleProof     = "stale_proof"  // its auth_time is too old, or missing
	codeOtherPerson    = "other_person" // it was somebody else's
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is everything a person may be shown here.
type page struct {
	Title        string
	Text         string
	Problem      string
	Reference    string // what an administrator can look up
	Links        []link
	AskWorkspace bool
	ReturnTo     string
}

type link struct{ Name, Address string }

// contentPolicy lets the page have its style and nothing else. It does not name form-action: browsers
// hold the redirects after a form to it too, and these lead to the IdP.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

func (s *Service) show(c *gin.Context, status int, shown page) {
	var written bytes.Buffer
	if err := pageTemplate.Execute(&written, shown); err != nil {
		s.log().ErrorContext(c.Request.Context(), "a page could not be made", "error", err)
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Header("Content-Security-Policy", contentPolicy)
	c.Header("Referrer-Policy", "no-referrer")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-store")
	c.Data(status, "text/html; charset=utf-8", written.Bytes())
}

// refuse shows why a sign-in did not succeed and what to do. The cause goes to the log alone.
func (s *Service) refuse(c *gin.Context, connection directory.Connection, returnTo string, err error) {
	fault := core.AsError(err)
	status := statusOf(fault)
	ctx := c.Request.Context()
	if fault.Kind == core.KindInternal {
		s.log().ErrorContext(ctx, "a sign-in failed", "connection", connection.ID, "code", fault.Code, "error", err)
	} else {
		s.log().InfoContext(ctx, "a sign-in was refused", "connection", connection.ID, "code", fault.Code, "error", err)
	}
	shown := explain(fault)
	shown.Reference = fault.Code
	if trace := traceOf(fault); trace != "" {
		shown.Reference += " " + trace
	}
	again := link{"Try again", "/sso?choose=1&return_to=" + url.QueryEscape(returnTo)}
	if !connection.ID.IsZero() {
		again.Address = startPath(connection.ID, returnTo)
	}
	if fault.Code == codeSignedOut {
		again = link{"Sign in again", "/sso/" + connection.ID.String() + "/start?fresh=1&return_to=" + url.QueryEscape(returnTo)}
	}
	if fault.Code != codeNoConnection && fault.Code != codeCrossOrigin {
		shown.Links = []link{again}
	}
	s.show(c, status, shown)
}

// explain says it in words for the person in front of the browser.
func explain(fault *core.Error) page {
	if known, ok := registered[fault.Code]; ok {
		return page{Title: known.title, Text: known.text}
	}
	switch fault.Code {
	case codeNoConnection:
		return page{Title: "This sign-in address leads nowhere", Text: "The connection it names does not exist or is not set up for signing in. Ask your administrator for the right address."}
	case codeFlowOver:
		return page{Title: "This sign-in is over", Text: "It was begun in another browser, was used already, or took longer than ten minutes. Begin again."}
	case codeWrongIssuer:
		return page{Title: "That was not your identity provider", Text: "The answer came from somewhere else than this connection's identity provider, so it was not used. If this happens again, tell your administrator."}
	case codeRefused:
		return page{Title: "Your identity provider refused the sign-in", Text: "It gave a reason that Postern does not know. Try again; if it stays so, your administrator finds the reason in the identity provider's own log."}
	case codeClientRefused:
		return page{Title: "Your identity provider does not recognise Postern", Text: "The client id, secret or key of this connection is wrong there, or has expired. Your administrator has to renew it."}
	case codeOutsider:
		return page{Title: "That account is of another organisation", Text: "Sign in with the account of your own organisation: choose it at your identity provider, or sign the other one out there first."}
	case codeOtherDomain:
		return page{Title: "Your address is of another domain", Text: "Postern makes users by itself only for addresses of your workspace's domains that the identity provider has verified. Ask your administrator to assign Postern to you."}
	case codeNameTaken:
		return page{Title: "Somebody else has your user name here", Text: "A user of that name exists already and belongs to another identity. Your administrator has to say who is who."}
	case codeGone:
		return page{Title: "You were removed from Postern", Text: "Your identity provider has taken you out, and a sign-in does not bring you back. Your administrator can assign you again."}
	case codeTokenRefused:
		return page{Title: "The sign-in could not be verified", Text: "What your identity provider sent did not pass Postern's checks. Try again; if it stays so, your administrator finds the reason in the activity."}
	case codeProviderDown:
		return page{Title: "Your identity provider does not answer", Text: "Postern could not reach it just now. Try again in a moment."}
	case codeProviderWrong:
		return page{Title: "Signing in is not set up correctly", Text: "Postern and your identity provider disagree about this connection's settings. Your administrator finds the reason in the activity."}
	case codeNotProvisioned:
		return page{Title: "You have no user in Postern yet", Text: "Your identity provider knows you, but has not provisioned you here. Ask your administrator to assign Postern to you, then try again."}
	case codeInactive:
		return page{Title: "Your user is deactivated", Text: "Your identity provider has deactivated you in Postern. Your administrator can assign you again."}
	case codeSignedOut:
		return page{Title: "You were signed out everywhere", Text: "That happened after you last signed in at your identity provider, so you have to sign in there once more."}
	case codeWeakProof:
		return page{Title: "That proof is not enough here", Text: "Your workspace wants you to prove yourself in a stronger way than your identity provider asked for. Your administrator finds what is wanted in the session settings."}
	case codeStaleProof:
		return page{Title: "Prove once more that it is you", Text: "Your identity provider did not ask you again, and your last proof is too old for this. Try once more; if it does not help, sign out there first."}
	case codeOtherPerson:
		return page{Title: "That was somebody else", Text: "Whoever is signed in to Postern has to prove themselves, and somebody else did. To change over, sign out first."}
	case codeNoNeed:
		return page{Title: "This address is not complete", Text: "Go back and try again."}
	case codeCrossOrigin:
		return page{Title: "Another site asked for this", Text: "Postern does this only when you ask for it on its own pages."}
	}
	if fault.Kind == core.KindUnavailable {
		return page{Title: "Postern is not ready", Text: "Something it needs is not available just now. Try again in a moment."}
	}
	return page{Title: "Something went wrong", Text: "The fault is on our side. Try again in a moment."}
}

func statusOf(fault *core.Error) int {
	switch fault.Kind {
	case core.KindInvalid:
		return http.StatusBadRequest
	case core.KindUnauthenticated:
		return http.StatusUnauthorized
	case core.KindDenied:
		return http.StatusForbidden
	case core.KindNotFound:
		return http.StatusNotFound
	case core.KindConflict:
		return http.StatusConflict
	case core.KindRateLimited:
		return http.StatusTooManyRequests
	case core.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
