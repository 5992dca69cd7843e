package apps

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"

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
	return application{
		name: "Django", program: part{djangoPython, "python3"}, files: []part{{"/usr/lib/python3/dist-packages/django", "python3-django"}},
		signIn: "/admin/login/", change: "/admin/password_change/",
		form:    form{page: "/admin/login/?next=/admin/", username: "username", password: "password", wayOut: "/admin/logout/"},
		prepare: prepareDjango,
	}.start(ctx, folder, options)
}

func prepareDjango(ctx context.Context, site *Site) (server process.Program, err error) {
	if err := site.once(func() error { return write(map[string]string{site.in("key"): rand.Text() + rand.Text()}) }); err != nil {
		return server, err
	}
	project := site.in("project.py")
	if err := write(map[string]string{project: djangoProject}); err != nil {
		return server, err
	}
	environment := []string{"PATH=/usr/bin:/bin", "HOME=" + site.folder, "POSTERN_SITE=" + site.folder, "PYTHONUNBUFFERED=1"}
	site.user = func(ctx context.Context, what, username, password string) error {
		return site.run(ctx, environment, username+"\n"+password, site.program, project, what)
	}
	return process.Program{
		Path: site.program, Folder: site.folder, Environment: environment,
		Arguments: []string{project, "serve", fmt.Sprintf("127.0.0.1:%d", site.options.Port)},
	}, site.user(ctx, makeUser, site.Username, site.Password)
}
