package http

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/connectors/protocol"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// New makes the connector. allowPrivate lets every app be at a private address.
func New(allowPrivate bool) *Connector {
	return &Connector{protocol.Issued{Listed: protocol.Listed{Governed: protocol.Governed{Guarded: protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{
		Protocol: &api{}, Agent: "net/http", Schemes: []string{"https", "http"}, AllowPrivate: allowPrivate,
	}}}}}}}
}

// Connector can do in an app what its definition describes.
type Connector struct{ protocol.Issued }

var _ rotation.Particular = (*Connector)(nil)

// Can implements rotation.Particular.
func (*Connector) Can(settings json.RawMessage, capability rotation.Capability) bool {
	if settings == nil {
		return true
	}
	definition, err := ParseSettings(settings)
	if err != nil {
		return false
	}
	switch capability {
	case rotation.CanReset:
		return len(definition.Reset) > 0
	case rotation.CanDisable:
		return len(definition.Disable) > 0
	case rotation.CanRevoke:
		return len(definition.EndSessions) > 0
	case rotation.CanList:
		return definition.Users != nil
	case rotation.CanIssue:
		return definition.Tokens != nil
	case rotation.CanChange:
		return len(definition.Change) > 0
	case rotation.CanVerify:
	}
	return true
}

// Settings are an app's, as JSON.
type Settings struct {
	// Definition is the name of one that comes with Postern, or the text of one.
	Definition string `json:"definition"`
	// Values are those the definition asks for, by its names.
	Values map[string]string `json:"values,omitempty"`
}

const shape = `{"definition": "…"}, with the name of a definition or the text of one`

// ParseSettings reads the definition an app's settings name or bring. What is no such thing is Invalid: a fault of a
// definition is told with its line.
func ParseSettings(text json.RawMessage) (Definition, error) {
	settings, err := protocol.Settings[Settings](text, shape)
	switch {
	case err != nil:
		return Definition{}, err
	case settings.Definition == "":
		return Definition{}, core.Invalid("settings", "the app's settings are %s", shape)
	}
	definition, err := named(settings.Definition)
	if err != nil {
		return Definition{}, core.Invalid("settings", "the app's definition cannot be used: %s", err)
	}
	for name := range settings.Values {
		if _, known := definition.Values[name]; !known {
			return Definition{}, core.Invalid("settings", "the definition asks for no value %q", name)
		}
	}
	values := maps.Clone(definition.Values)
	for name, known := range definition.Values {
		if values[name] = cmp.Or(settings.Values[name], known); values[name] == "" {
			return Definition{}, core.Invalid("settings", `the definition asks for a value: {"definition": "…", "values": {"%s": "…"}}`, name)
		}
	}
	definition.Values = values
	return definition, nil
}

// api is an app's, by its definition.
type api struct{ kept kept }

