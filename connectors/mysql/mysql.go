package mysql

import (
	"context"
	"crypto/sha1" //nolint:gosec // what mysql_native_password is made of
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// New makes the connector. allowPrivate lets every database be at a private address.
func New(allowPrivate bool) *protocol.Registered {
	return &protocol.Registered{Guarded: protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{
		Protocol: database{}, Agent: "go-sql-driver", Schemes: []string{"mysql"}, AllowPrivate: allowPrivate,
	}}}}
}

type database struct{}

// SignIn implements protocol.Protocol.
func (database) SignIn(ctx context.Context, endpoint protocol.Endpoint, _ []byte, credential rotation.Credential) (protocol.Session, error) {
	config := mysql.NewConfig()
	config.User, config.Passwd = credential.Username, credential.Password.Reveal()
	config.Net, config.Addr, config.DialFunc = "tcp", endpoint.Address("3306"), endpoint.Dial
	config.DBName = strings.Trim(endpoint.URL.Path, "/")
	config.InterpolateParams = true
	config.Logger = &mysql.NopLogger{}
	switch mode := endpoint.URL.Query().Get("tls"); {
	case mode == "" || mode == "verify":
		config.TLS = &tls.Config{ServerName: endpoint.URL.Hostname(), MinVersion: tls.VersionTLS12}
	case mode != "disable":
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The tls of the app's address is verify or disable."}
	case !endpoint.Loopback():
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "A password is not sent over the network without TLS: take tls=disable out of the app's address."}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	pool.SetMaxIdleConns(1)
	s := &session{pool: pool}
	if s.connection, err = pool.Conn(ctx); err == nil {
		err = s.connection.QueryRowContext(ctx, "select version()").Scan(&s.version)
	}
	if err != nil {
		s.Close()
		return nil, refused(err)
	}
	return s, nil
}

// The numbers of MariaDB's and MySQL's errors.
const (
	accessDenied       = 1045
	accessDeniedNoPass = 1698
	unknownDatabase    = 1049
	databaseDenied     = 1044
	mustChange         = 1820
	mustChangeAtLogin  = 1862
	lockedMySQL        = 3118
	lockedMariaDB      = 4151
	blockedMariaDB     = 4166
	notAcceptable      = 1819
	tableDenied        = 1142
	columnDenied       = 1143
	privilegeMissing   = 1227
	cannotUser         = 1396
)

// refused is what the server says instead of letting one in.
func refused(err error) error {
	said, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return err
	}
	outcome, detail := rotation.Unreachable, fmt.Sprintf("The database takes no connections now (%d).", said.Number)
	switch said.Number {
	case accessDenied, accessDeniedNoPass:
		outcome, detail = rotation.Rejected, "The database refuses this user name or password."
	case lockedMySQL, lockedMariaDB:
		outcome, detail = rotation.Disabled, "The user is locked (ACCOUNT LOCK)."
	case blockedMariaDB:
		outcome, detail = rotation.Locked, "The user is blocked because of too many wrong passwords."
	case mustChange, mustChangeAtLogin:
		outcome, detail = rotation.MustChange, "The password has expired, and the database wants a new one first."
	case unknownDatabase, databaseDenied:
		detail = "The user may not use this database, or there is none: correct the app's address."
	}
	return &protocol.Failure{Outcome: outcome, Detail: detail, Err: err}
}

type session struct {
	pool       *sql.DB
	connection *sql.Conn
	version    string
}

// Change implements protocol.Session.
func (s *session) Change(ctx context.Context, next seal.Secret, release func() error) error {
	if s.mariaDB() {
		return taken(s.send(ctx, release, "set password = ?", Hash(next)))
	}
	return taken(s.send(ctx, release, "alter user user() identified by ?", next.Reveal()))
}

func (s *session) mariaDB() bool { return strings.Contains(s.version, "MariaDB") }

