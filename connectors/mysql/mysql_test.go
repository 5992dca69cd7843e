package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	"postern/connectors/mysql"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// start is a real MariaDB, with its address, its administrator admin, and what does a statement as that.
func start(t *testing.T) (address string, boss rotation.Credential, do func(t *testing.T, statement string)) {
	t.Helper()
	server, err := apps.StartMariaDB(t.Context(), t.TempDir(), func(password string) string {
		return "create user if not exists 'admin'@'127.0.0.1' identified by '" + password + "';\ngrant all on *.* to 'admin'@'127.0.0.1' with grant option;\n"
	})
	partstest.Need(t, "MariaDB", err)
	t.Cleanup(func() { _ = server.Stop() })
	address = "127.0.0.1:" + strconv.Itoa(server.Port)
	admin, err := sql.Open("mysql", "admin:"+server.Password+"@tcp("+address+")/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	do = func(t *testing.T, statement string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return address, rotation.Credential{Username: "admin", Password: seal.NewSecret(server.Password)}, do
}

func TestContract(t *testing.T) {
	address, _, do := start(t)
	boss := rotation.Credential{Username: "boss", Password: seal.GeneratePassword(seal.PasswordPolicy{})}
	for _, statement := range []string{
		"create user 'boss'@'127.0.0.1' identified by password '" + mysql.Hash(boss.Password) + "'",
		"grant create user on *.* to 'boss'@'127.0.0.1'", "grant select on mysql.* to 'boss'@'127.0.0.1'",
	} {
		do(t, statement)
	}
	var number atomic.Int64
	connectortest.App{
		Connector: mysql.New(false), Address: address, Disabled: rotation.Disabled,
		At: func(at string) rotation.Target {
			return rotation.Target{AppName: "shop", Domains: []string{"127.0.0.1"}, SignInURL: "mysql://" + at + "/?tls=disable", AllowPrivate: true}
		},
		Account: func(t *testing.T) rotation.Credential {
			made := rotation.Credential{Username: fmt.Sprintf("shared a %d", number.Add(1)), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
			do(t, "create user '"+made.Username+"'@'127.0.0.1' identified by password '"+mysql.Hash(made.Password)+"'")
			return made
		},
		Set: func(t *testing.T, account rotation.Credential) {
			do(t, "alter user '"+account.Username+"'@'127.0.0.1' identified by password '"+mysql.Hash(account.Password)+"'")
		},
		Administrator: func(*testing.T) rotation.Credential { return boss },
		Disable: func(t *testing.T, account rotation.Credential) {
			do(t, "alter user '"+account.Username+"'@'127.0.0.1' account lock")
		},
	}.Run(t)

	t.Run("more users than a page", func(t *testing.T) {
		var names []string
		for i := range 1100 {
			names = append(names, fmt.Sprintf("'many %04d'@'127.0.0.1' identified by password '%s'", i, mysql.Hash(boss.Password)))
		}
		do(t, "create user "+strings.Join(names, ", "))
		do(t, "create user 'many 0007'@'localhost' identified by 'Original-1'")
		do(t, "create user 'everywhere locked'@'localhost' identified by 'Original-1', 'everywhere locked'@'127.0.0.1' identified by 'Original-1' account lock")
		do(t, "alter user 'everywhere locked'@'localhost' account lock")
		do(t, "alter user 'many 0007'@'localhost' account lock")
		do(t, "create role 'a role'")
		target := rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "mysql://" + address + "/?tls=disable", AllowPrivate: true}
		told := map[string]int{}
		disabled := map[string]bool{}
		report := mysql.New(false).Users(t.Context(), target, boss, func(user rotation.User) error {
			told[user.Username]++
			disabled[user.Username] = user.Disabled
			return nil
		})
		if report.Outcome != rotation.Applied {
			t.Fatalf("%+v", report)
		}
		for i := range 1100 {
			if name := fmt.Sprintf("many %04d", i); told[name] != 1 || disabled[name] {
				t.Errorf("%s is told %d times, disabled %t", name, told[name], disabled[name])
			}
		}
		if told["everywhere locked"] != 1 || !disabled["everywhere locked"] || told["a role"] > 0 {
			t.Errorf("locked everywhere: %d, %t; a role: %d", told["everywhere locked"], disabled["everywhere locked"], told["a role"])
		}
		do(t, "create user 'blind'@'127.0.0.1' identified by password '"+mysql.Hash(boss.Password)+"'")
		report = mysql.New(false).Users(t.Context(), target, rotation.Credential{Username: "blind", Password: boss.Password}, func(rotation.User) error { return nil })
		if report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "global_priv") {
			t.Errorf("%+v", report)
		}
	})

	t.Run("two of one name", func(t *testing.T) {
		for _, host := range []string{"127.0.0.1", "localhost"} {
			do(t, "create user 'twice'@'"+host+"' identified by 'Original-1'")
		}
		target := rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "mysql://" + address + "/?tls=disable", AllowPrivate: true}
		report := mysql.New(false).Reset(t.Context(), target, boss, "twice", seal.NewSecret("Next-1"), func(context.Context) error {
			t.Error("asked to release")
			return nil
		})
		if report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "2 users of this name") {
			t.Errorf("%+v", report)
		}
	})
}

// A user is rotated by the engine as it is, whatever happens to it at the database.
func TestEngine(t *testing.T) {
	address, admin, do := start(t)
	team := rotation.Credential{Username: "team", Password: seal.GeneratePassword(seal.PasswordPolicy{})}
	do(t, "create user 'team'@'127.0.0.1' identified by password '"+mysql.Hash(team.Password)+"'")
	connectortest.Engine{
		Connector: mysql.New(false),
		App: accounts.NewApp{
			Name: "Shop", Domains: []string{"127.0.0.1"}, SignInURL: "mysql://" + address + "/?tls=disable", Connector: "mysql",
		},
		Account: team, Administrator: admin,
		Set: func(t *testing.T, password seal.Secret) {
			do(t, "alter user 'team'@'127.0.0.1' identified by password '"+mysql.Hash(password)+"'")
		},
		Enable: func(t *testing.T, on bool) {
			do(t, "alter user 'team'@'127.0.0.1' account "+map[bool]string{true: "unlock", false: "lock"}[on])
		},
	}.Run(t)
}
