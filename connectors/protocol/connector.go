package protocol

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/connectors/guard"
	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
)

// DefaultTimeout bounds an attempt.
const DefaultTimeout = 30 * time.Second

// Endpoint is where an app answers.
type Endpoint struct {
	URL *url.URL // of the target, as whoever made the app wrote it
	// Administered: whoever signs in does so to do something to another account, and nothing is proved by it.
	Administered bool
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
}

// Address is the endpoint's host and port.
func (e Endpoint) Address(port string) string {
	if e.URL.Port() != "" {
		port = e.URL.Port()
	}
	return net.JoinHostPort(e.URL.Hostname(), port)
}

// Loopback reports whether the endpoint is on this machine: only there may a password go without TLS.
func (e Endpoint) Loopback() bool { return core.Loopback(e.URL.Hostname()) }

// Protocol signs in at one kind of app.
type Protocol interface {
	// SignIn signs in afresh. What the app said instead of letting one in is a *Failure; any other error
	// means that it could not be reached.
	SignIn(ctx context.Context, endpoint Endpoint, settings []byte, credential rotation.Credential) (Session, error)
}

// Session is a sign-in.
type Session interface {
	// Change makes the request that sets next, calls release once when the request is complete, and sends it
	// if that returned nil. A *Failure says what the app answered instead; any other error means that nobody
	// can tell.
	Change(ctx context.Context, next seal.Secret, release func() error) error
	// Close ends the session. It may be called once, also after the context has ended.
	Close()
}

// Administrator is a Session that may set other people's passwords.
type Administrator interface {
	Session
	// Reset is Change of the account named username, which stays disabled or locked if it is. A *Failure with the outcome
	// AdminDenied is the administrator's own.
	Reset(ctx context.Context, username string, next seal.Secret, release func() error) error
}

// Doorkeeper is an Administrator who may also shut people out.
type Doorkeeper interface {
	Administrator
	// SetEnabled has the app let the account named username in, or not. Errors are as in Reset.
	SetEnabled(ctx context.Context, username string, enabled bool) error
}

// Registrar is a Doorkeeper who may also read what the app keeps of an account.
type Registrar interface {
	Doorkeeper
	// Enabled reports whether the app's own record has the account named username let in, as far as SetEnabled decides that; known is
	// false if the administrator is not told.
	Enabled(ctx context.Context, username string) (enabled, known bool, err error)
}

// Governor is a Doorkeeper who may also end sessions.
type Governor interface {
	Doorkeeper
	// Revoke ends the sessions of the account named username. Errors are as in Reset.
	Revoke(ctx context.Context, username string) error
}

// Clerk is an Administrator who may also tell which accounts there are.
type Clerk interface {
	Administrator
	// Users calls each for every account, page by page where there may be many, and ends with its error. What it was not told
	// is an error too. Errors are as in Reset.
	Users(ctx context.Context, each func(user rotation.User) error) error
}

// Issuer is a Session that may make and end tokens of an account: its own, or as an administrator.
type Issuer interface {
	Session
	// Issue makes one, and gives the app's id of it and its value. Errors are as in Reset.
	Issue(ctx context.Context, username, name string) (id string, value seal.Secret, err error)
	// Tokens calls each for every one there is, and ends with its error.
	Tokens(ctx context.Context, username string, each func(token rotation.Token) error) error
	// Withdraw ends one. It is no error if it is not there.
	Withdraw(ctx context.Context, username, id string) error
}

// TokenProtocol is a Protocol that lets in who has a token. Errors of TryToken are as in SignIn.
type TokenProtocol interface {
	Protocol
	TryToken(ctx context.Context, endpoint Endpoint, settings []byte, username string, token seal.Secret) error
}

// Failure is an answer that is no success.
type Failure struct {
	Outcome rotation.Outcome
	Detail  string // for a person, one sentence without the passwords
	Err     error
}

// Error implements error.
func (f *Failure) Error() string { return f.Detail }

// Unwrap gives what the library said.
func (f *Failure) Unwrap() error { return f.Err }

// Connector makes a connector of a Protocol. It is safe for concurrent use.
type Connector struct {
	Protocol Protocol
	Agent    string        // what a report says talked to the app, such as "pgx/5.12"
	Schemes  []string      // of the app's address
	Timeout  time.Duration // of an attempt; default DefaultTimeout
	// AllowPrivate lets every app be at a private address: for development and tests. Otherwise
	// Target.AllowPrivate decides for each.
	AllowPrivate bool
	Now          func() time.Time // nil: time.Now
}

var (
	_ rotation.Changer = (*Connector)(nil)
	_ rotation.Looker  = (*Connector)(nil)
)

// Verify implements rotation.Connector.
func (c *Connector) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	a := c.begin(target, credential.Password)
	return a.report(ctx, func(ctx context.Context) error {
		session, err := a.signIn(ctx, credential)
		if err != nil {
			return err
		}
		session.Close()
		a.stage, a.done = rotation.StageVerify, rotation.Accepted
		return nil
	})
}

// Look implements rotation.Looker: it connects, and asks for nothing.
func (c *Connector) Look(ctx context.Context, target rotation.Target) rotation.Report {
	a := c.begin(target)
	return a.report(ctx, func(ctx context.Context) error {
		endpoint, err := a.endpoint()
		if err != nil {
			return err
		}
		connection, err := endpoint.Dial(ctx, "tcp", endpoint.Address(accounts.Port(endpoint.URL.Scheme)))
		if err != nil {
			return err
		}
		_ = connection.Close()
		return &Failure{Outcome: rotation.Found, Detail: "Something answers at the app's address."}
	})
}

