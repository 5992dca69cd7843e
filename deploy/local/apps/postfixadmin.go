package apps

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const postfixadminProgram = "/usr/share/postfixadmin"

//go:embed postfixadmin.php
var postfixadminScript string

// StartPostfixAdmin runs Debian's postfixadmin on SQLite in folder. Its administrators are known by mail addresses.
func StartPostfixAdmin(ctx context.Context, folder string, options Options) (*Site, error) {
	php, err := need("php", "php-cli")
	if err != nil {
		return nil, err
	}
	if err := needFolder(postfixadminProgram, "postfixadmin"); err != nil {
		return nil, err
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if !strings.Contains(options.Username, "@") {
		options.Username += "@example.com"
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "postfixadmin")
	site := &Site{
		Name: "PostfixAdmin", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/login.php", site.URL+"/edit.php?table=adminpassword"
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.SignInURL, "fUsername", "fPassword", map[string]string{"lang": "en"}, username, password, ">Logout<")
	}
	script := filepath.Join(base, "user.php")
	user := func(ctx context.Context, what, username, password string) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, php, "-d", "display_errors=stderr", script)
		command.Dir, command.Env = base, []string{"PATH=/usr/bin:/bin", "POSTERN_SITE=" + filepath.Join(base, "site")}
		return run(command, what+"\n"+username+"\n"+password)
	}
	site.set = func(ctx context.Context, username, password string) error {
		return user(ctx, "set", username, password)
	}
	if err := once(base, func() error {
		if err := errors.Join(makePostfixAdmin(base), os.WriteFile(script, []byte(postfixadminScript), 0o600)); err != nil {
			return err
		}
		return user(ctx, "tables", "", "")
	}); err != nil {
		return nil, fmt.Errorf("PostfixAdmin: %w", err)
	}
	if err := user(ctx, "make", options.Username, options.Password); err != nil {
		return nil, err
	}
	if err := site.php(ctx, php, options.Port, filepath.Join(base, "site", "public")); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
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
