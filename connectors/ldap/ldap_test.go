package ldap_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	connector "postern/connectors/ldap"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// directory is a real one with its administrator.
type directory struct {
	*ldap.Conn
	address, secret string
	number          atomic.Int64
}

const root = "cn=admin,dc=example,dc=com"

func connect(t *testing.T, server *apps.OpenLDAP, err error, secret string) *directory {
	t.Helper()
	partstest.Need(t, "OpenLDAP", err)
	t.Cleanup(func() { _ = server.Stop() })
	d := &directory{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port)), secret: secret}
	if d.Conn, err = ldap.DialURL("ldap://" + d.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Bind(root, secret); err != nil {
		t.Fatal(err)
	}
	return d
}

// add adds an entry of a class that has a name and a surname.
func (d *directory) add(t *testing.T, dn, class string, password seal.Secret, attributes ...string) {
	t.Helper()
	add := ldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{class})
	add.Attribute("sn", []string{"Account"})
	for i := 0; i < len(attributes); i += 2 {
		add.Attribute(attributes[i], []string{attributes[i+1]})
	}
	if err := d.Add(add); err != nil {
		t.Fatal(err)
	}
	d.set(t, dn, password)
}

func (d *directory) set(t *testing.T, dn string, password seal.Secret) {
	t.Helper()
	if _, err := d.PasswordModify(ldap.NewPasswordModifyRequest(dn, "", password.Reveal())); err != nil {
		t.Fatal(err)
	}
}

func (d *directory) replace(t *testing.T, dn, attribute, value string) {
	t.Helper()
	change := ldap.NewModifyRequest(dn, nil)
	change.Replace(attribute, []string{value})
	if err := d.Modify(change); err != nil {
		t.Fatal(err)
	}
}

func (d *directory) value(t *testing.T, dn, attribute string) string {
	t.Helper()
	found, err := d.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{attribute}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return found.Entries[0].GetAttributeValue(attribute)
}

func (d *directory) at(address, settings string) rotation.Target {
	return rotation.Target{
		AppName: "directory", Domains: []string{"127.0.0.1"}, SignInURL: "ldap://" + address, AllowPrivate: true, Settings: []byte(settings),
	}
}

func (d *directory) boss() rotation.Credential {
	return rotation.Credential{Username: root, Password: seal.NewSecret(d.secret)}
}