// open makes a session in which nobody is signed in yet.
func (a *api) open(endpoint protocol.Endpoint, text []byte, credential rotation.Credential) (*session, error) {
	definition, err := ParseSettings(text)
	if err != nil {
		return nil, err
	}
	if endpoint.URL.Scheme != "https" && !endpoint.Loopback() {
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "A password is not sent over the network without TLS: the app's address has to begin with https://."}
	}
	if credential.Username == "" || credential.Password.Reveal() == "" {
		return nil, &protocol.Failure{Outcome: rotation.Rejected, Detail: "An empty user name or password is none."}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	s := &session{
		definition: definition, endpoint: endpoint, opened: make(chan net.Conn, 1),
		// No connection outlives its request, so that none is ever sent again on another.
		client: &http.Client{
			Jar:           jar,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		values: map[string]string{
			"username": credential.Username, "password": credential.Password.Reveal(),
			"basic": base64.StdEncoding.EncodeToString([]byte(credential.Username + ":" + credential.Password.Reveal())),
		},
	}
	maps.Copy(s.values, definition.Values)
	s.client.Transport = &http.Transport{DialContext: s.connect, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	return s, nil
}

// SignIn implements protocol.Protocol.
func (a *api) SignIn(ctx context.Context, endpoint protocol.Endpoint, text []byte, credential rotation.Credential) (protocol.Session, error) {
	s, err := a.open(endpoint, text, credential)
	if err != nil {
		return nil, err
	}
	definition := s.definition
	steps := definition.SignIn
	if s.token = definition.Token.Username != "" && credential.Username == definition.Token.Username; s.token {
		steps = definition.Token.SignIn
		if steps[0].Expires != "" {
			s.kept, s.key = &a.kept, keyOf(endpoint.URL.String(), text, credential)
		}
	}
	if s.kept != nil && endpoint.Administered && s.kept.into(s.key, s.values) {
		return s, nil
	}
	for _, step := range steps {
		if err := s.take(ctx, step); err != nil {
			return nil, err
		}
	}
	return s, nil
}

type session struct {
	definition Definition
	client     *http.Client
	endpoint   protocol.Endpoint
	opened     chan net.Conn // for the next request; the library takes it in a goroutine of its own
	values     map[string]string
	token      bool // signed in with an API token
	kept       *kept
	key        [sha256.Size]byte
}

// open connects to the app for the next request.
func (s *session) open(ctx context.Context, at *url.URL) error {
	endpoint := protocol.Endpoint{URL: at}
	connection, err := s.endpoint.Dial(ctx, "tcp", endpoint.Address(map[string]string{"http": "80", "https": "443"}[at.Scheme]))
	if err == nil {
		s.opened <- connection
	}
	return err
}

// connect gives the connection that is open already, or opens one.
func (s *session) connect(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case opened := <-s.opened:
		return opened, nil
	default:
		return s.endpoint.Dial(ctx, network, address)
	}
}

// Change implements protocol.Session.
func (s *session) Change(ctx context.Context, next seal.Secret, release func() error) error {
	if s.token || len(s.definition.Change) == 0 {
		return &protocol.Failure{Outcome: rotation.Refused, Detail: "Nobody changes a password of their own by this API."}
	}
	return s.set(ctx, s.definition.Change, next, release)
}

// Reset implements protocol.Administrator.
func (s *session) Reset(ctx context.Context, username string, next seal.Secret, release func() error) error {
	if err := s.about(username, s.definition.Reset, "reset"); err != nil {
		return err
	}
	return s.set(ctx, s.definition.Reset, next, release)
}

// SetEnabled implements protocol.Governor.
func (s *session) SetEnabled(ctx context.Context, username string, enabled bool) error {
	if enabled {
		return s.govern(ctx, username, s.definition.Enable, "enable")
	}
	return s.govern(ctx, username, s.definition.Disable, "disable")
}

// Enabled implements protocol.Registrar, where the definition says how.
func (s *session) Enabled(ctx context.Context, username string) (enabled, known bool, err error) {
	record := s.definition.Record
	if record == nil {
		return false, false, nil
	}
	if err := s.about(username, []Step{record.Step}, "record"); err != nil {
		return false, false, err
	}
	request, err := s.request(ctx, record.Step)
	if err != nil {
		return false, false, err
	}
	answer, _, err := s.exchange(request, record.Step)
	return !record.Disabled.fits(0, answer), err == nil, err
}

// Revoke implements protocol.Governor.
func (s *session) Revoke(ctx context.Context, username string) error {
	return s.govern(ctx, username, s.definition.EndSessions, "end_sessions")
}

func (s *session) govern(ctx context.Context, username string, steps []Step, part string) error {
	if err := s.about(username, steps, part); err != nil {
		return err
	}
	for _, step := range steps {
		if err := s.take(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// about has a part of the definition be about an account.
func (s *session) about(username string, steps []Step, part string) error {
	switch {
	case s.definition.Token.Username != "" && !s.token:
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "Only the account named " + s.definition.Token.Username + ", which has an API token, does this."}
	case len(steps) == 0:
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The app's definition does not say how an administrator does this (" + part + ")."}
	case username == "":
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "An empty user name is none."}
	}
	s.values["account"] = username
	return nil
}

// set takes the steps of which the last one carries the new password.
func (s *session) set(ctx context.Context, steps []Step, next seal.Secret, release func() error) error {
	last := len(steps) - 1
	for _, step := range steps[:last] {
		if err := s.take(ctx, step); err != nil {
			return err
		}
	}
	s.values["new"] = next.Reveal()
	request, err := s.request(ctx, steps[last])
	if err != nil {
		return err
	}
	// An app that is down by now is found out before it counts as asked.
	if err := s.open(ctx, request.URL); err != nil {
		return err
	}
	if err := release(); err != nil {
		return err
	}
	return s.send(request, steps[last])
}

// Close implements protocol.Session.
func (s *session) Close() {
	s.client.CloseIdleConnections()
	select {
	case unused := <-s.opened:
		_ = unused.Close()
	default:
	}
}

// take makes a request and sends it.
func (s *session) take(ctx context.Context, step Step) error {
	request, err := s.request(ctx, step)
	if err != nil {
		return err
	}
	return s.send(request, step)
}

// fill puts the values into a text, each as escape makes it.
func (s *session) fill(text string, escape func(string) string) string {
	return place.ReplaceAllStringFunc(text, func(name string) string { return escape(s.values[strings.Trim(name, "{}")]) })
}

func same(text string) string { return text }

// base is where a request goes. What is not the app's own address is no less guarded: it is one of its domains, and has TLS.
func (s *session) base(step Step) (*url.URL, error) {
	if step.Address == "" {
		return s.endpoint.URL, nil
	}
	base, err := url.Parse(s.fill(step.Address, same))
	switch {
	case err != nil || base.Host == "" || base.RawQuery != "" || base.User != nil || base.Scheme != "https" && base.Scheme != "http":
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The definition's other address is none: correct the app's settings.", Err: err}
	case base.Scheme != "https" && !core.Loopback(base.Hostname()):
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "A password is not sent over the network without TLS: the definition's other address has to begin with https://."}
	}
	return base, nil
}

func (s *session) request(ctx context.Context, step Step) (*http.Request, error) {
	base, err := s.base(step)
	if err != nil {
		return nil, err
	}
	path := s.fill(step.Path, url.PathEscape)
	if slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return nil, &protocol.Failure{Outcome: rotation.Rejected, Detail: "A user name that leads to another address is none."}
	}
	address := base.Scheme + "://" + base.Host + strings.TrimSuffix(base.EscapedPath(), "/") + path
	query, form := url.Values{}, url.Values{}
	for name, text := range step.Query {
		query.Set(name, s.fill(text, same))
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	for name, text := range step.Form {
		form.Set(name, s.fill(text, same))
	}
	var body []byte
	kind := ""
	switch {
	case step.JSON != nil:
		text, err := json.Marshal(texts(step.JSON, func(text string) string { return s.fill(text, same) }))
		if err != nil {
			return nil, err
		}
		body, kind = text, "application/json"
	case step.Form != nil:
		body, kind = []byte(form.Encode()), "application/x-www-form-urlencoded"
	}
	request, err := http.NewRequestWithContext(ctx, step.Method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.GetBody = nil // it is sent once
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "Postern")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	for name, text := range step.Headers {
		request.Header.Set(name, s.fill(text, same))
	}
	return request, nil
}

// whole is the place of an answer that is a text and no JSON.
const whole = "*"

// maxAnswer is what is read of an answer.
const maxAnswer = 1 << 20

// send sends a request and judges the answer.
func (s *session) send(request *http.Request, step Step) error {
	_, _, err := s.exchange(request, step)
	return err
}

// exchange is send, and gives the answer.
func (s *session) exchange(request *http.Request, step Step) (answer any, header http.Header, err error) {
	response, err := s.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return s.judge(response, step)
}

// judge reads an answer.
func (s *session) judge(response *http.Response, step Step) (answer any, header http.Header, err error) {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	_ = decoder.Decode(&answer) // what is no JSON has nothing at any place
	if response.StatusCode == http.StatusUnauthorized && s.kept != nil {
		s.kept.drop(s.key) // it is good no more
	}
	for _, failure := range step.Failures {
		if failure.fits(response.StatusCode, answer) {
			return nil, nil, &protocol.Failure{Outcome: failure.Outcome, Detail: failure.Detail}
		}
	}
	switch {
	case slices.ContainsFunc(step.Also, func(rule Rule) bool { return rule.fits(response.StatusCode, answer) }):
		return answer, response.Header, nil
	case step.Success.fits(response.StatusCode, answer):
	case response.StatusCode == http.StatusTooManyRequests:
		return nil, nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The app has been asked too often, and wants to be left alone for " + pause(response.Header.Get("Retry-After")) + "."}
	default:
		return nil, nil, fmt.Errorf("http: the app answered %s %s with %d", response.Request.Method, response.Request.URL.Path, response.StatusCode)
	}
	for name, at := range step.Keep {
		s.values[name] = find(answer, at)
		if at == whole {
			s.values[name] = strings.TrimSpace(string(text))
		}
		if s.values[name] == "" {
			return nil, nil, fmt.Errorf("http: the answer has nothing at %s", at)
		}
	}
	if step.Expires != "" && s.kept != nil {
		s.kept.add(s.key, step.Keep, s.values, find(answer, step.Expires))
	}
	return answer, response.Header, nil
}

// pause puts into words what an app says in Retry-After.
func pause(said string) string {
	if seconds, err := strconv.Atoi(said); err == nil && seconds > 0 && seconds < 1e6 {
		return strconv.Itoa(seconds) + " seconds"
	}
	return "a while"
}

// fits reports whether an answer is of this kind.
func (r Rule) fits(status int, answer any) bool {
	if len(r.Status) > 0 && !slices.Contains(r.Status, status) {
		return false
	}
	if r.At == "" {
		return true
	}
	found := find(answer, r.At)
	return found != "" && (len(r.Is)+len(r.Contains) == 0 || slices.Contains(r.Is, found) ||
		slices.ContainsFunc(r.Contains, func(part string) bool { return strings.Contains(found, part) }))
}
