package apps

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"postern/deploy/local/process"
)

const phpmyadminProgram = "/usr/share/phpmyadmin"

// StartPHPMyAdmin runs Debian's phpmyadmin on a private MariaDB, whose users are its users.
func StartPHPMyAdmin(ctx context.Context, folder string, options Options) (*Site, error) {
	return application{
		name: "phpMyAdmin", program: php, files: []part{{phpmyadminProgram, "phpmyadmin"}},
		signIn: "/index.php", change: "/index.php?route=/user-password",
		form:    form{action: "/index.php?route=/", username: "pma_username", password: "pma_password", more: map[string]string{"server": "1"}, wayOut: "route=/logout"},
		prepare: preparePHPMyAdmin,
	}.start(ctx, folder, options)
}

func preparePHPMyAdmin(ctx context.Context, site *Site) (server process.Program, err error) {
	if _, err := findMariaDB(); err != nil {
		return server, err
	}
	client, err := need(part{"mariadb", "mariadb-client"})
	if err != nil {
		return server, err
	}
	if err := site.once(func() error { return makePHPMyAdmin(site.folder) }); err != nil {
		return server, err
	}
	database, err := site.mariaDB(ctx, func(password string) string {
		return "create user if not exists " + phpText(site.Username) + "@'127.0.0.1' identified by " + phpText(site.Password) + ";\n" +
			"create user if not exists 'keeper'@'127.0.0.1' identified by " + phpText(password) + ";\ngrant all on *.* to 'keeper'@'127.0.0.1' with grant option;\n"
	})
	if err != nil {
		return server, err
	}
	site.user = func(ctx context.Context, _, username, password string) error {
		return site.run(ctx, []string{"PATH=/usr/bin:/bin", "MYSQL_PWD=" + database.Password}, "create or replace user "+phpText(username)+"@'127.0.0.1' identified by "+phpText(password)+";\n",
			client, "--no-defaults", "--host=127.0.0.1", fmt.Sprintf("--port=%d", database.Port), "--user=keeper")
	}
	return site.php(site.in("site")), write(map[string]string{site.in("site", "postern.php"): fmt.Sprintf("<?php\n$port = '%d';\n", database.Port)})
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
