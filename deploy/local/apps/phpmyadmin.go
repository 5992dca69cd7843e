package apps

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const phpmyadminProgram = "/usr/share/phpmyadmin"

// StartPHPMyAdmin runs Debian's phpmyadmin on a private MariaDB, whose users are its users.
func StartPHPMyAdmin(ctx context.Context, folder string, options Options) (*Site, error) {
	php, err := need("php", "php-cli")
	if err != nil {
		return nil, err
	}
	if err := needFolder(phpmyadminProgram, "phpmyadmin"); err != nil {
		return nil, err
	}
	if _, err := findMariaDB(); err != nil {
		return nil, err
	}
	client, err := need("mariadb", "mariadb-client")
	if err != nil {
		return nil, err
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "phpmyadmin")
	site := &Site{
		Name: "phpMyAdmin", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/index.php", site.URL+"/index.php?route=/user-password"
	if err := once(base, func() error { return makePHPMyAdmin(base) }); err != nil {
		return nil, fmt.Errorf("phpMyAdmin: %w", err)
	}
	user := phpText(options.Username) + "@'127.0.0.1'"
	database, err := StartMariaDB(ctx, filepath.Join(base, "mariadb"), func(password string) string {
		return "create user if not exists " + user + " identified by " + phpText(options.Password) + ";\n" +
			"create user if not exists 'keeper'@'127.0.0.1' identified by " + phpText(password) + ";\ngrant all on *.* to 'keeper'@'127.0.0.1' with grant option;\n"
	})
	if err != nil {
		return nil, err
	}
	site.processes = append(site.processes, database.process)
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.URL+"/index.php?route=/", "pma_username", "pma_password", map[string]string{"server": "1"}, username, password, "route=/logout")
	}
	site.set = func(ctx context.Context, username, password string) error {
		command := exec.CommandContext(ctx, client, "--no-defaults", "--host=127.0.0.1", fmt.Sprintf("--port=%d", database.Port), "--user=keeper")
		command.Env = []string{"PATH=/usr/bin:/bin", "MYSQL_PWD=" + database.Password}
		return run(command, "create or replace user "+phpText(username)+"@'127.0.0.1' identified by "+phpText(password)+";\n")
	}
	if err := os.WriteFile(filepath.Join(base, "site", "postern.php"), fmt.Appendf(nil, "<?php\n$port = '%d';\n", database.Port), 0o600); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	if err := site.php(ctx, php, options.Port, filepath.Join(base, "site")); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
}

func makePHPMyAdmin(base string) error {
	site := filepath.Join(base, "site")
	if err := errors.Join(copyTree(phpmyadminProgram, site), os.MkdirAll(filepath.Join(base, "tmp"), 0o755)); err != nil {
		return err
	}
	vendor := filepath.Join(site, "libraries", "vendor_config.php")
	content, err := os.ReadFile(vendor)
	if err != nil {
		return err
	}
	own := strings.NewReplacer("/var/lib/phpmyadmin/tmp", filepath.Join(base, "tmp"), "/etc/phpmyadmin/config.inc.php", filepath.Join(site, "config.inc.php")).Replace(string(content))
	config := `<?php
require __DIR__ . '/postern.php';
$cfg['blowfish_secret'] = ` + phpText((rand.Text() + rand.Text())[:32]) + `;
$cfg['Servers'][1] = ['auth_type' => 'cookie', 'host' => '127.0.0.1', 'port' => $port];
$cfg['TempDir'] = ` + phpText(filepath.Join(base, "tmp")) + `;
`
	return errors.Join(os.WriteFile(vendor, []byte(own), 0o644), os.WriteFile(filepath.Join(site, "config.inc.php"), []byte(config), 0o600))
}
