package apps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// slapdDatabase is what all settings have in the middle: for the folder and the administrator's password.
const slapdDatabase = `pidfile %[1]s/pid
argsfile %[1]s/args
password-hash {SSHA}
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw "%[2]s"
directory %[1]s/data
`

const slapdSettings = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
` + slapdDatabase + `overlay ppolicy
ppolicy_default "cn=default,dc=example,dc=com"
ppolicy_use_lockout
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by self read by * none
`

const slapdTree = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

`

const slapdPolicy = `dn: cn=default,dc=example,dc=com
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 100
pwdMinLength: 8
pwdCheckQuality: 0

`

// What Active Directory keeps of people, machines and groups, as far as it takes to say who is shut out, with its own numbers (MS-ADA3,
// MS-ADSC). No overlay knows of a password policy, and an entry with ADS_UF_ACCOUNT_DISABLE is let in with no password: LDAP_MATCHING_RULE_BIT_AND.
const activeSettings = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch ORDERING integerOrderingMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{256} SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL MUST ( userAccountControl $ sAMAccountName ) )
objectclass ( 1.2.840.113556.1.3.30 NAME 'computer' SUP user STRUCTURAL )
objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL MUST ( cn $ sAMAccountName ) )
modulepath /usr/lib/ldap
moduleload back_mdb
` + slapdDatabase + `limits dn.base="cn=limited,dc=example,dc=com" size.soft=500 size.hard=500 size.prtotal=500
access to filter=(userAccountControl:1.2.840.113556.1.4.803:=2) attrs=userPassword by * none
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by dn.base="cn=limited,dc=example,dc=com" read by self read by * none
`

// StartOpenLDAP runs Debian's slapd with its data in folder, on a free port. password is that of its
// administrator, cn=admin,dc=example,dc=com. What entries say more is LDIF.
func StartOpenLDAP(ctx context.Context, folder, password, entries string) (*OpenLDAP, error) {
	return startSlapd(ctx, folder, fmt.Sprintf(slapdSettings, folder, password), slapdTree+slapdPolicy+entries)
}

// StartLikeActiveDirectory is StartOpenLDAP of a directory that has no password policy overlay, and userAccountControl instead, with
// Active Directory's numbers and matching rule: who has ADS_UF_ACCOUNT_DISABLE is refused. It is no Active Directory: it says
// nothing of why it refuses, and one binds with the names of entries alone. cn=limited,dc=example,dc=com, if there is one, may see
// 500 entries at most.
func StartLikeActiveDirectory(ctx context.Context, folder, password, entries string) (*OpenLDAP, error) {
	return startSlapd(ctx, folder, fmt.Sprintf(activeSettings, folder, password), slapdTree+entries)
}

func startSlapd(ctx context.Context, folder, text, entries string) (*OpenLDAP, error) {
	server, err := need(part{"slapd", "slapd"})
	if err != nil {
		return nil, err
	}
	add, err := need(part{"slapadd", "slapd"})
	if err != nil {
		return nil, err
	}
	settings := filepath.Join(folder, "slapd.conf")
	err = once(folder, func() error {
		if err := os.MkdirAll(filepath.Join(folder, "data"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
			return err
		}
		return run(exec.CommandContext(ctx, add, "-q", "-f", settings), entries)
	})
	if err != nil {
		return nil, fmt.Errorf("OpenLDAP: %w", err)
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	started, err := process.Start(process.Program{
		Path: server, Folder: folder, Environment: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Arguments: []string{"-f", settings, "-h", fmt.Sprintf("ldap://127.0.0.1:%d", port), "-d", "0"},
	})
	if err != nil {
		return nil, err
	}
	l := &OpenLDAP{Port: port, process: started}
	if err := started.Ready(ctx, "OpenLDAP", time.Minute, process.Listens(port)); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

// Stop ends it.
func (l *OpenLDAP) Stop() error { return l.process.End(syscall.SIGTERM, 20*time.Second) }
