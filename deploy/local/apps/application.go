package apps

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"postern/deploy/local/process"
)

// application is what differs from one web application to the next: where its pages are, how its accounts are kept and what
// serves it. start does what is alike.
type application struct {
	name    string // what people call it; its folder's, in small letters
	program part   // runs it
	files   []part // the folders it needs, which prepare finds where they are named

	signIn, change string // the paths of the pages to sign in and to change one's own password
	form           form
	orders         []string // what Site.user can, beside making accounts and setting passwords

	// prepare makes the site's folder, once or at each start, with its first account, sets Site.user, and says what serves it.
	prepare func(ctx context.Context, site *Site) (process.Program, error)
}

func (a application) start(ctx context.Context, folder string, options Options) (*Site, error) {
	program, err := need(a.program)
	if err != nil {
		return nil, err
	}
	for _, files := range a.files {
		if _, err := need(files); err != nil {
			return nil, err
		}
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	site := &Site{
		Name: a.name, URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password,
		application: a, options: options, folder: filepath.Join(folder, strings.ToLower(a.name)), program: program,
	}
	site.SignInURL, site.ChangeURL = site.URL+a.signIn, site.URL+a.change
	server, err := a.prepare(ctx, site)
	if err == nil {
		err = site.serve(ctx, server)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", a.name, err), site.Stop())
	}
	return site, nil
}

// serve starts what serves a site and waits until the sign-in page comes. Its first answer takes long on a busy machine.
func (s *Site) serve(ctx context.Context, program process.Program) error {
	server, err := process.StartGroup(program)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, server)
	client := &http.Client{Timeout: time.Minute}
	return server.Ready(ctx, "its server", 5*time.Minute, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.SignInURL, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answered %s", response.Status)
		}
		return nil
	})
}

// once has make fill the site's folder at the first start.
func (s *Site) once(make func() error) error { return once(s.folder, make) }

// in is a path in the site's folder.
func (s *Site) in(names ...string) string {
	return filepath.Join(append([]string{s.folder}, names...)...)
}

// php is PHP serving a folder, four requests at a time, with more options of PHP's.
func (s *Site) php(folder string, more ...string) process.Program {
	return process.Program{
		Path: s.program, Folder: folder, Environment: []string{"PHP_CLI_SERVER_WORKERS=4", "PATH=/usr/bin:/bin", "TMPDIR=" + os.TempDir()},
		Arguments: append([]string{
			"-d", "memory_limit=256M", "-d", "display_errors=0", "-d", "opcache.enable=1", "-d", "opcache.enable_cli=1",
			"-S", fmt.Sprintf("127.0.0.1:%d", s.options.Port), "-t", folder,
		}, more...),
	}
}

// run runs a program to its end in the site's folder, with a text on its standard input.
func (s *Site) run(ctx context.Context, environment []string, input, program string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // making a database takes long on a busy machine
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Env = s.folder, environment
	return run(command, input)
}

// script is a Site.user that has a program do it. The program reads what, the username and the value from its standard
// input, a line each, so that no password shows in a process list.
func (s *Site) script(environment []string, program string, arguments ...string) func(ctx context.Context, what, username, value string) error {
	return func(ctx context.Context, what, username, value string) error {
		return s.run(ctx, environment, what+"\n"+username+"\n"+value, program, arguments...)
	}
}

// mariaDB starts the site's own database, which ends with it.
func (s *Site) mariaDB(ctx context.Context, first func(password string) string) (*MariaDB, error) {
	database, err := StartMariaDB(ctx, s.in("mariadb"), first)
	if err == nil {
		s.processes = append(s.processes, database.process)
	}
	return database, err
}
