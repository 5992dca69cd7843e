package apps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"postern/deploy/local/process"
)

// OpenLDAP is a directory of its own, on loopback: dc=example,dc=com, with people under ou=people who may change
// their own password.
type OpenLDAP struct {
	Port    int
	process *process.Process
}

const slapdSettings = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile %[1]s/pid
argsfile %[1]s/args
password-hash {SSHA}
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw "%[2]s"
directory %[1]s/data
overlay ppolicy
ppolicy_default "cn=default,dc=example,dc=com"
ppolicy_use_lockout
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by self read by * none
`

const slapdEntries = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: cn=default,dc=example,dc=com
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 100
pwdMinLength: 8
pwdCheckQuality: 0
`

// StartOpenLDAP runs Debian's slapd with its data in folder, on a free port. password is that of its
// administrator, cn=admin,dc=example,dc=com.
func StartOpenLDAP(ctx context.Context, folder, password string) (*OpenLDAP, error) {
	server, err := need("slapd", "slapd")
	if err != nil {
		return nil, err
	}
	add, err := need("slapadd", "slapd")
	if err != nil {
		return nil, err
	}
	settings := filepath.Join(folder, "slapd.conf")
	err = once(folder, func() error {
		if err := os.MkdirAll(filepath.Join(folder, "data"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(settings, fmt.Appendf(nil, slapdSettings, folder, password), 0o600); err != nil {
			return err
		}
		return run(exec.CommandContext(ctx, add, "-f", settings), slapdEntries)
	})
	if err != nil {
		return nil, fmt.Errorf("OpenLDAP: %w", err)
	}
	free, err := Options{}.fill()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(free.Port))
	started, err := process.Start(process.Program{
		Path: server, Folder: folder, Environment: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Arguments: []string{"-f", settings, "-h", "ldap://" + address, "-d", "0"},
	})
	if err != nil {
		return nil, err
	}
	l := &OpenLDAP{Port: free.Port, process: started}
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		if connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			return l, connection.Close()
		}
		select {
		case <-started.Exited():
			return nil, fmt.Errorf("OpenLDAP stopped at its start:\n%s", strings.TrimSpace(started.Output()))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), l.Stop())
		case <-deadline.C:
			return nil, errors.Join(errors.New("OpenLDAP did not start"), l.Stop())
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// Stop ends it.
func (l *OpenLDAP) Stop() error { return l.process.End(syscall.SIGTERM, 20*time.Second) }
