package postgresql_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/connectors/connectortest"
	"postern/connectors/postgresql"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
)

// A server of its own: its roles are everybody's.
func TestContract(t *testing.T) {
	server := postgrestest.Server(t, map[string]string{"password_encryption": "scram-sha-256", "log_statement": "all"})
	admin, err := pgx.Connect(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	boss := rotation.Credential{Username: "boss", Password: seal.GeneratePassword(seal.PasswordPolicy{})}
	var number atomic.Int64
	do := func(t *testing.T, statement string) {
		t.Helper()
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatal(err)
		}
	}
	create := func(t *testing.T, made rotation.Credential, options string) {
		t.Helper()
		verifier, err := postgresql.Verifier(made.Password)
		if err != nil {
			t.Fatal(err)
		}
		do(t, "create role "+pgx.Identifier{made.Username}.Sanitize()+" login "+options+" password '"+verifier+"'")
	}
	create(t, boss, "createrole")
	connectortest.App{
		Connector: postgresql.New(false), Address: address.Host, Disabled: rotation.Disabled,
		At: func(at string) rotation.Target {
			return rotation.Target{AppName: "warehouse", Domains: []string{"127.0.0.1"}, SignInURL: "postgres://" + at + "/postgres?sslmode=disable", AllowPrivate: true}
		},
		Account: func(t *testing.T) rotation.Credential {
			made := rotation.Credential{Username: fmt.Sprintf("shared \"a\" %d", number.Add(1)), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
			create(t, made, "")
			do(t, "grant "+pgx.Identifier{made.Username}.Sanitize()+" to boss with admin option") // what CREATEROLE alone is enough for before 16
			return made
		},
		Set: func(t *testing.T, account rotation.Credential) {
			verifier, err := postgresql.Verifier(account.Password)
			if err != nil {
				t.Fatal(err)
			}
			do(t, "alter role "+pgx.Identifier{account.Username}.Sanitize()+" password '"+verifier+"'")
		},
		Administrator: func(*testing.T) rotation.Credential { return boss },
		Session: func(t *testing.T, account rotation.Credential) func() bool {
			t.Helper()
			held := *address
			held.User = url.UserPassword(account.Username, account.Password.Reveal())
			session, err := pgx.Connect(t.Context(), held.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = session.Close(context.Background()) })
			return func() bool { return session.Ping(t.Context()) == nil }
		},
		Disable: func(t *testing.T, account rotation.Credential) {
			do(t, "alter role "+pgx.Identifier{account.Username}.Sanitize()+" nologin")
		},
	}.Run(t)
}

func TestNoPasswordLeavesWithoutTLS(t *testing.T) {
	target := rotation.Target{Domains: []string{"db.example.com"}, SignInURL: "postgres://db.example.com/postgres?sslmode=disable"}
	report := postgresql.New(false).Verify(t.Context(), target, rotation.Credential{Username: "shared", Password: seal.NewSecret("canary")})
	if report.Outcome != rotation.Unreachable || !strings.Contains(report.Detail, "TLS") || len(report.Hosts) > 0 {
		t.Errorf("%+v", report)
	}
	target.SignInURL = "postgres://db.example.com/postgres?sslmode=require&options=-csearch_path%3Dx"
	if report = postgresql.New(false).Verify(t.Context(), target, rotation.Credential{}); report.Outcome != rotation.Unreachable || len(report.Hosts) > 0 {
		t.Errorf("%+v", report)
	}
}

// A server that has no TLS and asks for the password itself, or somebody in between who says so.
func TestNoPasswordLeavesForAnybodyWhoAnswers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var heard atomic.Pointer[string]
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				buffer := make([]byte, 1024)
				for {
					n, err := connection.Read(buffer)
					if err != nil {
						return
					}
					said := string(buffer[:n])
					answer := []byte{'R', 0, 0, 0, 8, 0, 0, 0, 3} // AuthenticationCleartextPassword
					switch {
					case strings.Contains(said, "canary"):
						heard.Store(&said)
					case n == 8: // SSLRequest
						answer = []byte{'N'}
					}
					if _, err := connection.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	for _, mode := range []string{"allow", "prefer", "require", "verify-ca", "nonsense"} {
		target := rotation.Target{Domains: []string{"127.0.0.1"}, AllowPrivate: true, SignInURL: "postgres://" + listener.Addr().String() + "/postgres?sslmode=" + mode}
		report := postgresql.New(false).Verify(t.Context(), target, rotation.Credential{Username: "shared", Password: seal.NewSecret("canary")})
		if report.Outcome != rotation.Unreachable || !strings.Contains(report.Detail, "verify-full") || len(report.Hosts) > 0 {
			t.Errorf("%s: %+v", mode, report)
		}
	}
	if said := heard.Load(); said != nil {
		t.Errorf("the password left: %q", *said)
	}
}
