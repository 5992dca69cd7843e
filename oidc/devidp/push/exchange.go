package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
)

// maxResponse bounds how much of an answer is read.
const maxResponse = 4 << 20

// Exchange is one HTTP request and its answer. It holds no header, and so no token.
type Exchange struct {
	Method   string        `json:"method"`
	URL      string        `json:"url"`
	Status   int           `json:"status"` // 0 when no answer came
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration"`
	Request  string        `json:"request,omitempty"`
	Response string        `json:"response,omitempty"`
	Failure  string        `json:"failure,omitempty"` // why no answer came
}

// Do sends one request and tells of it. Status codes are the caller's to judge: the error is only
// for an answer that never came, and is core.KindUnavailable. Redirects are not followed.
func Do(client *http.Client, request *http.Request, body []byte, now func() time.Time) (Exchange, error) {
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	straight := *client
	straight.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if now == nil {
		now = time.Now
	}
	exchange := Exchange{Method: request.Method, URL: request.URL.String(), Started: now(), Request: redact(body)}
	response, err := straight.Do(request)
	if err != nil {
		exchange.Duration = now().Sub(exchange.Started)
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		exchange.Failure = err.Error()
		return exchange, core.Unavailable(5*time.Second, "%s %s got no answer", request.Method, request.URL.Path).Because(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	exchange.Duration = now().Sub(exchange.Started)
	exchange.Status, exchange.Response = response.StatusCode, string(answer)
	if err != nil {
		exchange.Failure = err.Error()
		return exchange, core.Unavailable(5*time.Second, "%s %s was cut off", request.Method, request.URL.Path).Because(err)
	}
	return exchange, nil
}

// redact hides the placeholder password of a new user in what people are shown.
func redact(body []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields["password"] == nil {
		return string(body)
	}
	fields["password"] = json.RawMessage(`"[redacted]"`)
	hidden, err := json.Marshal(fields)
	if err != nil {
		return ""
	}
	return string(hidden)
}

// call is one push under way.
type call struct {
	client *Client
	result Result
}

func (c *Client) begin() *call { return &call{client: c} }

func (c *call) get(ctx context.Context, path string, into any) error {
	return c.send(ctx, http.MethodGet, path, nil, into)
}

// find answers a lookup: the id of the only match, or nothing.
func (c *call) find(ctx context.Context, path string) (string, error) {
	var list struct {
		TotalResults int `json:"totalResults"`
		Resources    []struct {
			ID string `json:"id"`
		} `json:"Resources"`
	}
	if err := c.get(ctx, path, &list); err != nil {
		return "", err
	}
	switch len(list.Resources) {
	case 0:
		return "", nil
	case 1:
		return list.Resources[0].ID, nil
	}
	return "", core.Conflict("", "the SCIM server knows %d of them, and only one can be meant", len(list.Resources))
}

func (c *call) create(ctx context.Context, path string, body any) (Result, error) {
	var created struct {
		ID string `json:"id"`
	}
	if err := c.send(ctx, http.MethodPost, path, body, &created); err != nil {
		return c.result, err
	}
	if created.ID == "" {
		return c.result, core.Invalid("id", "the SCIM server created something and did not say its id")
	}
	c.result.ID = created.ID
	return c.result, nil
}

// merge is Okta's profile push: read the user, lay the changes over it, put the whole back.
func (c *call) merge(ctx context.Context, id string, changes object) error {
	whole := object{}
	if err := c.get(ctx, "/Users/"+id, &whole); err != nil {
		return err
	}
	for key, value := range changes {
		whole[key] = value
	}
	whole["groups"] = []any{}
	return c.send(ctx, http.MethodPut, "/Users/"+id, whole, nil)
}

func (c *call) send(ctx context.Context, method, path string, body, into any) error {
	var encoded []byte
	var reader io.Reader
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return core.Internal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.client.URL, "/")+path, reader)
	if err != nil {
		return core.Invalid("url", "the SCIM address cannot be read").Because(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.client.Token.Reveal())
	request.Header.Set("Accept", "application/scim+json")
	request.Header.Set("User-Agent", "Okta SCIM Client 1.0.0")
	if c.client.Style.IsEntra() {
		request.Header.Set("User-Agent", "Microsoft-AzureAD-Provisioning")
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	exchange, err := Do(c.client.HTTP, request, encoded, c.client.Now)
	// A server may quote what it was sent.
	if token := c.client.Token.Reveal(); token != "" {
		exchange.Response = strings.ReplaceAll(exchange.Response, token, "[redacted]")
	}
	c.result.Exchanges = append(c.result.Exchanges, exchange)
	if err != nil {
		return err
	}
	if exchange.Status >= 300 {
		return refusal(exchange)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(exchange.Response), into); err != nil {
		return core.Invalid("", "the SCIM server's answer to %s %s is not JSON", method, path).Because(err)
	}
	return nil
}

// refusal turns an answer into the error it means, with the server's own words.
func refusal(exchange Exchange) *core.Error {
	var problem struct {
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal([]byte(exchange.Response), &problem)
	message := fmt.Sprintf("the SCIM server answered %d", exchange.Status)
	if problem.Detail != "" {
		message += ": " + problem.Detail
	}
	kind := core.KindInvalid
	switch exchange.Status {
	case http.StatusUnauthorized:
		kind = core.KindUnauthenticated
	case http.StatusForbidden:
		kind = core.KindDenied
	case http.StatusNotFound:
		kind = core.KindNotFound
	case http.StatusConflict:
		kind = core.KindConflict
	case http.StatusPreconditionFailed:
		kind = core.KindStale
	case http.StatusRequestEntityTooLarge:
		kind = core.KindTooLarge
	case http.StatusTooManyRequests:
		kind = core.KindRateLimited
	}
	if exchange.Status >= 500 {
		kind = core.KindUnavailable
	}
	return &core.Error{Kind: kind, Message: message}
}

// quote makes a string of the SCIM filter language.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func escape(filter string) string {
	// Providers escape spaces as %20, never as "+".
	return strings.ReplaceAll(url.QueryEscape(filter), "+", "%20")
}
