package optest

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// Realm is one of Keycloak's, of a test's own: it is deleted when the test ends.
type Realm struct {
	Name   string
	Issuer string

	keycloak *Keycloak
	t        testing.TB
}

// Realm makes an empty one. SSF is on in it (see Receiver).
func (k *Keycloak) Realm(t testing.TB) *Realm {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:10])
	r := &Realm{Name: name, Issuer: k.URL + "/realms/" + name, keycloak: k, t: t}
	r.administer(http.MethodPost, "/realms", map[string]any{
		"realm": name, "enabled": true, "sslRequired": "none", "bruteForceProtected": false,
		"attributes": map[string]string{"ssf.transmitterEnabled": "true"},
	}, nil)
	t.Cleanup(func() {
		if _, err := k.administer(context.Background(), http.MethodDelete, "/realms/"+name, nil, nil); err != nil {
			t.Log(err)
		}
	})
	return r
}

func (r *Realm) administer(method, path string, body, into any) http.Header {
	r.t.Helper()
	header, err := r.keycloak.administer(r.t.Context(), method, path, body, into)
	if err != nil {
		r.t.Fatal(err)
	}
	return header
}

// Admin makes any request of the Admin REST API, relative to this realm: "/users", "/clients/ID" …
// Anything but a success fails the test.
func (r *Realm) Admin(method, path string, body, into any) {
	r.t.Helper()
	r.administer(method, "/realms/"+r.Name+path, body, into)
}

// made is the id of what a POST made.
func (r *Realm) made(path_ string, body any) string {
	r.t.Helper()
	location := r.administer(http.MethodPost, "/realms/"+r.Name+path_, body, nil).Get("Location")
	if location == "" {
		r.t.Fatal(errNoLocation)
	}
	return path.Base(location)
}

// AddClient registers a relying party and gives Keycloak's own id of it, for Admin.
func (r *Realm) AddClient(client Client) string {
	r.t.Helper()
	attributes := map[string]string{
		"pkce.code.challenge.method": "S256", "backchannel.logout.session.required": "true", "backchannel.logout.url": client.BackChannelLogoutURI,
		"post.logout.redirect.uris": strings.Join(client.SignedOutURIs, "##"),
	}
	if client.FrontChannelLogoutURI != "" {
		attributes["frontchannel.logout.url"] = client.FrontChannelLogoutURI
		attributes["frontchannel.logout.session.required"] = "true"
	}
	if client.RequirePAR {
		attributes["require.pushed.authorization.requests"] = "true"
	}
	if client.IDTokenAlgorithm != "" {
		attributes["id.token.signed.response.alg"] = client.IDTokenAlgorithm
	}
	body := map[string]any{
		"clientId": client.ID, "protocol": "openid-connect", "enabled": true, "publicClient": client.method() == "none",
		"redirectUris": client.RedirectURIs, "standardFlowEnabled": true, "directAccessGrantsEnabled": false,
		"frontchannelLogout": client.FrontChannelLogoutURI != "", "attributes": attributes,
	}
	if client.JWKSURI != "" {
		body["clientAuthenticatorType"] = "client-jwt"
		attributes["use.jwks.url"], attributes["jwks.url"] = "true", client.JWKSURI
		attributes["token.endpoint.auth.signing.alg"] = "RS256"
	} else if client.Secret != "" {
		body["secret"] = client.Secret
	}
	return r.made("/clients", body)
}

// Receiver registers an SSF receiver that may manage its stream with an access token of its own (see
// Token), for every person of the realm. pushURLs are where it may have events pushed to.
func (r *Realm) Receiver(id, secret string, pushURLs ...string) {
	r.t.Helper()
	r.made("/clients", map[string]any{
		"clientId": id, "secret": secret, "protocol": "openid-connect", "enabled": true, "publicClient": false,
		"standardFlowEnabled": false, "serviceAccountsEnabled": true,
		"attributes": map[string]string{"ssf.enabled": "true", "ssf.validPushUrls": strings.Join(pushURLs, "##"), "ssf.defaultSubjects": "ALL"},
	})
}

