package apps

import (
	"cmp"
	"context"
	_ "embed"
	"os"
	"strconv"
	"strings"

	"postern/core"
	"postern/deploy/local/process"
)

// pgAdminSite runs pgAdmin with its files in one folder.
//
//go:embed pgadmin.py
var pgAdminSite string

// PgAdminPython names the Python that has pgAdmin 4 (`pip install pgadmin4==9.18` into an environment of its own). It is too
// large to be installed with the other parts: 600 MB.
const PgAdminPython = "POSTERN_PGADMIN"

// StartPgAdmin runs pgAdmin 4, a single-page application, on SQLite in folder. It has no page of its own to change a password:
// the account's menu opens a dialog.
func StartPgAdmin(ctx context.Context, folder string, options Options) (*Site, error) {
	python := os.Getenv(PgAdminPython)
	if python == "" {
		return nil, core.NotFound("Python with pgAdmin 4; $" + PgAdminPython + " names it")
	}
	if options.Username = cmp.Or(options.Username, "shared"); !strings.Contains(options.Username, "@") {
		options.Username += "@acme.example" // it takes no other names
	}
	site, err := application{
		name: "pgAdmin", program: part{python, "pgadmin4"},
		signIn:  "/login",
		form:    form{action: "/authenticate/login", username: "email", password: "password", wayOut: "app.bundle"},
		prepare: preparePgAdmin, // what only a signed-in visitor's page has: the rest is made by its scripts
	}.start(ctx, folder, options)
	if err == nil {
		site.ChangeURL = ""
	}
	return site, err
}

func preparePgAdmin(ctx context.Context, site *Site) (process.Program, error) {
	program := site.in("pgadmin.py")
	if err := site.once(func() error { return nil }); err != nil {
		return process.Program{}, err
	}
	if err := write(map[string]string{program: pgAdminSite}); err != nil {
		return process.Program{}, err
	}
	environment := []string{"PATH=/usr/bin:/bin", "HOME=" + site.folder, "POSTERN_SITE=" + site.folder, "PYTHONUNBUFFERED=1"}
	site.user = site.script(environment, site.program, program, "user")
	return process.Program{
		Path: site.program, Folder: site.folder, Environment: environment, Arguments: []string{program, "serve", strconv.Itoa(site.options.Port)},
	}, site.user(ctx, makeUser, site.Username, site.Password)
}
