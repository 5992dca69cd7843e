package scim

import (
	"net/http"

	scimerrors "github.com/elimity-com/scim/errors"
)

// me answers /Me, whatever the method, with 501 as RFC 7644, section 3.11, asks of a server whose
// callers have no resource. The alias stands for "the currently authenticated subject". Whoever
// authenticates here is a connection: a bearer token, an access token of the client credentials grant
// and an exchanged client assertion all say which identity provider asks, and none names a person.
// To answer with some user, or to let a header choose one, would make up a subject that nobody
// authenticated. A person signed in to Postern reads their own record through the API of the console,
// with their session.
func me(*request) (answer, error) {
	return answer{}, scimerrors.ScimError{
		Status: http.StatusNotImplemented,
		Detail: "whoever asks is a connection, which is no user: /Me stands for nobody; address the user as /Users/{id}",
	}
}
