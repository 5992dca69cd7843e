package apps

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

const (
	dokuwikiProgram = "/usr/share/dokuwiki"
	dokuwikiConf    = "/etc/dokuwiki"
)

// StartDokuWiki runs Debian's dokuwiki with its pages and users in folder.
func StartDokuWiki(ctx context.Context, folder string, options Options) (*Site, error) {
	php, err := need("php", "php-cli")
	if err != nil {
		return nil, err
	}
	for _, source := range []string{dokuwikiProgram, dokuwikiConf} {
		if err := needFolder(source, "dokuwiki"); err != nil {
			return nil, err
		}
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "dokuwiki")
	if err := once(base, func() error { return makeDokuWiki(base) }); err != nil {
		return nil, fmt.Errorf("DokuWiki: %w", err)
	}
	site := &Site{
		Name: "DokuWiki", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/doku.php?do=login", site.URL+"/doku.php?do=profile"
	users := &dokuwikiUsers{file: filepath.Join(base, "site", "conf", "users.auth.php")}
	site.set, site.address = users.set, users.mailed
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.URL+"/doku.php?do=login", "u", "p", map[string]string{"do": "login", "id": "start"}, username, password, "do=logout")
	}
	if err := users.add(ctx, options.Username, options.Password); err != nil {
		return nil, err
	}
	var more []string
	if options.MailPort != 0 {
		more = []string{"-d", "sendmail_path=" + strings.Join([]string{php, filepath.Join(base, "sendmail.php"), strconv.Itoa(options.MailPort)}, " ")}
	}
	for name, content := range map[string]string{filepath.Join(base, "site", "conf", "local.protected.php"): dokuwikiMail(options.MailPort != 0), filepath.Join(base, "sendmail.php"): sendmailScript} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	if err := site.php(ctx, php, options.Port, filepath.Join(base, "site"), more...); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
}

// sendmailScript hands mail over by SMTP, as the programs of that name do on a server.
//
//go:embed sendmail.php
var sendmailScript string

// dokuwikiMail are the settings about mail. Only a wiki that sends some offers to mail who forgot a password, and has the
// person choose the new one.
func dokuwikiMail(sends bool) string {
	if !sends {
		return "<?php\n$conf['disableactions'] = 'register,resendpwd';\n"
	}
	return "<?php\n$conf['disableactions'] = 'register';\n$conf['autopasswd'] = 0;\n$conf['mailfrom'] = 'wiki@example.com';\n"
}

func makeDokuWiki(base string) error {
	site, data := filepath.Join(base, "site"), filepath.Join(base, "data")
	conf := filepath.Join(site, "conf")
	if err := copyTree(dokuwikiProgram, site); err != nil {
		return err
	}
	if err := os.RemoveAll(conf); err != nil {
		return err
	}
	if err := copyTree(dokuwikiConf, conf); err != nil {
		return err
	}
	for _, name := range []string{"pages", "attic", "media", "media_attic", "media_meta", "meta", "cache", "index", "locks", "log", "tmp"} {
		if err := os.MkdirAll(filepath.Join(data, name), 0o755); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		filepath.Join(site, "inc", "preload.php"): "<?php define('DOKU_CONF', " + phpText(conf+"/") + ");\n",
		filepath.Join(conf, "local.php"): "<?php\n$conf['title'] = 'Pilot station wiki';\n$conf['lang'] = 'en';\n$conf['useacl'] = 1;\n$conf['superuser'] = '@admin';\n" +
			"$conf['profileconfirm'] = 1;\n$conf['updatecheck'] = 0;\n$conf['savedir'] = " + phpText(data) + ";\n",
		filepath.Join(conf, "acl.auth.php"):       "# acl.auth.php\n# <?php exit()?>\n*\t@ALL\t8\n",
		filepath.Join(conf, "users.auth.php"):     "# users.auth.php\n# <?php exit()?>\n",
		filepath.Join(conf, "plugins.local.php"):  "<?php\n$plugins['popularity'] = 0;\n$plugins['extension'] = 0;\n",
		filepath.Join(data, "pages", "start.txt"): "====== Pilot station wiki ======\n\nTides, moorings and who has the keys.\n",
	} {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func phpText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// dokuwikiUsers is DokuWiki's user file: one line per user, fields apart by colons.
type dokuwikiUsers struct {
	mutex sync.Mutex
	file  string
}

func (u *dokuwikiUsers) add(ctx context.Context, username, password string) error {
	content, err := os.ReadFile(u.file)
	if err != nil || strings.Contains("\n"+string(content), "\n"+username+":") {
		return err
	}
	return u.set(ctx, username, password)
}

func (u *dokuwikiUsers) set(_ context.Context, username, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 8)
	if err != nil {
		return err
	}
	return u.write(username, func(fields []string) { fields[1] = string(hash) })
}

func (u *dokuwikiUsers) mailed(_ context.Context, username, address string) error {
	return u.write(username, func(fields []string) { fields[3] = address })
}

// write changes a user's line, or adds one.
func (u *dokuwikiUsers) write(username string, change func(fields []string)) error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	content, err := os.ReadFile(u.file)
	if err != nil {
		return err
	}
	lines, fields := []string{}, []string{username, "", username, username + "@example.com", "user"}
	for line := range strings.Lines(string(content)) {
		if known := strings.Split(strings.TrimSpace(line), ":"); known[0] == username && len(known) == len(fields) {
			fields = known
		} else {
			lines = append(lines, line)
		}
	}
	change(fields)
	lines = append(lines, strings.Join(fields, ":")+"\n")
	half := u.file + ".new"
	if err := os.WriteFile(half, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return err
	}
	return os.Rename(half, u.file)
}
