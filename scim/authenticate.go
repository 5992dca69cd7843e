package scim

import (
	"net/http"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// longestToken is far beyond any token of ours.
const longestToken = 512

// bearerToken reads the token of a request (RFC 6750 §2.1). What cannot be one is Unauthenticated, and
// nothing of it is repeated.
func bearerToken(header http.Header) (seal.Secret, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return seal.Secret{}, missingToken()
	}
	if len(values) > 1 {
		return seal.Secret{}, malformedToken().Because(errTwoAuthorizations)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		return seal.Secret{}, core.Unauthenticated("user names and passwords (Basic) are not taken; send the connection's token: Authorization: Bearer …").WithCode("missing_token")
	case !strings.EqualFold(scheme, "Bearer"), token == "":
		return seal.Secret{}, missingToken()
	case len(token) > longestToken, strings.ContainsFunc(token, notOfToken):
		return seal.Secret{}, malformedToken()
	}
	return seal.NewSecret(token), nil
}

func missingToken() *core.Error {
	return core.Unauthenticated("send the connection's token: Authorization: Bearer …").WithCode("missing_token")
}

func malformedToken() *core.Error {
	return core.Unauthenticated("the token is not valid").WithCode("malformed_token")
}

var errTwoAuthorizations = core.Invalid("Authorization", "more than one")

// notOfToken reports what a b64token does not hold.
func notOfToken(one rune) bool {
	switch {
	case one >= 'a' && one <= 'z', one >= 'A' && one <= 'Z', one >= '0' && one <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=", one)
}

// authenticate finds whose token came with the request. Nothing is told or done before that.
func (r *request) authenticate(client, method string) error {
	token, err := bearerToken(r.Header)
	if err != nil {
		return err
	}
	connection, err := r.identify(token, method)
	r.judge(token, connection, client, err)
	if err != nil {
		return err
	}
	r.connection = connection
	r.profile = profileOf(connection, r.Request)
	r.cause = core.NewCause(connection.Actor(), r.received)
	r.cause.Origin = core.Origin{Address: client, UserAgent: cut(r.UserAgent(), maxUserAgent)}
	return nil
}

// identify asks whose token it is. A read of one user, and the look-up that identity providers send
// before they create or change anybody, take the user along: one round trip to the database instead of
// three.
func (r *request) identify(token seal.Secret, method string) (directory.Connection, error) {
	sought, found := r.sought(method)
	if !found {
		return r.Directory.AuthenticateConnection(r.Context(), token)
	}
	connection, sight, err := r.Directory.AuthenticateConnectionAndSee(r.Context(), token, sought)
	r.sight = &sight
	return connection, err
}
