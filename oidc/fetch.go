package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	fetchTimeout = 10 * time.Second
	fetchMost    = 1 << 20
)

// fetchJSON reads one JSON document of an IdP. The error holds neither the token nor what was read.
func fetchJSON(ctx context.Context, client *http.Client, address, bearer string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", address, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, fetchMost+1))
	if err != nil {
		return fmt.Errorf("%s was cut off: %w", address, err)
	}
	if len(text) > fetchMost {
		return fmt.Errorf("%s answered more than %d bytes", address, fetchMost)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s did not answer JSON as expected", address)
	}
	return nil
}

// refusal is an endpoint's answer that is no success. Its text stays out of errors: it is somebody's.
type refusal struct {
	status int
	code   string // error, of RFC 6749 §5.2
	trace  string // Microsoft's number of the reason
}

func (r *refusal) Error() string { return fmt.Sprintf("answered %d %s", r.status, r.code) }

// post sends a form to an endpoint of the IdP and decodes the answer when its status is the one that
// means success. An answer of another status is a *refusal.
func (p *provider) post(ctx context.Context, address string, form url.Values, header http.Header, success int, into any) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header = header
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := p.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, fetchMost+1))
	if err != nil || len(text) > fetchMost {
		return fmt.Errorf("%s answered more than %d bytes, or was cut off", address, fetchMost)
	}
	if response.StatusCode != success {
		refused := &refusal{status: response.StatusCode}
		var said struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(text, &said) == nil {
			refused.code, refused.trace = said.Error, microsoftNumber(said.Description)
		}
		return refused
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s did not answer JSON as expected", address)
	}
	return nil
}

// direct is the client with redirects off: a request that carries a code or a secret goes where the
// discovery document says and nowhere else.
func direct(client *http.Client) *http.Client {
	straight := *client
	straight.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &straight
}
