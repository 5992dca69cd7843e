package apps

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"postern/deploy/local/process"
)

const wordpressProgram = "/usr/share/wordpress"

// wordpressScript installs WordPress once, makes users and changes them.
//
//go:embed wordpress.php
var wordpressScript string

// wordpressMail has WordPress hand its mail over by SMTP, as the many plugins for that do.
const wordpressMail = `<?php
add_filter('wp_mail_from', fn() => 'wordpress@example.com');
add_action('phpmailer_init', function ($mailer) {
    $mailer->isSMTP();
    $mailer->Host = '127.0.0.1';
    $mailer->Port = POSTERN_MAIL_PORT;
    $mailer->SMTPAuth = false;
    $mailer->SMTPAutoTLS = false;
});
`

// StartWordPress runs Debian's wordpress on a private MariaDB, both with their data in folder.
func StartWordPress(ctx context.Context, folder string, options Options) (*Site, error) {
	return application{
		name: "WordPress", program: php, files: []part{{wordpressProgram, "wordpress"}},
		signIn: "/wp-login.php", change: "/wp-admin/profile.php",
		form:   form{username: "log", password: "pwd", more: map[string]string{"wp-submit": "Log In", "testcookie": "1"}, wayOut: "action=logout"},
		orders: []string{setAddress}, prepare: prepareWordPress,
	}.start(ctx, folder, options)
}

func prepareWordPress(ctx context.Context, site *Site) (server process.Program, err error) {
	if _, err := findMariaDB(); err != nil {
		return server, err
	}
	if err := site.once(func() error { return makeWordPress(site.folder) }); err != nil {
		return server, err
	}
	database, err := site.mariaDB(ctx, func(password string) string {
		return "create database if not exists wordpress character set utf8mb4;\n" +
			"create user if not exists 'wordpress'@'127.0.0.1' identified by '" + password + "';\n" +
			"grant all on wordpress.* to 'wordpress'@'127.0.0.1';\n"
	})
	if err != nil {
		return server, err
	}
	settings := "<?php\ndefine('POSTERN_DB_PORT', " + fmt.Sprint(database.Port) + ");\ndefine('POSTERN_DB_PASSWORD', " + phpText(database.Password) +
		");\ndefine('POSTERN_URL', " + phpText(site.URL) + ");\ndefine('POSTERN_MAIL_PORT', " + fmt.Sprint(site.options.MailPort) + ");\n"
	if err := write(map[string]string{site.in("site", "postern.php"): settings, site.in("user.php"): wordpressScript}); err != nil {
		return server, err
	}
	site.user = site.script([]string{"PATH=/usr/bin:/bin", "POSTERN_SITE=" + site.in("site")}, site.program, "-d", "display_errors=stderr", site.in("user.php"))
	return site.php(site.in("site")), site.user(ctx, makeUser, site.Username, site.Password)
}

func makeWordPress(base string) error {
	site := filepath.Join(base, "site")
	if err := copyTree(wordpressProgram, site); err != nil {
		return err
	}
	config := `<?php
require __DIR__ . '/postern.php';
define('DB_NAME', 'wordpress');
define('DB_USER', 'wordpress');
define('DB_PASSWORD', POSTERN_DB_PASSWORD);
define('DB_HOST', '127.0.0.1:' . POSTERN_DB_PORT);
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_SITEURL', POSTERN_URL);
define('WP_HOME', POSTERN_URL);
define('WP_CONTENT_DIR', __DIR__ . '/wp-content');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('WP_ENVIRONMENT_TYPE', 'local'); // it has application passwords without TLS
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_AUTO_UPDATE_CORE', false);
`
	for _, name := range []string{"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY", "AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT"} {
		config += "define('" + name + "', '" + rand.Text() + rand.Text() + "');\n"
	}
	config += `$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`
	path := filepath.Join(site, "wp-config.php")
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return err
	}
	plugins := filepath.Join(site, "wp-content", "mu-plugins")
	if err := errors.Join(os.MkdirAll(filepath.Join(site, "wp-content", "uploads"), 0o755), os.MkdirAll(plugins, 0o755)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(plugins, "mail.php"), []byte(wordpressMail), 0o600)
}
