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
)

const wordpressProgram = "/usr/share/wordpress"

// wordpressScript installs WordPress once and makes users, reading "username\npassword\nforce\naddress" from
// its standard input, so that no password shows in a process list.
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
	php, err := need("php", "php-cli")
	if err != nil {
		return nil, err
	}
	if err := needFolder(wordpressProgram, "wordpress"); err != nil {
		return nil, err
	}
	if _, err := findMariaDB(); err != nil {
		return nil, err
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "wordpress")
	site := &Site{
		Name: "WordPress", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/wp-login.php", site.URL+"/wp-admin/profile.php"
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.SignInURL, "log", "pwd", map[string]string{"wp-submit": "Log In", "testcookie": "1"}, username, password, "action=logout")
	}
	if err := once(base, func() error { return makeWordPress(base) }); err != nil {
		return nil, fmt.Errorf("WordPress: %w", err)
	}
	database, err := StartMariaDB(ctx, filepath.Join(base, "mariadb"), func(password string) string {
		return "create database if not exists wordpress character set utf8mb4;\n" +
			"create user if not exists 'wordpress'@'127.0.0.1' identified by '" + password + "';\n" +
			"grant all on wordpress.* to 'wordpress'@'127.0.0.1';\n"
	})
	if err != nil {
		return nil, err
	}
	site.processes = append(site.processes, database.process)
	user := func(ctx context.Context, username, password string, force bool, address string) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, php, "-d", "display_errors=stderr", filepath.Join(base, "user.php"))
		command.Dir, command.Env = base, []string{"PATH=/usr/bin:/bin", "POSTERN_SITE=" + filepath.Join(base, "site")}
		return run(command, fmt.Sprintf("%s\n%s\n%t\n%s", username, password, force, address))
	}
	site.set = func(ctx context.Context, username, password string) error {
		return user(ctx, username, password, true, "")
	}
	site.address = func(ctx context.Context, username, address string) error {
		return user(ctx, username, "", false, address)
	}
	settings := "<?php\ndefine('POSTERN_DB_PORT', " + fmt.Sprint(database.Port) + ");\ndefine('POSTERN_DB_PASSWORD', " + phpText(database.Password) +
		");\ndefine('POSTERN_URL', " + phpText(site.URL) + ");\ndefine('POSTERN_MAIL_PORT', " + fmt.Sprint(options.MailPort) + ");\n"
	for name, content := range map[string]string{filepath.Join(base, "site", "postern.php"): settings, filepath.Join(base, "user.php"): wordpressScript} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, errors.Join(err, site.Stop())
		}
	}
	if err := user(ctx, options.Username, options.Password, false, ""); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	if err := site.php(ctx, php, options.Port, filepath.Join(base, "site")); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
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
