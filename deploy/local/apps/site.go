package apps

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"postern/core"
	"postern/deploy/local/process"
)

// Options say how a site runs. The zero value is good.
type Options struct {
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Username and Password of the shared account. It is made when absent; an existing one keeps its
	// password. Default: "shared", and a password that is the same for every site of a folder.
	Username, Password string
	// MailPort is where on 127.0.0.1 the site hands its mail over, by SMTP; 0: it sends none.
	MailPort int
}

// Site is a running web application with one shared account.
type Site struct {
	// Name is what people call the application.
	Name string
	// URL is its base address, without a slash at the end.
	URL string
	// SignInURL and ChangeURL are the pages to sign in and to change one's own password.
	SignInURL, ChangeURL string
	// Username and Password of the shared account, as they were when it was made.
	Username, Password string

	application application
	options     Options // filled
	folder      string  // its own
	program     string  // the application's, where it is
	processes   []*process.Process

	// user does one of the things the application can to an account; value is the new password, the address or the secret.
	user func(ctx context.Context, what, username, value string) error
}

// What is done to a site's accounts.
const (
	makeUser    = "make" // with a password; one that is there stays as it is
	setPassword = "set"  // and make the account when it is absent
	setAddress  = "address"
	enrol       = "enrol"
	enable      = "enable"
	disable     = "disable"
	expire      = "expire"
)

// Stop ends the site's processes. What it stored stays in its folder.
func (s *Site) Stop() error {
	var failures []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		failures = append(failures, s.processes[i].End(syscall.SIGTERM, 20*time.Second))
	}
	return errors.Join(failures...)
}

// SetPassword makes an account, or sets its password as the site's administrator would.
func (s *Site) SetPassword(ctx context.Context, username, password string) error {
	return s.user(ctx, setPassword, username, password)
}

// SetAddress says where the site mails an account, as the site's administrator would.
func (s *Site) SetAddress(ctx context.Context, username, address string) error {
	return s.order(ctx, setAddress, username, address)
}

// Enable turns an account on, or off, as the site's administrator would.
func (s *Site) Enable(ctx context.Context, username string, on bool) error {
	if on {
		return s.order(ctx, enable, username, "")
	}
	return s.order(ctx, disable, username, "")
}

// Expire has an account's password be too old, so that the site asks for another one at the next sign-in.
func (s *Site) Expire(ctx context.Context, username string) error {
	return s.order(ctx, expire, username, "")
}

// Enrol has the site ask an account for one-time codes made of a secret (base32, TOTP with 6 digits, SHA-1 and 30 seconds)
// from its next sign-in on. It takes each code once, as RFC 6238 5.2 wants.
func (s *Site) Enrol(ctx context.Context, username, secret string) error {
	return s.order(ctx, enrol, username, secret)
}

func (s *Site) order(ctx context.Context, what, username, value string) error {
	if !slices.Contains(s.application.orders, what) {
		return core.Invalid("", "%s takes no order to %s an account", s.Name, what)
	}
	return s.user(ctx, what, username, value)
}

// Accepts signs in by the site's own form, with a plain HTTP client and no browser, and reports
// whether the site let the account in.
func (s *Site) Accepts(ctx context.Context, username, password string) (bool, error) {
	return s.application.form.signIn(ctx, s, username, password)
}

func (o Options) fill() (Options, error) {
	if o.Username == "" {
		o.Username = "shared"
	}
	if o.Password == "" {
		o.Password = "Tide-and-tackle-2026"
	}
	if strings.ContainsAny(o.Username, ":\n") {
		return o, core.Invalid("Username", "a user name has no colon")
	}
	if o.Port == 0 {
		port, err := process.FreePort()
		if err != nil {
			return o, err
		}
		o.Port = port
	}
	return o, nil
}
