package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// target is the server under test, and what it says of itself.
type target struct {
	base, token string
	other       string // the token of another tenant; empty: there is none
	access      access
	client      *http.Client
	run         string // part of every name the run makes
	requests    atomic.Int64
	names       atomic.Int64
	patience    time.Duration
	sleep       func(context.Context, time.Duration) error

	lock    sync.RWMutex
	secrets []string // never shown

	config *answer // ServiceProviderConfig
	types  *answer // ResourceTypes
}

// Exchange is one request and its answer, without the token.
type Exchange struct {
	Method         string            `json:"method"`
	URL            string            `json:"url"`
	RequestHeader  map[string]string `json:"requestHeader,omitempty"`
	RequestBody    string            `json:"requestBody,omitempty"`
	Status         int               `json:"status,omitempty"` // 0: no answer came
	ResponseHeader map[string]string `json:"responseHeader,omitempty"`
	ResponseBody   string            `json:"responseBody,omitempty"`
	Error          string            `json:"error,omitempty"`
	Milliseconds   float64           `json:"milliseconds"`
}

// What is kept of a body in a report, and read of one at all.
const (
	bodyShown = 6 << 10
	bodyRead  = 32 << 20
	bodyKept  = 64 << 10
)

// A server that limits the rate says for how long; a run waits that long, but not for ever.
const (
	longestWait = 30 * time.Second
	tries       = 6
)

// roundTrip sends a request, again when it was refused for its rate, and reads the answer.
func (t *target) roundTrip(ctx context.Context, method, url, body string, header http.Header) (*Exchange, *reply) {
	for try := 1; ; try++ {
		exchange, got := t.once(ctx, method, url, body, header)
		if got == nil || got.status != http.StatusTooManyRequests || try == tries {
			return exchange, got
		}
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		if err != nil || seconds < 0 {
			seconds = try
		}
		timer := time.NewTimer(min(time.Duration(seconds)*time.Second, longestWait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return exchange, got
		}
	}
}

// reply is what a server answered.
type reply struct {
	status int
	header http.Header
	text   []byte
}

func (t *target) once(ctx context.Context, method, url, body string, header http.Header) (*Exchange, *reply) {
	exchange := &Exchange{Method: method, URL: t.redact(url), RequestBody: t.shown(body), RequestHeader: t.headers(header)}
	t.requests.Add(1)
	started := time.Now()
	defer func() { exchange.Milliseconds = float64(time.Since(started).Microseconds()) / 1000 }()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		exchange.Error = t.redact(err.Error())
		return exchange, nil
	}
	if body == "" {
		request.Body, request.ContentLength = nil, 0
	}
	request.Header = header
	request.Close = len(body) > bodyKept // a server that refuses it unread breaks the connection
	response, err := t.client.Do(request)
	if err != nil {
		exchange.Error = t.redact(err.Error())
		return exchange, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, bodyRead))
	if err != nil {
		exchange.Error = t.redact(err.Error())
		return exchange, nil
	}
	exchange.Status, exchange.ResponseHeader, exchange.ResponseBody = response.StatusCode, t.headers(response.Header), t.shown(string(text))
	return exchange, &reply{response.StatusCode, response.Header, text}
}

// hide has secrets taken out of everything that is shown from now on.
func (t *target) hide(secrets ...string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.secrets = append(t.secrets, slices.DeleteFunc(secrets, func(one string) bool { return one == "" })...)
}

// redact takes the secrets out of a text.
func (t *target) redact(text string) string {
	t.lock.RLock()
	defer t.lock.RUnlock()
	for _, secret := range t.secrets {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return text
}

func (t *target) shown(body string) string {
	body = t.redact(body)
	if len(body) > bodyShown {
		body = strings.ToValidUTF8(body[:bodyShown], "") + " … (" + strconv.Itoa(len(body)) + " bytes)"
	}
	return body
}

func (t *target) headers(header http.Header) map[string]string {
	shown := map[string]string{}
	for name, values := range header {
		switch name {
		case "Authorization":
			shown[name] = "[redacted]"
			if scheme, _, found := strings.Cut(header.Get(name), " "); found {
				shown[name] = scheme + " [redacted]"
			}
		case "Set-Cookie", "Cookie":
			shown[name] = "[redacted]"
		default:
			shown[name] = t.redact(strings.Join(values, ", "))
		}
	}
	return shown
}

// discover asks what the server claims; checks of their own judge the answers. It fails when nobody
// answers.
func (t *target) discover(ctx context.Context) error {
	p := &probe{ctx: ctx, target: t, agent: agents[RFC]}
	t.config = p.try("GET", "/ServiceProviderConfig", nil)
	t.types = p.try("GET", "/ResourceTypes", nil)
	if t.config.status == 0 && t.types.status == 0 && ctx.Err() == nil {
		return errors.New(t.types.exchange.Error)
	}
	return nil
}

// claims reports whether the server says it supports a feature.
func (t *target) claims(feature string) bool {
	claimed, _ := t.config.at(feature, "supported").(bool)
	return claimed
}

// limit is a number in ServiceProviderConfig; 0 when it says none.
func (t *target) limit(path ...any) int {
	number, _ := t.config.at(path...).(json.Number)
	value, _ := strconv.Atoi(number.String())
	return value
}

// endpoint is where the resources of a schema are, by ResourceTypes; empty when it lists none.
func (t *target) endpoint(schema string) string {
	for _, one := range entriesOf(t.types.at("Resources")) {
		if at(one, "schema") == schema {
			path, _ := at(one, "endpoint").(string)
			return strings.TrimPrefix(path, t.base)
		}
	}
	return ""
}

// decode reads one JSON text; numbers keep their spelling.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON text")
	}
	return value, nil
}
