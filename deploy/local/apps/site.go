package apps

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
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

	folder    string
	processes []*process.Process
	set       func(ctx context.Context, username, password string) error
	address   func(ctx context.Context, username, address string) error // nil: the application cannot
	enrol     func(ctx context.Context, username, secret string) error
	decree    func(ctx context.Context, username, what string) error // enable, disable, expire; nil: the application cannot
	accepts   func(ctx context.Context, username, password string) (bool, error)
}

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
	return s.set(ctx, username, password)
}

// SetAddress says where the site mails an account, as the site's administrator would.
func (s *Site) SetAddress(ctx context.Context, username, address string) error {
	if s.address == nil {
		return core.Invalid("", "%s is not told addresses here", s.Name)
	}
	return s.address(ctx, username, address)
}

// Enable turns an account on, or off, as the site's administrator would.
func (s *Site) Enable(ctx context.Context, username string, on bool) error {
	if on {
		return s.order(ctx, username, "enable")
	}
	return s.order(ctx, username, "disable")
}

// Expire has an account's password be too old, so that the site asks for another one at the next sign-in.
func (s *Site) Expire(ctx context.Context, username string) error {
	return s.order(ctx, username, "expire")
}

// Enrol has the site ask an account for one-time codes made of a secret (base32, TOTP with 6 digits, SHA-1 and 30 seconds)
// from its next sign-in on. It takes each code once, as RFC 6238 5.2 wants.
func (s *Site) Enrol(ctx context.Context, username, secret string) error {
	if s.enrol == nil {
		return core.Invalid("", "%s has no second factor", s.Name)
	}
	return s.enrol(ctx, username, secret)
}

func (s *Site) order(ctx context.Context, username, what string) error {
	if s.decree == nil {
		return core.Invalid("", "%s has nothing to %s an account with", s.Name, what)
	}
	return s.decree(ctx, username, what)
}

// Accepts signs in by the site's own form, with a plain HTTP client and no browser, and reports
// whether the site let the account in.
func (s *Site) Accepts(ctx context.Context, username, password string) (bool, error) {
	return s.accepts(ctx, username, password)
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

// need returns the path of a program, or NotFound naming the package that has it.
func need(program, debianPackage string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin/", "/usr/local/sbin/", "/sbin/"} {
		if info, err := os.Stat(folder + program); err == nil && info.Mode()&0o111 != 0 {
			return folder + program, nil
		}
	}
	return "", missing(debianPackage)
}

func needFolder(folder, debianPackage string) error {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return missing(debianPackage)
	}
	return nil
}

func missing(debianPackage string) error {
	return core.NotFound("package " + debianPackage + " on this machine; `make tools` installs it")
}

// php serves a folder, four requests at a time, with more options of PHP's.
func (s *Site) php(ctx context.Context, program string, port int, folder string, more ...string) error {
	server, err := process.StartGroup(process.Program{
		Path: program, Folder: folder, Environment: []string{"PHP_CLI_SERVER_WORKERS=4", "PATH=/usr/bin:/bin", "TMPDIR=" + os.TempDir()},
		Arguments: append([]string{
			"-d", "memory_limit=256M", "-d", "display_errors=0", "-d", "opcache.enable=1", "-d", "opcache.enable_cli=1",
			"-S", fmt.Sprintf("127.0.0.1:%d", port), "-t", folder,
		}, more...),
	})
	if err != nil {
		return err
	}
	s.processes = append(s.processes, server)
	return s.answers(ctx, server)
}

// answers waits until the sign-in page comes.
func (s *Site) answers(ctx context.Context, server *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute) // its first answer takes long on a busy machine
	defer cancel()
	client := &http.Client{Timeout: time.Minute}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.SignInURL, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("it answered %s", response.Status)
		}
		select {
		case <-server.Exited():
			return fmt.Errorf("%s stopped at its start:\n%s", s.Name, server.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s did not start: %w\n%s", s.Name, err, server.Output())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
