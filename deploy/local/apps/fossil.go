package apps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"postern/deploy/local/process"
)

// StartFossil runs Debian's fossil, the version control system that is its own web application, over one repository in folder.
func StartFossil(ctx context.Context, folder string, options Options) (*Site, error) {
	fossil, err := need("fossil", "fossil")
	if err != nil {
		return nil, err
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "fossil")
	repository, environment := filepath.Join(base, "pilots.fossil"), []string{"PATH=/usr/bin:/bin", "HOME=" + base, "USER=keeper"}
	told := func(ctx context.Context, arguments ...string) error {
		command := exec.CommandContext(ctx, fossil, append(arguments, "-R", repository)...)
		command.Dir, command.Env = base, environment
		return run(command, "")
	}
	site := &Site{
		Name: "Fossil", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	// Whoever is signed in finds the form for another password where the sign-in form was.
	site.SignInURL, site.ChangeURL = site.URL+"/login", site.URL+"/login"
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.SignInURL, "u", "p", map[string]string{"in": "Login"}, username, password, "/logout")
	}
	// Fossil takes passwords as arguments alone: this machine's process list shows them, and they are for tests.
	site.set = func(ctx context.Context, username, password string) error {
		if err := told(ctx, "user", "password", username, password); err == nil {
			return nil
		}
		return told(ctx, "user", "new", username, username+"@example.com", password)
	}
	if err := once(base, func() error {
		command := exec.CommandContext(ctx, fossil, "init", repository, "-A", "keeper")
		command.Dir, command.Env = base, environment
		if err := run(command, ""); err != nil {
			return err
		}
		return site.set(ctx, options.Username, options.Password)
	}); err != nil {
		return nil, fmt.Errorf("Fossil: %w", err)
	}
	server, err := process.StartGroup(process.Program{
		Path: fossil, Folder: base, Environment: append(environment, "TMPDIR="+os.TempDir()),
		Arguments: strings.Fields(fmt.Sprintf("server --localhost --nojail -P %d pilots.fossil", options.Port)),
	})
	if err != nil {
		return nil, err
	}
	site.processes = append(site.processes, server)
	if err := site.answers(ctx, server); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
}
