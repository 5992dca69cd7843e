package oidc

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// StepUpPath is where a browser goes to prove who is at it, once more. Its query: for (a
// directory.Need) and return_to.
const StepUpPath = "/sso/step-up"

// startStepUp leads a signed-in person through their IdP again. Whoever has proven enough already is
// sent back at once.
func (s *Service) startStepUp(c *gin.Context) {
	returnTo := ReturnTo(c.Query("return_to"))
	need := directory.Need(c.Query("for"))
	if need != directory.ToReveal && need != directory.ToAdminister {
		s.refuse(c, directory.Connection{}, returnTo, core.Invalid("for", "reveal or admin").WithCode(codeNoNeed))
		return
	}
	err := s.authenticate(c)
	session, _, signedIn := Session(c)
	if !signedIn {
		if core.KindOf(err) != core.KindUnauthenticated {
			s.refuse(c, directory.Connection{}, returnTo, err)
			return
		}
		c.Redirect(http.StatusSeeOther, signInPath(returnTo))
		return
	}
	ctx := c.Request.Context()
	lacks, err := s.Directory.StepUpFor(ctx, s.DB, session, need)
	if err != nil {
		s.refuse(c, directory.Connection{}, returnTo, err)
		return
	}
	if lacks == nil {
		c.Redirect(http.StatusSeeOther, returnTo)
		return
	}
	if session.Connection.IsZero() {
		s.stepUpGuest(c, *lacks, returnTo)
		return
	}
	connection, err := s.Directory.Connection(ctx, s.DB, session.Workspace, session.Connection)
	if err != nil {
		s.refuse(c, directory.Connection{}, returnTo, err)
		return
	}
	flow := directory.Flow{
		Workspace: session.Workspace, Connection: session.Connection, ReturnTo: returnTo,
		Purpose: directory.FlowStepUp, Session: session.ID, ACRValues: lacks.ACRValues,
	}
	if lacks.MaxAge != nil {
		flow.MaxAge = new(int(*lacks.MaxAge / time.Second))
	}
	prompt := flow.MaxAge != nil && (*flow.MaxAge == 0 || maySayNoTime(connection))
	s.lead(c, connection, flow, prompt)
}

// asks are the parameters of an authorization request that say what proof is wanted (OpenID Connect
// Core 3.1.2.1).
func asks(flow directory.Flow, prompt bool) map[string]string {
	parameters := map[string]string{}
	if prompt {
		parameters["prompt"] = "login"
	}
	if len(flow.ACRValues) > 0 {
		parameters["acr_values"] = strings.Join(flow.ACRValues, " ")
	}
	if flow.MaxAge != nil {
		parameters["max_age"] = strconv.Itoa(*flow.MaxAge)
	}
	return parameters
}

// maySayNoTime names the IdPs whose ID tokens lack auth_time unless somebody configured it: Entra ID
// (an optional claim) and Google. What is sent instead of max_age is prompt=login, and their proof is then
// as old as the flow, which began before it. An auth_time that is there counts at these as anywhere else,
// and any other IdP has to say it when it is asked for max_age (OpenID Connect Core 1.0 §2).
func maySayNoTime(connection directory.Connection) bool {
	return connection.Kind == directory.Entra || connection.IsGoogle()
}

// proven holds an answer of the IdP against the proof that was asked for: an IdP may have overlooked
// the question, or somebody may have taken it out of the address.
func (s *Service) proven(connection directory.Connection, flow directory.Flow, who identity) error {
	if len(flow.ACRValues) > 0 && !slices.Contains(flow.ACRValues, who.acr) {
		return core.Denied("the identity provider did not ask for the proof that is needed here (acr)").WithCode(codeWeakProof)
	}
	if flow.MaxAge == nil {
		return nil
	}
	if who.authenticated.IsZero() {
		if flow.Prompted && maySayNoTime(connection) {
			return nil
		}
		return core.Denied("the identity provider does not say when it saw you (auth_time)").WithCode(codeStaleProof)
	}
	oldest := flow.Created.Add(-time.Duration(*flow.MaxAge)*time.Second - clockSkew)
	if who.authenticated.Before(oldest) {
		return core.Denied("the identity provider saw you too long ago").WithCode(codeStaleProof)
	}
	return nil
}

// stepUp takes the proof of a flow that asked for one into its session, which gets a new token. It
// does nothing for any other flow, nor when the session is over by now: that is a sign-in then.
func (s *Service) stepUp(ctx context.Context, tx pgx.Tx, cause core.Cause, flow directory.Flow, wanted directory.NewSession) (seal.Secret, bool, error) {
	if flow.Purpose != directory.FlowStepUp {
		return seal.Secret{}, false, nil
	}
	holder, err := s.Directory.SessionHolder(ctx, tx, flow.Workspace, flow.Session)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return seal.Secret{}, false, err
	}
	if err == nil && holder != wanted.User {
		return seal.Secret{}, false, core.Denied("somebody else signed in than who was to prove themselves").WithCode(codeOtherPerson)
	}
	_, token, err := s.Directory.StepUpSession(ctx, tx, cause, flow.Session, wanted)
	if core.KindOf(err) == core.KindNotFound && err != nil {
		return seal.Secret{}, false, nil //nolint:nilerr // the session is over
	}
	return token, err == nil, err
}