// Reset implements protocol.Administrator.
func (s *session) Reset(ctx context.Context, username string, next seal.Secret, release func() error) error {
	host, err := s.host(ctx, username)
	if err != nil {
		return err
	}
	if s.mariaDB() {
		return taken(forbidden(s.send(ctx, release, "alter user ?@? identified by password ?", username, host, Hash(next))))
	}
	return taken(forbidden(s.send(ctx, release, "alter user ?@? identified by ?", username, host, next.Reveal())))
}

// SetEnabled implements protocol.Doorkeeper. Connections the user has open go on.
func (s *session) SetEnabled(ctx context.Context, username string, enabled bool) error {
	host, err := s.host(ctx, username)
	if err != nil {
		return err
	}
	_, err = s.connection.ExecContext(ctx, "alter user ?@? account "+map[bool]string{true: "unlock", false: "lock"}[enabled], username, host)
	return forbidden(err)
}

// Enabled implements protocol.Registrar.
func (s *session) Enabled(ctx context.Context, username string) (enabled, known bool, err error) {
	query := "select account_locked = 'N' from mysql.user where user = ?"
	if s.mariaDB() {
		query = "select coalesce(json_value(priv, '$.account_locked'), '0') not in ('1', 'true') from mysql.global_priv where user = ?"
	}
	err = s.connection.QueryRowContext(ctx, query, username).Scan(&enabled)
	return enabled, err == nil, err
}

// host is where the one user of a name signs in from, which is part of its name. An ALTER USER that says nothing of ACCOUNT
// LOCK leaves a locked user locked.
func (s *session) host(ctx context.Context, username string) (string, error) {
	rows, err := s.connection.QueryContext(ctx, "select host from mysql.user where user = ?", username)
	if err != nil {
		return "", forbidden(err)
	}
	defer func() { _ = rows.Close() }()
	var hosts []string
	for rows.Next() {
		var host string
		if err := rows.Scan(&host); err != nil {
			return "", err
		}
		hosts = append(hosts, host)
	}
	switch {
	case rows.Err() != nil:
		return "", rows.Err()
	case len(hosts) == 0:
		return "", &protocol.Failure{Outcome: rotation.Rejected, Detail: "The database has no user of this name."}
	case len(hosts) > 1:
		return "", &protocol.Failure{Outcome: rotation.AdminDenied, Detail: fmt.Sprintf("There are %d users of this name, each for another host, and which of them is meant cannot be told.", len(hosts))}
	}
	return hosts[0], nil
}

// forbidden tells apart what an administrator may not do.
func forbidden(err error) error {
	if said, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch said.Number {
		case databaseDenied, tableDenied, columnDenied, privilegeMissing, cannotUser:
			return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: fmt.Sprintf("The administrator may not change this user (%d): that takes CREATE USER, and SELECT on mysql.user.", said.Number), Err: err}
		}
	}
	return err
}

func (s *session) send(ctx context.Context, release func() error, statement string, arguments ...any) error {
	if err := release(); err != nil {
		return err
	}
	_, err := s.connection.ExecContext(ctx, statement, arguments...)
	return err
}

// taken is what the server says of a new password.
func taken(err error) error {
	said, answered := errors.AsType[*mysql.MySQLError](err)
	if _, known := errors.AsType[*protocol.Failure](err); known || !answered {
		return err
	}
	if said.Number == notAcceptable {
		return &protocol.Failure{Outcome: rotation.Refused, Detail: "The new password does not satisfy the database's policy.", Err: err}
	}
	return &protocol.Failure{Outcome: rotation.Refused, Detail: fmt.Sprintf("The database does not take the new password (%d).", said.Number), Err: err}
}

// Close implements protocol.Session.
func (s *session) Close() {
	if s.connection != nil {
		_ = s.connection.Close()
	}
	_ = s.pool.Close()
}

// Hash is a password as mysql_native_password keeps it: an asterisk and SHA1(SHA1(password)).
func Hash(password seal.Secret) string {
	first := sha1.Sum([]byte(password.Reveal())) //nolint:gosec // as above
	return fmt.Sprintf("*%X", sha1.Sum(first[:]))
}
