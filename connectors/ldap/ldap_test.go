package ldap_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	connector "postern/connectors/ldap"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

func TestContract(t *testing.T) {
	const secret = "administrator of a test"
	server, err := apps.StartOpenLDAP(t.Context(), t.TempDir(), secret)
	partstest.Need(t, "OpenLDAP", err)
	t.Cleanup(func() { _ = server.Stop() })
	address := "127.0.0.1:" + strconv.Itoa(server.Port)
	admin, err := ldap.DialURL("ldap://" + address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.Bind("cn=admin,dc=example,dc=com", secret); err != nil {
		t.Fatal(err)
	}
	entry := func(username string) string { return "uid=" + ldap.EscapeDN(username) + ",ou=people,dc=example,dc=com" }
	var number atomic.Int64
	connectortest.App{
		Connector: connector.New(false), Address: address, Disabled: rotation.Locked,
		At: func(at string) rotation.Target {
			return rotation.Target{
				AppName: "directory", Domains: []string{"127.0.0.1"}, SignInURL: "ldap://" + at, AllowPrivate: true,
				Settings: []byte(`{"bind": "uid={username},ou=people,dc=example,dc=com"}`),
			}
		},
		Account: func(t *testing.T) rotation.Credential {
			t.Helper()
			made := rotation.Credential{Username: fmt.Sprintf("shared, a+%d", number.Add(1)), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
			add := ldap.NewAddRequest(entry(made.Username), nil)
			add.Attribute("objectClass", []string{"inetOrgPerson"})
			add.Attribute("cn", []string{"Shared"})
			add.Attribute("sn", []string{"Account"})
			if err := admin.Add(add); err != nil {
				t.Fatal(err)
			}
			if _, err := admin.PasswordModify(ldap.NewPasswordModifyRequest(entry(made.Username), "", made.Password.Reveal())); err != nil {
				t.Fatal(err)
			}
			return made
		},
		Administrator: func(*testing.T) rotation.Credential {
			return rotation.Credential{Username: "cn=admin,dc=example,dc=com", Password: seal.NewSecret(secret)}
		},
		Disable: func(t *testing.T, account rotation.Credential) {
			t.Helper()
			lock := ldap.NewModifyRequest(entry(account.Username), nil)
			lock.Replace("pwdAccountLockedTime", []string{"000001010000Z"})
			if err := admin.Modify(lock); err != nil {
				t.Fatal(err)
			}
		},
	}.Run(t)
}

// Who binds without a password is nobody, and nobody is let in by that.
func TestNoPasswordIsNone(t *testing.T) {
	report := connector.New(true).Verify(t.Context(), rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "ldap://127.0.0.1:1"}, rotation.Credential{Username: "shared"})
	if report.Outcome != rotation.Rejected || len(report.Hosts) > 0 {
		t.Errorf("%+v", report)
	}
}
