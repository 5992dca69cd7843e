package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"postern/core"
	"postern/core/seal"
	"postern/gateway/problem"
)

// remote is part of every command that asks a gateway, by its API, and prints what it says.
type remote struct {
	reach  `embed:""`
	Output string `help:"table, json or jsonl: one JSON object a line." short:"o" enum:"table,json,jsonl" default:"table" group:"gateway"`
}

// reach is which gateway, and as whom.
type reach struct {
	URL       string `help:"Address of the gateway. Without one: the gateway of 'postern login'." env:"POSTERN_URL" placeholder:"URL" group:"gateway"`
	Token     string `help:"A service account's token. Others on this machine see it in the list of processes: POSTERN_TOKEN and --token-file keep it off there." placeholder:"TOKEN" group:"gateway"`
	TokenFile string `help:"File that holds a service account's token; - is standard input. POSTERN_TOKEN may hold the token itself." env:"POSTERN_TOKEN_FILE" placeholder:"PATH" group:"gateway"`
	Context   string `help:"Which of the gateways you logged in to." env:"POSTERN_CONTEXT" placeholder:"NAME" group:"gateway"`
}

const (
	maxAnswer   = 64 << 20 // bytes of one answer
	maxRetries  = 5
	pageSize    = 100
	maxSecret   = 4 << 10     // bytes of a token or a password
	answerWait  = time.Minute // until the first byte of an answer
	retryUpTo   = 10 * time.Second
	retrySteps  = 200 * time.Millisecond
	agentOfCLI  = "postern-cli"
	environment = "POSTERN_TOKEN"
)

// apiClient speaks to one gateway with one token. What it changes it changes once, however often the network
// makes it ask: every change carries an Idempotency-Key and is sent again until it is answered.
type apiClient struct {
	base  *url.URL
	token seal.Secret
	http  *retryablehttp.Client
}

// connect finds the gateway and the token. A token that was kept for one gateway is never sent to another.
func (r reach) connect() (*apiClient, error) {
	address, token, err := r.given()
	if err != nil {
		return nil, err
	}
	if address == "" || token.IsZero() {
		kept, err := readContext(r.Context)
		if err != nil {
			return nil, err
		}
		switch {
		case kept.URL == "":
			return nil, core.Invalid("--url", "say which gateway and as whom: 'postern login URL', or --url with --token-file or %s", environment)
		case address == "":
			address = kept.URL
		case strings.TrimRight(address, "/") != kept.URL:
			return nil, core.Invalid("--token-file", "you are logged in to %s, and its token is for it alone; give the token for %s", kept.URL, address)
		}
		if token.IsZero() {
			token = kept.secret()
		}
	}
	return newClient(address, token)
}

// given is what flags and variables say.
func (r reach) given() (string, seal.Secret, error) {
	if r.Token != "" {
		token, err := plainToken("--token", seal.NewSecret(r.Token))
		return r.URL, token, err
	}
	if r.TokenFile != "" {
		token, err := readToken(r.TokenFile)
		return r.URL, token, err
	}
	if r.Context != "" {
		return r.URL, seal.Secret{}, nil
	}
	return r.URL, seal.NewSecret(strings.TrimSpace(os.Getenv(environment))), nil
}

// readToken reads a token from a file, or from standard input.
func readToken(path string) (seal.Secret, error) {
	token, err := readLine("--token-file", path)
	if err != nil {
		return token, err
	}
	return plainToken("--token-file", token)
}

// plainToken refuses what is no token.
func plainToken(flag string, token seal.Secret) (seal.Secret, error) {
	if strings.ContainsAny(token.Reveal(), " \t\r\n") {
		return seal.Secret{}, core.Invalid(flag, "it holds no token: one line, pst_api_…")
	}
	return token, nil
}

// readLine reads a secret, which is one line, from a file or from standard input.
func readLine(flag, path string) (seal.Secret, error) {
	text, err := readGiven(flag, path, maxSecret)
	if err != nil {
		return seal.Secret{}, err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return seal.Secret{}, core.Invalid(flag, "one line is needed")
	}
	return seal.NewSecret(secret), nil
}