// Change implements rotation.Changer.
func (c *Connector) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	a := c.begin(target, current.Password, next)
	return a.report(ctx, func(ctx context.Context) error {
		session, err := a.signIn(ctx, current)
		if err != nil {
			return err
		}
		defer session.Close()
		a.stage, a.done = rotation.StageChangeForm, rotation.Applied
		return session.Change(ctx, next, a.gate(ctx, release))
	})
}

// attempt is one use of a Connector.
type attempt struct {
	*Connector
	target       rotation.Target
	secrets      []seal.Secret
	hosts        []string
	stage        string
	done         rotation.Outcome // if nothing failed
	released     bool
	did          string // in words, if nothing failed
	recorded     bool   // the app's own record says so too
	administered bool   // it is the administrator who signs in
	most         int    // that the app may say; 0: maxSaid
}

func (c *Connector) begin(target rotation.Target, secrets ...seal.Secret) *attempt {
	return &attempt{Connector: c, target: target, secrets: secrets, stage: rotation.StageNavigate, did: "The app took the new password."}
}

func (a *attempt) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// report runs the work and puts what came of it into words.
func (a *attempt) report(ctx context.Context, work func(ctx context.Context) error) rotation.Report {
	report := rotation.Report{Started: a.now(), Agent: a.Agent}
	timeout := a.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := work(within)
	report.Outcome, report.Detail = a.outcome(within, err)
	report.Stage, report.Released, report.Hosts, report.Finished = a.stage, a.released, a.hosts, a.now()
	report.Recorded = err == nil && a.recorded
	for _, secret := range a.secrets {
		if text := secret.Reveal(); text != "" {
			report.Detail = strings.ReplaceAll(report.Detail, text, "[redacted]")
		}
	}
	return report
}

// outcome is what an error of the work says.
func (a *attempt) outcome(ctx context.Context, err error) (rotation.Outcome, string) {
	failure, answered := errors.AsType[*Failure](err)
	switch {
	case err == nil && a.done == rotation.Accepted:
		return a.done, "The app let the account in."
	case err == nil:
		return a.done, a.did
	case answered && a.administered && a.stage == rotation.StageSignIn:
		return administrators(failure)
	case answered:
		return failure.Outcome, failure.Detail
	case a.released:
		return rotation.Unknown, "The request was sent, and no answer came that says what became of it."
	case errors.Is(err, errHeld):
		return rotation.NotSent, "The request to change the password was not sent."
	case ctx.Err() != nil:
		return rotation.TimedOut, "The app did not answer in time."
	}
	// The guard says what is wrong with an address; everybody else's words are not for people.
	if known, ok := errors.AsType[*core.Error](err); ok {
		return rotation.Unreachable, capital(known.Message) + "."
	}
	return rotation.Unreachable, "The app cannot be reached, or speaks something else."
}

func capital(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (a *attempt) signIn(ctx context.Context, credential rotation.Credential) (Session, error) {
	endpoint, err := a.endpoint()
	if err != nil {
		return nil, err
	}
	a.stage, endpoint.Administered = rotation.StageSignIn, a.administered
	return a.Protocol.SignIn(ctx, endpoint, a.target.Settings, credential)
}

// endpoint is where the app answers, reached through the guard alone.
func (a *attempt) endpoint() (Endpoint, error) {
	address, err := url.Parse(a.target.SignInURL)
	if err != nil || !slices.Contains(a.Schemes, address.Scheme) || address.Hostname() == "" {
		return Endpoint{}, &Failure{Outcome: rotation.Unreachable, Detail: "The app's address has to begin with " + strings.Join(a.Schemes, ":// or ") + "://.", Err: err}
	}
	dialer := &guard.Dialer{AllowPrivate: a.AllowPrivate || a.target.AllowPrivate}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if !a.reachable(address) {
			return nil, core.Denied("%s is not one of the app's domains", address).WithCode("domain")
		}
		if !slices.Contains(a.hosts, address) {
			a.hosts = append(a.hosts, address)
		}
		connection, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &bounded{Conn: connection, left: cmp.Or(a.most, maxSaid)}, nil
	}
	return Endpoint{URL: address, Dial: dial}, nil
}

const (
	// maxSaid is how much an app may say on one connection. Nothing it is asked takes a part of that.
	maxSaid = 8 << 20
	// maxTold is how much it may say of all its accounts, which are read one by one or in pages.
	maxTold = 128 << 20
)

var errTalks = errors.New("protocol: the app talks without end")

// bounded is a connection at which no app can say so much that it fills the memory: libraries keep an answer until it is
// whole, and some believe what it says of its own length.
type bounded struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (b *bounded) Read(into []byte) (int, error) {
	if b.left == 0 {
		return 0, errTalks
	}
	n, err := b.Conn.Read(into[:min(len(into), b.left)])
	b.left -= n
	return n, err
}

// reachable reports whether an address is one of the app's domains: a domain without a port is every port.
func (a *attempt) reachable(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && slices.ContainsFunc(a.target.Domains, func(domain string) bool {
		return strings.EqualFold(domain, host) || strings.EqualFold(domain, address) || strings.EqualFold(domain, "["+host+"]")
	})
}

// errHeld is that release said no.
var errHeld = errors.New("protocol: the change was not released")

// gate lets a change request through once.
func (a *attempt) gate(ctx context.Context, release func(ctx context.Context) error) func() error {
	asked := false
	return func() error {
		if asked {
			return errHeld
		}
		asked, a.stage = true, rotation.StageSubmit
		if err := release(ctx); err != nil {
			return errors.Join(errHeld, err)
		}
		a.released = true
		return nil
	}
}
