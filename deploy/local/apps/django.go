package apps

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"postern/deploy/local/process"
)

// djangoProject is the smallest site that has Django's own sign-in and password pages.
//
//go:embed django.py
var djangoProject string

// djangoPython is the Python that Debian's packages belong to; another may come first in PATH.
const djangoPython = "/usr/bin/python3"

// StartDjango runs the administration site of Debian's python3-django, on SQLite in folder.
func StartDjango(ctx context.Context, folder string, options Options) (*Site, error) {
	if err := needFolder("/usr/lib/python3/dist-packages/django", "python3-django"); err != nil {
		return nil, err
	}
	options, err := options.fill()
	if err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "django")
	site := &Site{
		Name: "Django", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/admin/login/", site.URL+"/admin/password_change/"
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL+"?next=/admin/", site.SignInURL+"?next=/admin/", "username", "password", nil, username, password, "/admin/logout/")
	}
	project, environment := filepath.Join(base, "project.py"), []string{"PATH=/usr/bin:/bin", "HOME=" + base, "POSTERN_SITE=" + base, "PYTHONUNBUFFERED=1"}
	user := func(ctx context.Context, what, username, password string) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, djangoPython, project, what)
		command.Dir, command.Env = base, environment
		return run(command, username+"\n"+password)
	}
	site.set = func(ctx context.Context, username, password string) error {
		return user(ctx, "set", username, password)
	}
	if err := once(base, func() error { return os.WriteFile(filepath.Join(base, "key"), []byte(rand.Text()+rand.Text()), 0o600) }); err != nil {
		return nil, fmt.Errorf("Django: %w", err)
	}
	if err := os.WriteFile(project, []byte(djangoProject), 0o600); err != nil {
		return nil, err
	}
	if err := user(ctx, "make", options.Username, options.Password); err != nil {
		return nil, err
	}
	server, err := process.StartGroup(process.Program{
		Path: djangoPython, Folder: base, Environment: environment,
		Arguments: []string{project, "serve", fmt.Sprintf("127.0.0.1:%d", options.Port)},
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
