package scim

import (
	"context"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
)

// assertionKind is what a client assertion (RFC 7523 §3) is, whoever it is of. Entra ID sends an access token of
// its own, a plain JWT that lives for at most a day. A logout token, a security event or anybody's access token
// says what it is by its typ, and a token for a sign-in or a sign-out by its claims.
func assertionKind() jwt.Expected {
	return jwt.Expected{
		Types:       []string{"", "JWT", "client-authentication+jwt"},
		Without:     []string{"events", "nonce", "at_hash", "c_hash"},
		MaxLifetime: 24 * time.Hour,
	}
}

// assertion is one that was read but not believed.
type assertion struct {
	compact string
	claims  jwt.Token
}

// readAssertion reads an assertion as far as that goes without knowing whose it is.
func readAssertion(compact string) (*assertion, error) {
	read, err := jwt.Peek(compact, assertionKind())
	if err != nil {
		return nil, distrusted(err)
	}
	return &assertion{compact: compact, claims: read}, nil
}

// check believes an assertion if it says what the connection wants it to say, now, and is signed by
// who it says. Whether it was used before is for the transaction that gives out the token.
func (a *assertion) check(ctx context.Context, s *Service, want directory.Assertion) error {
	if want.Issuer == "" || want.Subject == "" || s.Keys == nil {
		return distrust("the connection takes no assertions")
	}
	if a.claims.Subject != want.Subject { // before a key is looked for
		return distrust("the assertion's sub is not the connection's")
	}
	expected := assertionKind()
	expected.Issuers, expected.Subject, expected.KeysURI = []string{want.Issuer}, want.Subject, want.JWKSURI
	for _, one := range a.claims.Audience {
		if directory.Audience(one) == directory.Audience(want.Audience) {
			expected.Audiences = append(expected.Audiences, one)
		}
	}
	verifier := jwt.Verifier{Keys: s.Keys, Now: s.now}
	_, err := verifier.Verify(ctx, a.compact, expected)
	return distrusted(err)
}

func distrust(text string) error { return core.Unauthenticated("%s", text).WithCode(invalidClient) }

// distrusted is a verifier's no in the token endpoint's words. What is not the client's fault stays what it is.
func distrusted(err error) error {
	switch core.KindOf(err) {
	case core.KindUnauthenticated, core.KindDenied:
		return core.Unauthenticated("%s", core.AsError(err).Message).WithCode(invalidClient).Because(err)
	}
	return err
}