// Allow lets a client ask for scopes, which are made where the realm has none of the name: managing a stream needs some.
func (r *Realm) Allow(client string, scopes ...string) {
	r.t.Helper()
	var clients, known []struct{ ID, Name string }
	r.Admin(http.MethodGet, "/clients?clientId="+url.QueryEscape(client), nil, &clients)
	if len(clients) != 1 {
		r.t.Fatalf("%d clients are called %s", len(clients), client)
	}
	r.Admin(http.MethodGet, "/client-scopes", nil, &known)
	for _, scope := range scopes {
		id := ""
		for _, one := range known {
			if one.Name == scope {
				id = one.ID
			}
		}
		if id == "" {
			id = r.made("/client-scopes", map[string]any{"name": scope, "protocol": "openid-connect", "attributes": map[string]string{"include.in.token.scope": "true"}})
		}
		r.Admin(http.MethodPut, "/clients/"+clients[0].ID+"/optional-client-scopes/"+id, map[string]any{}, nil)
	}
}

// Token is an access token of a client with a service account, such as a Receiver.
func (r *Realm) Token(client, secret, scope string) string {
	r.t.Helper()
	token, _, err := clientToken(r.t.Context(), r.Issuer+"/protocol/openid-connect/token", client, secret, scope)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// AddPerson makes an enabled user with a password and returns them with their id, which is also sub.
func (r *Realm) AddPerson(person Person) Person {
	r.t.Helper()
	person.ID = r.made("/users", map[string]any{
		"username": person.UserName, "email": person.Email, "emailVerified": true, "enabled": true,
		"firstName": person.GivenName, "lastName": person.FamilyName,
		"credentials": []map[string]any{{"type": "password", "value": person.Password, "temporary": false}},
	})
	return person
}

// SetPassword does what an administrator's reset does.
func (r *Realm) SetPassword(person, password string) {
	r.t.Helper()
	r.Admin(http.MethodPut, "/users/"+person+"/reset-password", map[string]any{"type": "password", "value": password, "temporary": false}, nil)
}

// SetEnabled disables a user, or enables one again.
func (r *Realm) SetEnabled(person string, enabled bool) {
	r.t.Helper()
	r.Admin(http.MethodPut, "/users/"+person, map[string]any{"enabled": enabled}, nil)
}

// Delete removes a user.
func (r *Realm) Delete(person string) {
	r.t.Helper()
	r.Admin(http.MethodDelete, "/users/"+person, nil, nil)
}

// LogOut ends every session of a user: it sends their back-channel logouts before it returns.
func (r *Realm) LogOut(person string) {
	r.t.Helper()
	r.Admin(http.MethodPost, "/users/"+person+"/logout", nil, nil)
}

// SignIn goes from the address that a relying party sent the browser to, through the login page, to
// the callback, and gives the callback's address without opening it.
func (r *Realm) SignIn(b *Browser, authorize string, person Person) string {
	b.t.Helper()
	at := b.follow(b.Get(authorize), r.keycloak.URL)
	if at.Location == "" {
		at = b.follow(b.submit(at, url.Values{"username": {person.UserName}, "password": {person.Password}, "credentialId": {""}}), r.keycloak.URL)
	}
	if at.Location == "" {
		b.t.Fatalf("signing in at Keycloak does not end: %d\n%.4000s", at.Status, at.Body)
	}
	return at.Location
}

// SignOut ends the browser's session at Keycloak, as its own account console does: front-channel and
// back-channel logouts of the other clients follow.
func (r *Realm) SignOut(b *Browser) Answer {
	b.t.Helper()
	at := b.follow(b.Get(r.Issuer+"/protocol/openid-connect/logout"), r.keycloak.URL)
	return b.follow(b.submit(at, url.Values{"confirmLogout": {"Logout"}}), r.keycloak.URL)
}
