package apps

import (
	"context"
	"fmt"
	"os"
	"strings"

	"postern/deploy/local/process"
)

// StartFossil runs Debian's fossil, the version control system that is its own web application, over one repository in folder.
func StartFossil(ctx context.Context, folder string, options Options) (*Site, error) {
	return application{
		name: "Fossil", program: part{"fossil", "fossil"},
		// Whoever is signed in finds the form for another password where the sign-in form was.
		signIn: "/login", change: "/login",
		form: form{username: "u", password: "p", more: map[string]string{"in": "Login"}, wayOut: "/logout"}, prepare: prepareFossil,
	}.start(ctx, folder, options)
}

func prepareFossil(ctx context.Context, site *Site) (process.Program, error) {
	repository, environment := site.in("pilots.fossil"), []string{"PATH=/usr/bin:/bin", "HOME=" + site.folder, "USER=keeper"}
	// Fossil takes passwords as arguments alone: this machine's process list shows them, and they are for tests.
	site.user = func(ctx context.Context, _, username, password string) error {
		if err := site.run(ctx, environment, "", site.program, "user", "password", username, password, "-R", repository); err == nil {
			return nil
		}
		return site.run(ctx, environment, "", site.program, "user", "new", username, username+"@example.com", password, "-R", repository)
	}
	err := site.once(func() error {
		if err := site.run(ctx, environment, "", site.program, "init", repository, "-A", "keeper"); err != nil {
			return err
		}
		return site.user(ctx, makeUser, site.Username, site.Password)
	})
	return process.Program{
		Path: site.program, Folder: site.folder, Environment: append(environment, "TMPDIR="+os.TempDir()),
		Arguments: strings.Fields(fmt.Sprintf("server --localhost --nojail -P %d pilots.fossil", site.options.Port)),
	}, err
}
