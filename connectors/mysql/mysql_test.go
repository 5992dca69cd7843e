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
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

func TestContract(t *testing.T) {
	server, err := apps.StartMariaDB(t.Context(), t.TempDir(), func(password string) string {
		return "create user if not exists 'admin'@'127.0.0.1' identified by '" + password + "';\ngrant all on *.* to 'admin'@'127.0.0.1' with grant option;\n"
	})
	partstest.Need(t, "MariaDB", err)
	t.Cleanup(func() { _ = server.Stop() })
	address := "127.0.0.1:" + strconv.Itoa(server.Port)
	admin, err := sql.Open("mysql", "admin:"+server.Password+"@tcp("+address+")/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	do := func(t *testing.T, statement string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
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
		Administrator: func(*testing.T) rotation.Credential { return boss },
		Disable: func(t *testing.T, account rotation.Credential) {
			do(t, "alter user '"+account.Username+"'@'127.0.0.1' account lock")
		},
	}.Run(t)

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
