// Command template is a connector in a program of its own, to be copied: see "Write a connector in a program of its own"
// in connectors/README.md. It signs in at POST /session and changes the password at PUT /password of an app, whose administrators look
// after /people, and make tokens for their programs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"postern/connectors/plugin"
	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

func main() {
	// protocol.Connector brings the app's domains, the time limit, the gate and the words of a report. What is around it says what an
	// administrator of the app can do: leave away what yours cannot, down to the protocol.Connector.
	one := protocol.Connector{Protocol: desk{}, Agent: "template/1", Schemes: []string{"https", "http"}, Timeout: 20 * time.Second}
	plugin.Serve(&protocol.Issued{Listed: protocol.Listed{Governed: protocol.Governed{Guarded: protocol.Guarded{Administered: protocol.Administered{Connector: one}}}}})
}

// desk is the app's protocol.
type desk struct{}

// SignIn implements protocol.Protocol.
func (desk) SignIn(ctx context.Context, endpoint protocol.Endpoint, _ []byte, credential rotation.Credential) (protocol.Session, error) {
	s, err := open(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	s.credential = credential
	request, err := s.request(ctx, http.MethodPost, "/session", nil)
	if err != nil {
		return nil, err
	}
	return s, s.send(request)
}

// TryToken implements protocol.TokenProtocol.
func (desk) TryToken(ctx context.Context, endpoint protocol.Endpoint, _ []byte, _ string, token seal.Secret) error {
	s, err := open(ctx, endpoint)
	if err != nil {
		return err
	}
	defer s.Close()
	request, err := s.request(ctx, http.MethodPost, "/session", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	return s.send(request)
}

func open(ctx context.Context, endpoint protocol.Endpoint) (*session, error) {
	if endpoint.URL.Scheme != "https" && !endpoint.Loopback() {
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "A password is not sent over the network without TLS."}
	}
	connection, err := endpoint.Dial(ctx, "tcp", endpoint.Address(map[string]string{"http": "80", "https": "443"}[endpoint.URL.Scheme]))
	if err != nil {
		return nil, err
	}
	_ = connection.Close()
	// No connection outlives its request, and no redirect is followed: nothing is sent twice or elsewhere.
	return &session{endpoint: endpoint, client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: endpoint.Dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

type session struct {
	endpoint   protocol.Endpoint
	credential rotation.Credential
	client     *http.Client
}

// Change implements protocol.Session.
func (s *session) Change(ctx context.Context, next seal.Secret, release func() error) error {
	request, err := s.request(ctx, http.MethodPut, "/password", map[string]string{"new": next.Reveal()})
	if err != nil {
		return err
	}
	// The request is complete. It leaves once release has returned nil, or never.
	if err := release(); err != nil {
		return err
	}
	return s.send(request)
}

// Reset implements protocol.Administrator.
func (s *session) Reset(ctx context.Context, username string, next seal.Secret, release func() error) error {
	request, err := s.request(ctx, http.MethodPut, person(username)+"/password", map[string]string{"new": next.Reveal()})
	if err != nil {
		return err
	}
	if err := release(); err != nil {
		return err
	}
	return administered(s.send(request))
}

// SetEnabled implements protocol.Doorkeeper.
func (s *session) SetEnabled(ctx context.Context, username string, enabled bool) error {
	request, err := s.request(ctx, http.MethodPatch, person(username), map[string]bool{"disabled": !enabled})
	if err != nil {
		return err
	}
	return administered(s.send(request))
}

// Revoke implements protocol.Governor.
func (s *session) Revoke(ctx context.Context, username string) error {
	request, err := s.request(ctx, http.MethodDelete, person(username)+"/sessions", nil)
	if err != nil {
		return err
	}
	return administered(s.send(request))
}

// Users implements protocol.Clerk.
func (s *session) Users(ctx context.Context, each func(user rotation.User) error) error {
	request, err := s.request(ctx, http.MethodGet, "/people", nil)
	if err != nil {
		return err
	}
	var people []struct {
		Login    string
		Disabled bool
	}
	if err := s.read(request, &people); err != nil {
		return err
	}
	for _, one := range people {
		if err := each(rotation.User{Username: one.Login, Disabled: one.Disabled}); err != nil {
			return err
		}
	}
	return nil
}

// Enabled implements protocol.Registrar: the app's list says who is disabled.
func (s *session) Enabled(ctx context.Context, username string) (enabled, known bool, err error) {
	err = s.Users(ctx, func(user rotation.User) error {
		if user.Username == username {
			enabled, known = !user.Disabled, true
		}
		return nil
	})
	return enabled, known, err
}

// Issue implements protocol.Issuer.
func (s *session) Issue(ctx context.Context, username, name string) (id string, value seal.Secret, err error) {
	request, err := s.request(ctx, http.MethodPost, person(username)+"/tokens", map[string]string{"name": name})
	if err != nil {
		return "", seal.Secret{}, err
	}
	var made struct{ ID, Value string }
	err = s.read(request, &made)
	return made.ID, seal.NewSecret(made.Value), err
}

// Tokens implements protocol.Issuer.
func (s *session) Tokens(ctx context.Context, username string, each func(token rotation.Token) error) error {
	request, err := s.request(ctx, http.MethodGet, person(username)+"/tokens", nil)
	if err != nil {
		return err
	}
	var tokens []struct{ ID, Name string }
	if err := s.read(request, &tokens); err != nil {
		return err
	}
	for _, one := range tokens {
		if err := each(rotation.Token{ID: one.ID, Name: one.Name}); err != nil {
			return err
		}
	}
	return nil
}

// Withdraw implements protocol.Issuer: the app answers alike whether the token is still there.
func (s *session) Withdraw(ctx context.Context, username, id string) error {
	request, err := s.request(ctx, http.MethodDelete, person(username)+"/tokens/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	return administered(s.send(request))
}

func person(username string) string { return "/people/" + url.PathEscape(username) }

// administered is what the app says to an administrator, of whom it does not mean that they are disabled.
func administered(err error) error {
	if failure, ok := errors.AsType[*protocol.Failure](err); ok && failure.Outcome == rotation.Disabled {
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "Only administrators of the app do this."}
	}
	return err
}

// Close implements protocol.Session.
func (s *session) Close() { s.client.CloseIdleConnections() }

func (s *session) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.endpoint.URL.Scheme+"://"+net.JoinHostPort(s.endpoint.URL.Hostname(), s.endpoint.URL.Port())+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.GetBody = nil // it is sent once
	request.SetBasicAuth(s.credential.Username, s.credential.Password.Reveal())
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// send sends a request, and puts what the app answers instead of a success into an outcome. What it does not know is an
// error that is no Failure: the password is then found out by signing in.
func (s *session) send(request *http.Request) error {
	_, err := s.answer(request)
	return err
}

// read reads what the app tells an administrator.
func (s *session) read(request *http.Request, into any) error {
	text, err := s.answer(request)
	if err != nil {
		return administered(err)
	}
	return json.Unmarshal(text, into)
}

// answer is send, and gives what the app says.
func (s *session) answer(request *http.Request) ([]byte, error) {
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusNoContent, http.StatusOK:
		return text, nil
	case http.StatusNotFound:
		return nil, &protocol.Failure{Outcome: rotation.Rejected, Detail: "The app has no account of this name."}
	case http.StatusUnauthorized:
		return nil, &protocol.Failure{Outcome: rotation.Rejected, Detail: "The user name or the password is wrong."}
	case http.StatusForbidden:
		return nil, &protocol.Failure{Outcome: rotation.Disabled, Detail: "The account is disabled."}
	case http.StatusUnprocessableEntity:
		return nil, &protocol.Failure{Outcome: rotation.Refused, Detail: "The app does not take this password."}
	}
	return nil, fmt.Errorf("the app answered %d", response.StatusCode)
}