// made is an account of a name that has to be escaped.
func (d *directory) made() rotation.Credential {
	return rotation.Credential{Username: fmt.Sprintf("shared, a+%d", d.number.Add(1)), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
}

func TestContract(t *testing.T) {
	const secret = "administrator of a test"
	server, err := apps.StartOpenLDAP(t.Context(), t.TempDir(), secret, "")
	d := connect(t, server, err, secret)
	entry := func(username string) string { return "uid=" + ldap.EscapeDN(username) + ",ou=people,dc=example,dc=com" }
	connectortest.App{
		Connector: connector.New(false), Address: d.address, Disabled: rotation.Locked, AdministratorElsewhere: true,
		At: func(at string) rotation.Target {
			return d.at(at, `{"bind": "uid={username},ou=people,dc=example,dc=com"}`)
		},
		Account: func(t *testing.T) rotation.Credential {
			made := d.made()
			d.add(t, entry(made.Username), "inetOrgPerson", made.Password, "cn", "Shared")
			return made
		},
		Set:           func(t *testing.T, account rotation.Credential) { d.set(t, entry(account.Username), account.Password) },
		Administrator: func(*testing.T) rotation.Credential { return d.boss() },
		Disable: func(t *testing.T, account rotation.Credential) {
			d.replace(t, entry(account.Username), "pwdAccountLockedTime", "000001010000Z")
		},
	}.Run(t)
}

// A directory that has userAccountControl and no lock of its own, as Active Directory.
func TestUserAccountControl(t *testing.T) {
	const secret = "administrator of a test"
	server, err := apps.StartLikeActiveDirectory(t.Context(), t.TempDir(), secret, "")
	d := connect(t, server, err, secret)
	const settings = `{"bind": "cn={username},ou=people,dc=example,dc=com", "people": "dc=example,dc=com", "username": "sAMAccountName"}`
	entry := func(username string) string { return "cn=" + ldap.EscapeDN(username) + ",ou=people,dc=example,dc=com" }
	account := func(t *testing.T) rotation.Credential {
		made := d.made()
		d.add(t, entry(made.Username), "user", made.Password, "sAMAccountName", made.Username, "userAccountControl", "512")
		return made
	}
	connectortest.App{
		Connector: connector.New(false), Address: d.address, Disabled: rotation.Rejected, AdministratorElsewhere: true, Account: account,
		At:            func(at string) rotation.Target { return d.at(at, settings) },
		Set:           func(t *testing.T, account rotation.Credential) { d.set(t, entry(account.Username), account.Password) },
		Administrator: func(*testing.T) rotation.Credential { return d.boss() },
		Disable: func(t *testing.T, account rotation.Credential) {
			d.replace(t, entry(account.Username), "userAccountControl", "514")
		},
	}.Run(t)

	target := d.at(d.address, settings)
	set := func(admin rotation.Credential, username string, enabled bool) rotation.Report {
		return connector.New(false).SetEnabled(t.Context(), target, admin, username, enabled)
	}
	// Everything else the number says stays: a password that does not expire (0x10000), one that may be missing (0x20), and the bit
	// that makes a number of 32 bits negative.
	t.Run("the other bits", func(t *testing.T) {
		for _, bits := range [][2]string{{"512", "514"}, {"66080", "66082"}, {"-2147483136", "-2147483134"}} {
			shared := account(t)
			dn := entry(shared.Username)
			d.replace(t, dn, "userAccountControl", bits[0])
			if report := set(d.boss(), shared.Username, false); report.Outcome != rotation.Applied || d.value(t, dn, "userAccountControl") != bits[1] {
				t.Errorf("%s became %s: %+v", bits[0], d.value(t, dn, "userAccountControl"), report)
			}
			if report := set(d.boss(), shared.Username, true); report.Outcome != rotation.Applied || d.value(t, dn, "userAccountControl") != bits[0] {
				t.Errorf("%s became %s: %+v", bits[0], d.value(t, dn, "userAccountControl"), report)
			}
		}
	})
	// The name of an entry is not the name one is known by, and two may have it in different places.
	t.Run("by another name", func(t *testing.T) {
		shared := d.made()
		dn := "cn=Dana Doe,ou=people,dc=example,dc=com"
		d.add(t, dn, "user", shared.Password, "sAMAccountName", "d*na", "userAccountControl", "512")
		if report := set(d.boss(), "d*na", false); report.Outcome != rotation.Applied || d.value(t, dn, "userAccountControl") != "514" {
			t.Errorf("%+v", report)
		}
		if report := set(d.boss(), "d*", true); report.Outcome != rotation.AdminDenied || d.value(t, dn, "userAccountControl") != "514" {
			t.Errorf("a pattern is a name: %+v", report)
		}
		d.add(t, "cn=Dana Doe,dc=example,dc=com", "user", shared.Password, "sAMAccountName", "d*na", "userAccountControl", "512")
		if report := set(d.boss(), "d*na", true); report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "several") {
			t.Errorf("%+v", report)
		}
	})
	// Somebody else sets bits of the same number meanwhile, one after the other, and loses none.
	t.Run("changed by somebody else", func(t *testing.T) {
		shared := account(t)
		dn := entry(shared.Username)
		wanted, done := 512, make(chan error, 1)
		for bit := 3; bit < 24; bit++ {
			wanted |= 1 << bit
		}
		go func() {
			for bits := 512; bits != wanted; {
				found, err := d.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{"userAccountControl"}, nil))
				if err != nil {
					done <- err
					return
				}
				was := found.Entries[0].GetAttributeValue("userAccountControl")
				if bits, err = strconv.Atoi(was); err != nil {
					done <- err
					return
				}
				next := bits | (wanted &^ bits & -(wanted &^ bits)) // one more
				change := ldap.NewModifyRequest(dn, nil)
				change.Delete("userAccountControl", []string{was})
				change.Add("userAccountControl", []string{strconv.Itoa(next)})
				if err := d.Modify(change); err == nil {
					bits = next &^ 2
				} else if !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchAttribute) {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for ended, enabled := false, false; !ended; enabled = !enabled {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				ended, enabled = true, false
			default:
			}
			report := set(d.boss(), shared.Username, enabled)
			for report.Outcome == rotation.Unreachable && strings.Contains(report.Detail, "again and again") {
				report = set(d.boss(), shared.Username, enabled)
			}
			if report.Outcome != rotation.Applied {
				t.Fatalf("%+v", report)
			}
		}
		if got := d.value(t, dn, "userAccountControl"); got != strconv.Itoa(wanted|2) {
			t.Errorf("it is %s, want %d", got, wanted|2)
		}
	})
	t.Run("more entries than a page", func(t *testing.T) {
		many := func(i int) string { return fmt.Sprintf("many %04d", i) }
		server, err := apps.StartLikeActiveDirectory(t.Context(), t.TempDir(), secret, people(1100, many)+`dn: cn=limited,dc=example,dc=com
objectClass: person
cn: limited
sn: Limited
userPassword: limited

dn: cn=build-7$,dc=example,dc=com
objectClass: computer
cn: build-7$
sn: Machine
sAMAccountName: build-7$
userAccountControl: 4096

dn: cn=Everybody,dc=example,dc=com
objectClass: group
sAMAccountName: everybody

`)
		d := connect(t, server, err, secret)
		target := d.at(d.address, settings)
		told := map[string]rotation.User{}
		list := func(admin rotation.Credential) rotation.Report {
			clear(told)
			return connector.New(false).Users(t.Context(), target, admin, func(user rotation.User) error {
				if _, again := told[user.Username]; again {
					t.Errorf("%s is told twice", user.Username)
				}
				told[user.Username] = user
				return nil
			})
		}
		report := list(d.boss())
		if report.Outcome != rotation.Applied || len(told) != 1100 {
			t.Fatalf("told %d: %+v", len(told), report)
		}
		if told[many(3)].Disabled || !told[many(7)].Disabled || told[many(7)].Name != "Person 7" {
			t.Errorf("%+v, %+v", told[many(3)], told[many(7)])
		}
		// What the directory keeps back is no list.
		report = list(rotation.Credential{Username: "cn=limited,dc=example,dc=com", Password: seal.NewSecret("limited")})
		if report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "part of its entries") {
			t.Errorf("told %d: %+v", len(told), report)
		}
		add := ldap.NewAddRequest("ou=branch,dc=example,dc=com", nil)
		add.Attribute("objectClass", []string{"referral", "extensibleObject"})
		add.Attribute("ref", []string{"ldap://branch.example/ou=branch,dc=example,dc=com"})
		if err := d.Add(add); err != nil {
			t.Fatal(err)
		}
		if report = list(d.boss()); report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "branch.example") {
			t.Errorf("told %d: %+v", len(told), report)
		}
		target.Settings = nil
		if report = list(d.boss()); report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "where people are") {
			t.Errorf("%+v", report)
		}
	})
}

