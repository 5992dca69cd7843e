package scim

import (
	"net/http"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/scim/resource"
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
	connection, err := r.ask(client, method)
	if err != nil {
		return err
	}
	r.claim = nil
	r.assume(connection, client)
	return nil
}

// ask finds whose token came with the request, or forgets whose it was taken for.
func (r *request) ask(client, method string) (directory.Connection, error) {
	token, err := bearerToken(r.Header)
	if err != nil {
		return directory.Connection{}, err
	}
	connection, err := r.identify(token, method)
	r.judge(token, connection, client, err)
	if err != nil {
		r.connection, r.cause, r.profile = directory.Connection{}, core.Cause{}, resource.Profile{}
	}
	return connection, err
}

// recall takes a connection's word for a change of one user: the token is asked for inside the change's
// own transaction instead of before it, which saves a round trip. It reports whether it could.
func (r *request) recall(client string) bool {
	if !r.writes() || r.address != userType.Endpoint && r.address != userType.Endpoint+"/{id}" {
		return false
	}
	token, err := bearerToken(r.Header)
	if err != nil {
		return false
	}
	connection, claim, known := r.Directory.RecallConnection(token)
	if !known {
		return false
	}
	r.claim = &claim
	r.assume(connection, client)
	return true
}

// confirm is nil if the token does open the connection that was recalled.
func (r *request) confirm(client string) error {
	_, err := r.ask(client, r.Method)
	return err
}

// assume has the request be the connection's.
func (r *request) assume(connection directory.Connection, client string) {
	r.connection = connection
	r.profile = profileOf(connection, r.Request)
	r.cause = core.NewCause(connection.Actor(), r.received)
	r.cause.Origin = core.Origin{Address: client, UserAgent: core.Cut(r.UserAgent(), maxUserAgent)}
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
