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
	"syscall"
	"time"

	"postern/deploy/local/process"
)

// MariaDB is a MariaDB of its own, on loopback.
type MariaDB struct {
	Port     int
	Password string // of the users its first statements make; the same for as long as its folder is there
	process  *process.Process
}

// mariaDB is where the programs of MariaDB are.
type mariaDB struct{ server, install string }

func findMariaDB() (mariaDB, error) {
	server, err := need(part{"mariadbd", "mariadb-server"})
	if err != nil {
		return mariaDB{}, err
	}
	install, err := need(part{"mariadb-install-db", "mariadb-server"})
	return mariaDB{server, install}, err
}

// StartMariaDB brings up a private MariaDB on a free port of loopback, with its data in folder. It runs the
// statements first gives at each start, before anybody connects: they are to say "if not exists".
func StartMariaDB(ctx context.Context, folder string, first func(password string) string) (*MariaDB, error) {
	program, err := findMariaDB()
	if err != nil {
		return nil, err
	}
	account := []string{}
	if os.Geteuid() == 0 {
		account = []string{"--user=root"} // it refuses root unless told
	}
	data, secret := filepath.Join(folder, "data"), filepath.Join(folder, "password")
	err = once(folder, func() error {
		command := exec.CommandContext(ctx, program.install, append([]string{"--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}, account...)...)
		command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		if err := run(command, ""); err != nil {
			return err
		}
		return os.WriteFile(secret, []byte(rand.Text()), 0o600)
	})
	if err != nil {
		return nil, err
	}
	password, err := os.ReadFile(secret)
	if err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	initial := filepath.Join(folder, "initial.sql")
	statements := first(string(password)) + "alter user 'root'@'localhost' identified by '" + string(password) + "';\n"
	if err := os.WriteFile(initial, []byte(statements), 0o600); err != nil {
		return nil, err
	}
	// The socket's path is relative to the data folder: a full one may be too long for the kernel.
	started, err := process.Start(process.Program{
		Path: program.server, Folder: folder, Environment: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=" + os.TempDir()},
		Arguments: append([]string{
			"--no-defaults", "--datadir=" + data, "--socket=s", "--pid-file=" + filepath.Join(folder, "pid"), "--bind-address=127.0.0.1",
			fmt.Sprintf("--port=%d", port), "--init-file=" + initial, "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M",
			"--skip-name-resolve", "--performance-schema=off",
		}, account...),
	})
	if err != nil {
		return nil, err
	}
	m := &MariaDB{Port: port, Password: string(password), process: started}
	err = started.Ready(ctx, "MariaDB", time.Minute, func(context.Context) error {
		if !strings.Contains(started.Output(), "ready for connections") { // once it has run the first statements and listens
			return errors.New("it has not said that it is ready")
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	return m, nil
}

// Stop ends it.
func (m *MariaDB) Stop() error { return m.process.End(syscall.SIGTERM, 20*time.Second) }
