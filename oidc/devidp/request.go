package devidp

import (
	"crypto/rsa"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// authRequest is one sign-in under way, in the form zitadel's provider asks for.
type authRequest struct {
	id      string
	asked   oidc.AuthRequest
	created time.Time

	done          bool
	person        string
	subject       string
	authenticated time.Time
	sid           string
	code          string
}

func (r *authRequest) GetID() string                      { return r.id }
func (r *authRequest) GetACR() string                     { return "" }
func (r *authRequest) GetAMR() []string                   { return []string{"pwd"} }
func (r *authRequest) GetAudience() []string              { return []string{r.asked.ClientID} }
func (r *authRequest) GetAuthTime() time.Time             { return r.authenticated }
func (r *authRequest) GetClientID() string                { return r.asked.ClientID }
func (r *authRequest) GetNonce() string                   { return r.asked.Nonce }
func (r *authRequest) GetRedirectURI() string             { return r.asked.RedirectURI }
func (r *authRequest) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }
func (r *authRequest) GetResponseMode() oidc.ResponseMode { return oidc.ResponseModeQuery }
func (r *authRequest) GetScopes() []string                { return r.asked.Scopes }
func (r *authRequest) GetState() string                   { return r.asked.State }
func (r *authRequest) GetSubject() string                 { return r.subject }
func (r *authRequest) Done() bool                         { return r.done }
func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.asked.CodeChallenge == "" {
		return nil
	}
	method := r.asked.CodeChallengeMethod
	if method == "" {
		method = oidc.CodeChallengeMethodPlain
	}
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: method}
}

// wants reports whether the client accepts a sign-in that happened at a time.
func (r *authRequest) wants(authenticated, now time.Time) bool {
	for _, prompt := range r.asked.Prompt {
		if prompt == oidc.PromptLogin || prompt == oidc.PromptSelectAccount {
			return false
		}
	}
	return r.asked.MaxAge == nil || now.Sub(authenticated) <= time.Duration(*r.asked.MaxAge)*time.Second
}

// silent reports whether the client wants no page shown.
func (r *authRequest) silent() bool {
	return len(r.asked.Prompt) == 1 && r.asked.Prompt[0] == oidc.PromptNone
}

type signingKey struct{ server *Server }

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.server.key }
func (k signingKey) ID() string                                  { return k.server.keyID }

type publicKey struct{ server *Server }

func (k publicKey) ID() string                         { return k.server.keyID }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return publicPart(k.server.key) }

func publicPart(key *rsa.PrivateKey) *rsa.PublicKey { return &key.PublicKey }
