// Command template is a connector in a program of its own, to be copied: see "Write a connector in a program of its own"
// in connectors/README.md. It signs in at POST /session and changes the password at PUT /password of an app.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"postern/connectors/plugin"
	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

func main() {
	// protocol.Connector brings the app's domains, the time limit, the gate and the words of a report.
	plugin.Serve(&protocol.Connector{Protocol: desk{}, Agent: "template/1", Schemes: []string{"https", "http"}, Timeout: 20 * time.Second})
}

// desk is the app's protocol.
type desk struct{}

// SignIn implements protocol.Protocol.
func (desk) SignIn(ctx context.Context, endpoint protocol.Endpoint, _ []byte, credential rotation.Credential) (protocol.Session, error) {
	if endpoint.URL.Scheme != "https" && !endpoint.Loopback() {
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "A password is not sent over the network without TLS."}
	}
	connection, err := endpoint.Dial(ctx, "tcp", endpoint.Address(map[string]string{"http": "80", "https": "443"}[endpoint.URL.Scheme]))
	if err != nil {
		return nil, err
	}
	_ = connection.Close()
	s := &session{endpoint: endpoint, credential: credential}
	// No connection outlives its request, and no redirect is followed: nothing is sent twice or elsewhere.
	s.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: endpoint.Dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := s.request(ctx, http.MethodPost, "/session", nil)
	if err != nil {
		return nil, err
	}
	return s, s.send(request)
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
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return err
	}
	switch response.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusUnauthorized:
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "The user name or the password is wrong."}
	case http.StatusForbidden:
		return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The account is disabled."}
	case http.StatusUnprocessableEntity:
		return &protocol.Failure{Outcome: rotation.Refused, Detail: "The app does not take this password."}
	}
	return fmt.Errorf("the app answered %d", response.StatusCode)
}
