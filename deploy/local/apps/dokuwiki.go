package apps

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"postern/deploy/local/process"

	"golang.org/x/crypto/bcrypt"
)

const (
	dokuwikiProgram = "/usr/share/dokuwiki"
	dokuwikiConf    = "/etc/dokuwiki"
)

// StartDokuWiki runs Debian's dokuwiki with its pages and users in folder.
func StartDokuWiki(ctx context.Context, folder string, options Options) (*Site, error) {
	return application{
		name: "DokuWiki", program: php, files: []part{{dokuwikiProgram, "dokuwiki"}, {dokuwikiConf, "dokuwiki"}},
		signIn: "/doku.php?do=login", change: "/doku.php?do=profile",
		form:   form{username: "u", password: "p", more: map[string]string{"do": "login", "id": "start"}, wayOut: "do=logout"},
		orders: []string{setAddress}, prepare: prepareDokuWiki,
	}.start(ctx, folder, options)
}

func prepareDokuWiki(ctx context.Context, site *Site) (server process.Program, err error) {
	if err := site.once(func() error { return makeDokuWiki(site) }); err != nil {
		return server, err
	}
	site.user = (&dokuwikiUsers{file: site.in("site", "conf", "users.auth.php")}).change
	if err := site.user(ctx, makeUser, site.Username, site.Password); err != nil {
		return server, err
	}
	var more []string
	if port := site.options.MailPort; port != 0 {
		more = []string{"-d", "sendmail_path=" + strings.Join([]string{site.program, site.in("sendmail.php"), strconv.Itoa(port)}, " ")}
	}
	err = write(map[string]string{
		site.in("site", "conf", "local.protected.php"): dokuwikiMail(site.options.MailPort != 0),
		site.in("sendmail.php"):                        sendmailScript,
	})
	return site.php(site.in("site"), more...), err
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

func makeDokuWiki(own *Site) error {
	site, data, conf := own.in("site"), own.in("data"), own.in("site", "conf")
	if err := errors.Join(copyTree(dokuwikiProgram, site), os.RemoveAll(conf), copyTree(dokuwikiConf, conf)); err != nil {
		return err
	}
	for _, name := range []string{"pages", "attic", "media", "media_attic", "media_meta", "meta", "cache", "index", "locks", "log", "tmp"} {
		if err := os.MkdirAll(filepath.Join(data, name), 0o755); err != nil {
			return err
		}
	}
	return write(map[string]string{
		filepath.Join(site, "inc", "preload.php"): "<?php define('DOKU_CONF', " + phpText(conf+"/") + ");\n",
		filepath.Join(conf, "local.php"): "<?php\n$conf['title'] = 'Pilot station wiki';\n$conf['lang'] = 'en';\n$conf['useacl'] = 1;\n$conf['superuser'] = '@admin';\n" +
			"$conf['profileconfirm'] = 1;\n$conf['updatecheck'] = 0;\n$conf['savedir'] = " + phpText(data) + ";\n",
		filepath.Join(conf, "acl.auth.php"):       "# acl.auth.php\n# <?php exit()?>\n*\t@ALL\t8\n",
		filepath.Join(conf, "users.auth.php"):     "# users.auth.php\n# <?php exit()?>\n",
		filepath.Join(conf, "plugins.local.php"):  "<?php\n$plugins['popularity'] = 0;\n$plugins['extension'] = 0;\n",
		filepath.Join(data, "pages", "start.txt"): "====== Pilot station wiki ======\n\nTides, moorings and who has the keys.\n",
	})
}

func phpText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// dokuwikiUsers is DokuWiki's user file: one line per user, fields apart by colons.
type dokuwikiUsers struct {
	mutex sync.Mutex
	file  string
}

// change is Site.user: it changes a user's line, or adds one.
func (u *dokuwikiUsers) change(_ context.Context, what, username, value string) error {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	content, err := os.ReadFile(u.file)
	if err != nil || what == makeUser && strings.Contains("\n"+string(content), "\n"+username+":") {
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
	if what == setAddress {
		fields[3] = value
	} else {
		hash, err := bcrypt.GenerateFromPassword([]byte(value), 8)
		if err != nil {
			return err
		}
		fields[1] = string(hash)
	}
	lines = append(lines, strings.Join(fields, ":")+"\n")
	half := u.file + ".new"
	if err := os.WriteFile(half, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return err
	}
	return os.Rename(half, u.file)
}
