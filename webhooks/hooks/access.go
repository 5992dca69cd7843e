package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/seal"
)

const maxAnswer = 8 << 20

// answer is what a sender's API said, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask makes one request. No redirect is followed: a credential goes where its address says and nowhere else.
func (s *Service) ask(ctx context.Context, method, address, authorization string, body any) (answer, error) {
	var content io.Reader
	kind := ""
	switch said := body.(type) {
	case nil:
	case url.Values:
		content, kind = strings.NewReader(said.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(said)
		if err != nil {
			return answer{}, core.Internal(err)
		}
		content, kind = bytes.NewReader(text), "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return answer{}, core.Invalid("", "the address cannot be used")
	}
	request.Header.Set("Accept", "application/json")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	still := *s.HTTP
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := still.Do(request)
	if err != nil {
		return answer{}, unreachable(ctx, request.URL, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, unreachable(ctx, request.URL, err)
	}
	if len(text) > maxAnswer {
		return answer{}, core.Unavailable(0, "%s answered more than %d bytes", request.URL.Host, maxAnswer)
	}
	return answer{response.StatusCode, response.Header, text}, nil
}

// unreachable says which host it was: http.Client's own text has the whole address in it.
func unreachable(ctx context.Context, address *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if classified, ok := errors.AsType[*core.Error](err); ok {
		return classified
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return core.Unavailable(0, "%s cannot be reached", address.Host).Because(err)
}

// refusal is a status that is no success.
func (a answer) refusal(what string, now time.Time) error {
	var said map[string]any
	_ = json.Unmarshal(a.body, &said)
	words := strconv.Itoa(a.status)
	if inner, ok := said["error"].(map[string]any); ok {
		said = inner
	}
	for _, name := range []string{"error_description", "errorSummary", "message", "error"} {
		if text, ok := said[name].(string); ok && text != "" {
			words += ": " + core.Cut(text, 200)
			break
		}
	}
	switch a.status {
	case http.StatusTooManyRequests:
		return &core.Error{Kind: core.KindRateLimited, RetryAfter: a.wait(now), Message: what + ": too many requests"}
	case http.StatusUnauthorized, http.StatusForbidden:
		return core.Denied("%s: the credential is not accepted (%s)", what, words).WithCode("access")
	case http.StatusNotFound:
		return &core.Error{Kind: core.KindNotFound, Message: what + ": " + words}
	case http.StatusGone:
		return core.Conflict("", "%s: %s", what, words).WithCode("gone")
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		return core.Invalid("", "%s: %s", what, words)
	}
	return core.Unavailable(a.wait(now), "%s answers %s", what, words)
}

// wait is how long the sender asks us to: X-Rate-Limit-Reset is a time (Okta), Retry-After is seconds.
func (a answer) wait(now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(a.header.Get("X-Rate-Limit-Reset"), 10, 64); err == nil && a.status == http.StatusTooManyRequests {
		return min(max(time.Unix(seconds, 0).Sub(now), time.Second), time.Hour)
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return 0
}

// sameOrigin refuses a link out of an answer that would carry our credential somewhere else.
func sameOrigin(link, base string) error {
	one, err := url.Parse(link)
	other, problem := url.Parse(base)
	if err != nil || problem != nil || one.Scheme != other.Scheme || one.Host != other.Host || one.User != nil {
		return core.Conflict("", "the sender's answer leads to another address than its own").WithCode("access")
	}
	return nil
}

// accessSecret is what the sender's API is reached with: where the reference leads, or out of the vault.
func (s *Service) accessSecret(ctx context.Context, hook Hook) (seal.Secret, error) {
	if reference := hook.Settings.Access.SecretReference; reference != "" {
		if s.OpenSecret == nil {
			return seal.Secret{}, core.Conflict("", "references to secrets cannot be resolved here").WithCode("access")
		}
		return s.OpenSecret(reference)
	}
	if hook.AccessVersion == 0 {
		return seal.Secret{}, core.Conflict("", "the hook has no credential for its sender's API").WithCode("access")
	}
	return s.Vault.Open(ctx, s.DB, hook.Workspace, hook.ID, accessField, hook.AccessVersion)
}

// grant asks for an access token (RFC 6749 §4.4). It is asked for each round of work, which lasts seconds.
func (s *Service) grant(ctx context.Context, endpoint string, form url.Values) (string, error) {
	form.Set("grant_type", "client_credentials")
	got, err := s.ask(ctx, http.MethodPost, endpoint, "", form)
	if err != nil {
		return "", err
	}
	if got.status != http.StatusOK {
		refused := got.refusal("the token endpoint", s.now())
		if core.KindOf(refused) == core.KindInvalid {
			refused = core.Denied("%s", core.AsError(refused).Message).WithCode("access")
		}
		return "", refused
	}
	var said struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if json.Unmarshal(got.body, &said) != nil || said.Token == "" || !strings.EqualFold(said.Type, "Bearer") || strings.ContainsAny(said.Token, "\r\n ") {
		return "", core.Unavailable(0, "the token endpoint gives no bearer token")
	}
	return "Bearer " + said.Token, nil
}
