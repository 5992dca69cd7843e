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

const mediawikiProgram = "/usr/share/mediawiki"

// mediawikiScript makes users, disables, enables and expires them and gives them TOTP secrets, reading what to do, the
// username and the password or secret from its standard input, a line each.
//
//go:embed mediawiki.php
var mediawikiScript string

// mediawikiSettings come behind what the installer wrote.
const mediawikiSettings = `<?php
require __DIR__ . '/installed/LocalSettings.php';
$wgServer = %s;
$wgCanonicalServer = $wgServer;
$wgUploadDirectory = __DIR__ . '/images';
$wgCacheDirectory = __DIR__ . '/cache';
$wgMainCacheType = CACHE_NONE;
$wgEnableEmail = false;
$wgJobRunRate = 0;
$wgBlockDisablesLogin = true;  // a blocked user cannot sign in
$wgPasswordExpireGrace = 0;    // nor can one whose password has expired, until it is changed
`

// StartMediaWiki runs Debian's mediawiki on SQLite, with its data in folder.
func StartMediaWiki(ctx context.Context, folder string, options Options) (*Site, error) {
	php, err := need("php", "php-cli")
	if err != nil {
		return nil, err
	}
	if err := needFolder(mediawikiProgram, "mediawiki"); err != nil {
		return nil, err
	}
	if exec.CommandContext(ctx, php, "-r", "exit(extension_loaded('pdo_sqlite') ? 0 : 1);").Run() != nil {
		return nil, missing("php-sqlite3")
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "mediawiki")
	site := &Site{
		Name: "MediaWiki", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/index.php?title=Special:UserLogin", site.URL+"/index.php?title=Special:ChangePassword"
	if err := once(base, func() error { return makeMediaWiki(ctx, php, base) }); err != nil {
		return nil, fmt.Errorf("MediaWiki: %w", err)
	}
	settings := filepath.Join(base, "LocalSettings.php")
	for name, content := range map[string]string{
		settings:                           fmt.Sprintf(mediawikiSettings, phpText(site.URL)),
		filepath.Join(base, "user.php"):    mediawikiScript,
		filepath.Join(base, "preload.php"): "<?php define('MW_CONFIG_FILE', " + phpText(settings) + ");\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	user := func(ctx context.Context, what, username, password string) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, php, "-d", "display_errors=stderr", filepath.Join(base, "user.php"), "--conf", settings)
		command.Dir, command.Env = base, []string{"PATH=/usr/bin:/bin", "MW_INSTALL_PATH=" + mediawikiProgram}
		return run(command, what+"\n"+username+"\n"+password)
	}
	site.set = func(ctx context.Context, username, password string) error {
		return user(ctx, "set", username, password)
	}
	site.enrol = func(ctx context.Context, username, secret string) error { return user(ctx, "enrol", username, secret) }
	site.decree = func(ctx context.Context, username, what string) error { return user(ctx, what, username, "") }
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.SignInURL, "wpName", "wpPassword", map[string]string{"authAction": "login"}, username, password, "pt-logout")
	}
	if err := user(ctx, "make", options.Username, options.Password); err != nil {
		return nil, err
	}
	if err := site.php(ctx, php, options.Port, mediawikiProgram, "-d", "auto_prepend_file="+filepath.Join(base, "preload.php")); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
}

func makeMediaWiki(ctx context.Context, php, base string) error {
	for _, name := range []string{"installed", "data", "images", "cache"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			return err
		}
	}
	administrator := filepath.Join(base, "administrator")
	if err := os.WriteFile(administrator, []byte(rand.Text()), 0o600); err != nil {
		return err
	}
	install := exec.CommandContext(ctx, php, filepath.Join(mediawikiProgram, "maintenance", "install.php"),
		"--confpath", filepath.Join(base, "installed"), "--dbtype", "sqlite", "--dbpath", filepath.Join(base, "data"), "--dbname", "wiki",
		"--server", "http://127.0.0.1", "--scriptpath", "", "--extensions", "OATHAuth", "--passfile", administrator, "Pilot station", "Harbourmaster")
	install.Dir, install.Env = base, []string{"PATH=/usr/bin:/bin"}
	return run(install, "")
}
