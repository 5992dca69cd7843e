package apps

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"postern/deploy/local/process"
)

const mediawikiProgram = "/usr/share/mediawiki"

// mediawikiScript makes users, disables, enables and expires them and gives them TOTP secrets.
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
	return application{
		name: "MediaWiki", program: php, files: []part{{mediawikiProgram, "mediawiki"}},
		signIn: "/index.php?title=Special:UserLogin", change: "/index.php?title=Special:ChangePassword",
		form:   form{username: "wpName", password: "wpPassword", more: map[string]string{"authAction": "login"}, wayOut: "pt-logout"},
		orders: []string{enrol, enable, disable, expire}, prepare: prepareMediaWiki,
	}.start(ctx, folder, options)
}

func prepareMediaWiki(ctx context.Context, site *Site) (server process.Program, err error) {
	if exec.CommandContext(ctx, site.program, "-r", "exit(extension_loaded('pdo_sqlite') ? 0 : 1);").Run() != nil {
		return server, missing("php-sqlite3")
	}
	if err := site.once(func() error { return makeMediaWiki(ctx, site.program, site.folder) }); err != nil {
		return server, err
	}
	settings := site.in("LocalSettings.php")
	err = write(map[string]string{
		settings:               fmt.Sprintf(mediawikiSettings, phpText(site.URL)),
		site.in("user.php"):    mediawikiScript,
		site.in("preload.php"): "<?php define('MW_CONFIG_FILE', " + phpText(settings) + ");\n",
	})
	if err != nil {
		return server, err
	}
	site.user = site.script([]string{"PATH=/usr/bin:/bin", "MW_INSTALL_PATH=" + mediawikiProgram},
		site.program, "-d", "display_errors=stderr", site.in("user.php"), "--conf", settings)
	return site.php(mediawikiProgram, "-d", "auto_prepend_file="+site.in("preload.php")), site.user(ctx, makeUser, site.Username, site.Password)
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