// people are entries of a directory, every seventh disabled.
func people(count int, name func(i int) string) string {
	var text strings.Builder
	for i := range count {
		control := 512
		if i%7 == 0 {
			control |= 2
		}
		fmt.Fprintf(&text, "dn: cn=Person %d,ou=people,dc=example,dc=com\nobjectClass: user\ncn: Person %[1]d\nsn: Person\nsAMAccountName: %s\nuserAccountControl: %d\n\n", i, name(i), control)
	}
	return text.String()
}

// Settings that lead nowhere are told apart when the app is set up.
func TestSettings(t *testing.T) {
	for text, good := range map[string]bool{
		``: true, `{}`: true, `{"bind": "uid={username},ou=people,dc=example,dc=com"}`: true, `{"bind": "uid=dana"}`: false,
		`{"bind": "{username}@corp.example", "people": "dc=corp,dc=example", "username": "sAMAccountName"}`: true,
		`{"people": "dc=corp,dc=example"}`: false, `{"username": "uid"}`: false, `{"people": "corp", "username": "uid"}`: false,
		`{"people": "dc=corp", "username": "uid)(cn"}`: false,
	} {
		if _, err := connector.ParseSettings([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Who binds without a password is nobody, and nobody is let in by that.
func TestNoPasswordIsNone(t *testing.T) {
	report := connector.New(true).Verify(t.Context(), rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "ldap://127.0.0.1:1"}, rotation.Credential{Username: "shared"})
	if report.Outcome != rotation.Rejected || len(report.Hosts) > 0 {
		t.Errorf("%+v", report)
	}
}

// A person is rotated by the engine as it is, whatever happens to them in the directory.
func TestEngine(t *testing.T) {
	const secret, entry = "administrator of a test", "uid=team,ou=people,dc=example,dc=com"
	server, err := apps.StartOpenLDAP(t.Context(), t.TempDir(), secret, "")
	d := connect(t, server, err, secret)
	team := rotation.Credential{Username: "team", Password: seal.GeneratePassword(seal.PasswordPolicy{})}
	d.add(t, entry, "inetOrgPerson", team.Password, "cn", "Team")
	connectortest.Engine{
		Connector: connector.New(false),
		App: accounts.NewApp{
			Name: "Directory", Domains: []string{"127.0.0.1"}, SignInURL: "ldap://" + d.address, Connector: "ldap",
			Settings: []byte(`{"bind": "uid={username},ou=people,dc=example,dc=com"}`),
		},
		Account: team, Administrator: d.boss(),
		Set: func(t *testing.T, password seal.Secret) {
			if _, err := d.PasswordModify(ldap.NewPasswordModifyRequest(entry, "", password.Reveal())); err != nil {
				t.Fatal(err)
			}
		},
		Enable: func(t *testing.T, on bool) {
			locked := []string{"000001010000Z"}
			if on {
				locked = nil
			}
			change := ldap.NewModifyRequest(entry, nil)
			change.Replace("pwdAccountLockedTime", locked)
			if err := d.Modify(change); err != nil {
				t.Fatal(err)
			}
		},
	}.Run(t)
}