// readGiven reads a file, or standard input for -, that may have so many bytes.
func readGiven(flag, path string, limit int64) ([]byte, error) {
	from := io.Reader(os.Stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, core.Invalid(flag, "the file cannot be read").Because(err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case err != nil:
		return nil, core.Invalid(flag, "it cannot be read").Because(err)
	case int64(len(text)) > limit:
		return nil, core.Invalid(flag, "it is longer than the %d bytes there can be", limit)
	}
	return text, nil
}

func newClient(address string, token seal.Secret) (*apiClient, error) {
	base, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, core.Invalid("--url", "give the gateway's address, such as https://postern.example.com")
	}
	if base.Scheme == "http" && !core.Loopback(base.Hostname()) {
		return nil, core.Invalid("--url", "a token is sent over https only, but to this machine")
	}
	made := retryablehttp.NewClient()
	made.Logger = nil
	made.RetryMax, made.RetryWaitMin, made.RetryWaitMax = maxRetries, retrySteps, retryUpTo
	made.ErrorHandler = retryablehttp.PassthroughErrorHandler
	made.CheckRetry = again
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerWait
	made.HTTPClient = &http.Client{
		Transport: transport,
		// Whoever sends the caller elsewhere gets no token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &apiClient{base: base, token: token, http: made}, nil
}

// again decides whether a request is sent once more: every one may be, since a change has its key. A gateway
// that is still at work on the first one says so.
func again(ctx context.Context, response *http.Response, err error) (bool, error) {
	if err != nil || response == nil || response.StatusCode != http.StatusConflict {
		return retryablehttp.DefaultRetryPolicy(ctx, response, err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	var told problem.Problem
	return err == nil && json.Unmarshal(body, &told) == nil && told.Code == "request_under_way", nil
}

// send asks and gives the answer; a refusal is an error. The body is the caller's to close. Headers come in pairs.
func (c *apiClient) send(ctx context.Context, method, path string, query url.Values, body any, headers ...string) (*http.Response, error) {
	target := *c.base
	target.Path += "/api/v1" + path
	target.RawQuery = query.Encode()
	var content any
	switch body := body.(type) {
	case nil:
	case upload:
		content = []byte(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, core.Internal(err)
		}
		content = text
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, method, target.String(), content)
	if err != nil {
		return nil, core.Internal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	request.Header.Set("User-Agent", agentOfCLI)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		request.Header.Set("Idempotency-Key", core.NewID().String())
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := c.http.Do(request)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, core.Unavailable(0, "%s cannot be reached", c.base).Because(plainly(err))
	case response.StatusCode >= http.StatusMultipleChoices:
		defer response.Body.Close()
		return nil, c.refusal(response)
	}
	return response, nil
}

// plainly is a failure without the address, which is told already.
func plainly(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// refusal is what the gateway said of it.
func (c *apiClient) refusal(response *http.Response) error {
	if response.StatusCode < http.StatusBadRequest {
		return core.Invalid("--url", "%s answers by sending elsewhere; give the address it sends to", c.base)
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	kind := kindOf(response.StatusCode)
	var told problem.Problem
	if json.Unmarshal(text, &told) != nil || told.Code == "" {
		return &core.Error{Kind: kind, Message: fmt.Sprintf("%s answered %s, and not as Postern does", c.base, response.Status)}
	}
	message := told.Detail
	if message == "" {
		message = told.Title
	}
	for _, fault := range told.Errors {
		where := strings.TrimPrefix(fault.Pointer, "#/") + fault.Parameter
		if where != "" && fault.Detail != told.Detail {
			message += "; " + where + ": " + fault.Detail
		} else if where != "" {
			message = where + ": " + message
		}
	}
	if kind == core.KindInternal || kind == core.KindUnavailable {
		message += " (request " + told.RequestID + ")"
	}
	return &core.Error{Kind: kind, Code: told.Code, Message: visible(message)}
}

// kindOf is the other way round of what the gateway does.
func kindOf(status int) core.Kind {
	for kind := core.KindInternal; kind <= core.KindUnavailable; kind++ {
		if kind != core.KindInternal && problem.Status(kind) == status {
			return kind
		}
	}
	switch {
	case status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		return core.KindUnavailable
	case status < http.StatusInternalServerError:
		return core.KindInvalid
	}
	return core.KindInternal
}

// ask sends a request and gives the JSON of the answer; nil if it has none.
func (c *apiClient) ask(ctx context.Context, method, path string, query url.Values, body any, headers ...string) (json.RawMessage, error) {
	text, _, err := c.exchange(ctx, method, path, query, body, headers...)
	return text, err
}

// exchange is ask that also tells the entity tag, for a change that is meant for what was read (If-Match).
func (c *apiClient) exchange(ctx context.Context, method, path string, query url.Values, body any, headers ...string) (json.RawMessage, string, error) {
	response, err := c.send(ctx, method, path, query, body, headers...)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, "", core.Unavailable(0, "the answer of %s broke off", c.base).Because(plainly(err))
	case len(text) == 0:
		return nil, "", nil
	case !json.Valid(text):
		return nil, "", core.Invalid("--url", "%s answers, but not as Postern's API does", c.base)
	}
	return text, response.Header.Get("ETag"), nil
}

// get reads one thing.
func get[Thing any](ctx context.Context, c *apiClient, path string, query url.Values) (Thing, error) {
	var thing Thing
	text, err := c.ask(ctx, http.MethodGet, path, query, nil)
	if err == nil {
		err = json.Unmarshal(text, &thing)
	}
	return thing, err
}

// pages walks a list, a page at a time, up to a number of rows; 0 is all of them.
func (c *apiClient) pages(ctx context.Context, path string, query url.Values, limit int) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if query == nil {
			query = url.Values{}
		}
		for rows := 0; ; {
			answer, err := get[struct {
				Items []json.RawMessage `json:"items"`
				Next  string            `json:"next"`
			}](ctx, c, path, query)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range answer.Items {
				if limit > 0 && rows == limit || !yield(item, nil) {
					return
				}
				rows++
			}
			// A list that grows at its end gives the end for what is next.
			if answer.Next == "" || answer.Next == query.Get("cursor") || limit > 0 && rows == limit {
				return
			}
			query.Set("cursor", answer.Next)
		}
	}
}

// found reads the rows of a list into things.
func found[Thing any](rows iter.Seq2[json.RawMessage, error]) ([]Thing, error) {
	var all []Thing
	for row, err := range rows {
		var thing Thing
		if err == nil {
			err = json.Unmarshal(row, &thing)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, thing)
	}
	return all, nil
}
