package ssf

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

const maxAnswer = 4 << 20

// exchange is one request to a transmitter.
type exchange struct {
	client  *http.Client
	method  string
	address string
	token   seal.Secret // bearer; zero: none
	body    any         // JSON; nil: none
	form    url.Values  // in place of body
	basic   *url.Userinfo
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request. No redirect is followed: a credential goes where its address says and nowhere else. The
// error is of the way there alone; a status is the caller's to judge.
func (e exchange) do(ctx context.Context) (answer, error) {
	var body io.Reader
	kind := ""
	switch {
	case e.form != nil:
		body, kind = strings.NewReader(e.form.Encode()), "application/x-www-form-urlencoded"
	case e.body != nil:
		text, err := json.Marshal(e.body)
		if err != nil {
			return answer{}, core.Internal(err)
		}
		body, kind = bytes.NewReader(text), "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, e.method, e.address, body)
	if err != nil {
		return answer{}, core.Invalid("", "the transmitter's address cannot be used").Because(err)
	}
	request.Header.Set("Accept", "application/json")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if !e.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+e.token.Reveal())
	}
	if e.basic != nil {
		password, _ := e.basic.Password()
		request.SetBasicAuth(url.QueryEscape(e.basic.Username()), url.QueryEscape(password))
	}
	still := *e.client
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

// unreachable keeps what the guard says, and says of everything else only which host it was.
func unreachable(ctx context.Context, address *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if classified, ok := errors.AsType[*core.Error](err); ok {
		return classified
	}
	return core.Unavailable(0, "%s cannot be reached", address.Host).Because(withoutAddress(err))
}

// withoutAddress is the cause alone: http.Client's own text has the whole URL in it.
func withoutAddress(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// read decodes the body. Unknown members are passed over.
func (a answer) read(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return core.Unavailable(0, "the transmitter's answer is not the JSON that is expected").Because(err)
	}
	return nil
}

// refusal is a status that is no success, as an error with what the transmitter says about it.
func (a answer) refusal(what string) *core.Error {
	why := a.words()
	say := func(text string) string {
		if why == "" {
			return what + ": " + text
		}
		return what + ": " + text + ": " + why
	}
	status := strconv.Itoa(a.status)
	switch a.status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return core.Invalid("", "%s", say("the transmitter refuses the request ("+status+")"))
	case http.StatusUnauthorized:
		return core.Denied("%s", say("the transmitter does not accept our credential (401)"))
	case http.StatusForbidden:
		return core.Denied("%s", say("our credential lacks a scope or the stream is not ours (403)"))
	case http.StatusNotFound, http.StatusGone:
		return &core.Error{Kind: core.KindNotFound, Message: say("the transmitter knows no such stream (" + status + ")")}
	case http.StatusConflict:
		return core.Conflict("", "%s", say("the transmitter has a stream for us already (409)"))
	case http.StatusTooManyRequests:
		return &core.Error{Kind: core.KindRateLimited, RetryAfter: a.retryAfter(), Message: say("too many requests for the transmitter (429)")}
	}
	return core.Unavailable(a.retryAfter(), "%s", say("the transmitter answers "+status))
}

// words are what a transmitter says in the members such answers have.
func (a answer) words() string {
	var said map[string]any
	if json.Unmarshal(a.body, &said) != nil {
		return ""
	}
	for _, name := range []string{"error_description", "description", "detail", "errorSummary", "message", "error", "err"} {
		if text, ok := said[name].(string); ok && text != "" {
			return cut(text, 200)
		}
	}
	return ""
}

// says reports whether a refusal is of an OAuth error.
func (a answer) says(code string) bool {
	var said struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(a.body, &said) == nil && said.Error == code
}

// retryAfter is what the transmitter asks us to wait, at most an hour.
func (a answer) retryAfter() time.Duration {
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds <= 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}

// address checks one that we are told to go to: https, if that is how its issuer is reached.
func checkAddress(field, text, issuer string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" || (parsed.Scheme != "https" && parsed.Scheme != "http") {
		return core.Invalid(field, "an address that begins with https:// is needed")
	}
	if parsed.Scheme == "http" && strings.HasPrefix(issuer, "https://") {
		return core.Invalid(field, "https is needed: %s is reached by it too", issuer)
	}
	return nil
}
