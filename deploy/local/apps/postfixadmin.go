package apps

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"postern/deploy/local/process"
)

const postfixadminProgram = "/usr/share/postfixadmin"

//go:embed postfixadmin.php
var postfixadminScript string

// StartPostfixAdmin runs Debian's postfixadmin on SQLite in folder. Its administrators are known by mail addresses.
func StartPostfixAdmin(ctx context.Context, folder string, options Options) (*Site, error) {
	return application{
		name: "PostfixAdmin", program: php, files: []part{{postfixadminProgram, "postfixadmin"}},
		signIn: "/login.php", change: "/edit.php?table=adminpassword",
		form:    form{username: "fUsername", password: "fPassword", more: map[string]string{"lang": "en"}, wayOut: ">Logout<"},
		prepare: preparePostfixAdmin,
	}.start(ctx, folder, options)
}

func preparePostfixAdmin(ctx context.Context, site *Site) (process.Program, error) {
	if !strings.Contains(site.Username, "@") {
		site.Username += "@example.com"
	}
	site.user = site.script([]string{"PATH=/usr/bin:/bin", "POSTERN_SITE=" + site.in("site")}, site.program, "-d", "display_errors=stderr", site.in("user.php"))
	err := site.once(func() error {
		if err := errors.Join(makePostfixAdmin(site.folder), write(map[string]string{site.in("user.php"): postfixadminScript})); err != nil {
			return err
		}
		return site.user(ctx, "tables", "", "")
	})
	if err != nil {
		return process.Program{}, err
	}
	return site.php(site.in("site", "public")), site.user(ctx, makeUser, site.Username, site.Password)
}

func makePostfixAdmin(base string) error {
	site := filepath.Join(base, "site")
	if err := copyTree(postfixadminProgram, site); err != nil {
		return err
	}
	config := `<?php
$CONF['database_type'] = 'sqlite';
$CONF['database_name'] = ` + phpText(filepath.Join(base, "database")) + `;
$CONF['encrypt'] = 'php_crypt:SHA512';
`
	return errors.Join(
		os.MkdirAll(filepath.Join(site, "templates_c"), 0o755),
		os.WriteFile(filepath.Join(base, "database"), nil, 0o600),
		os.WriteFile(filepath.Join(site, "dbconfig.inc.php"), []byte("<?php\n$dbtype = $dbserver = $dbuser = $dbpass = $dbname = '';\n"), 0o600),
		os.WriteFile(filepath.Join(site, "config.local.php"), []byte(config), 0o600),
	)
}
