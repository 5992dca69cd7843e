package postgresql

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/text/secure/precis"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// New makes the connector. allowPrivate lets every database be at a private address.
func New(allowPrivate bool) *protocol.Listed {
	return &protocol.Listed{Governed: protocol.Governed{Guarded: protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{
		Protocol: database{}, Agent: "pgx", Schemes: []string{"postgres", "postgresql"}, AllowPrivate: allowPrivate,
	}}}}}
}

type database struct{}

// SignIn implements protocol.Protocol.
func (database) SignIn(ctx context.Context, endpoint protocol.Endpoint, _ []byte, credential rotation.Credential) (protocol.Session, error) {
	address := *endpoint.URL
	values := address.Query()
	mode := cmp.Or(values.Get("sslmode"), "verify-full")
	switch {
	case mode != "verify-full" && mode != "disable":
		// allow and prefer go on without TLS if somebody in between says so, and require asks nobody who they are.
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The sslmode of the app's address is verify-full, or disable on this machine: any other sends a password to whoever answers."}
	case mode == "disable" && !endpoint.Loopback():
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "A password is not sent over the network without TLS: take sslmode=disable out of the app's address."}
	}
	for name := range values {
		if name != "sslmode" {
			return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: fmt.Sprintf("The app's address may say sslmode and nothing else, not %q.", name)}
		}
	}
	address.RawQuery = "sslmode=" + mode
	config, err := pgconn.ParseConfig(address.String())
	if err != nil {
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The app's address is not one of a PostgreSQL database.", Err: err}
	}
	// Nothing of this process's surroundings (PGUSER, a service file, ~/.pgpass) is to be meant.
	config.User, config.Password = credential.Username, credential.Password.Reveal()
	config.DialFunc = endpoint.Dial
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.RuntimeParams = map[string]string{"application_name": "postern"}
	connection, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, refused(err)
	}
	return &session{connection, credential.Username}, nil
}

// refused is what the server says instead of letting one in: PostgreSQL, appendix A.
func refused(err error) error {
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch {
	case said.Code == "28P01":
		// A password that expired (VALID UNTIL) is refused with the same words.
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "The database refuses this user name or password.", Err: err}
	case said.Code == "28000" && strings.Contains(said.Routine, "InitializeSessionUserId"):
		return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The role may not log in.", Err: err}
	case said.Code == "28000":
		return &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The database lets nobody in from here (pg_hba.conf).", Err: err}
	case said.Code == "3D000":
		return &protocol.Failure{Outcome: rotation.Unreachable, Detail: "There is no database of that name: correct the app's address.", Err: err}
	case said.Code == "42501":
		return &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The role may not connect to this database: correct the app's address.", Err: err}
	}
	return &protocol.Failure{Outcome: rotation.Unreachable, Detail: fmt.Sprintf("The database takes no connections now (%s).", said.Code), Err: err}
}

type session struct {
	connection *pgconn.PgConn
	role       string
}

// Change implements protocol.Session.
func (s *session) Change(ctx context.Context, next seal.Secret, release func() error) error {
	return s.set(ctx, s.role, next, release)
}

// Reset implements protocol.Administrator. A role that may not log in may not afterwards either.
func (s *session) Reset(ctx context.Context, username string, next seal.Secret, release func() error) error {
	enters, err := s.enters(ctx, username)
	if err == nil && !enters {
		err = &protocol.Failure{Outcome: rotation.Disabled, Detail: "The role may not log in."}
	}
	if err != nil {
		return err
	}
	return s.set(ctx, username, next, release)
}

// enters reports whether a role, which there has to be, may log in.
func (s *session) enters(ctx context.Context, role string) (bool, error) {
	result := s.connection.ExecParams(ctx, "select rolcanlogin from pg_roles where rolname = $1", [][]byte{[]byte(role)}, nil, nil, nil).Read()
	switch {
	case result.Err != nil:
		return false, result.Err
	case len(result.Rows) == 0:
		return false, &protocol.Failure{Outcome: rotation.Rejected, Detail: "The database has no role of this name."}
	}
	return string(result.Rows[0][0]) == "t", nil
}

// SetEnabled implements protocol.Governor. Sessions the role has open go on.
func (s *session) SetEnabled(ctx context.Context, username string, enabled bool) error {
	if _, err := s.enters(ctx, username); err != nil {
		return err
	}
	_, err := s.connection.Exec(ctx, fmt.Sprintf("alter role %s %s", pgx.Identifier{username}.Sanitize(), map[bool]string{true: "login", false: "nologin"}[enabled])).ReadAll()
	return forbidden(err, "The administrator may not change this role: that takes CREATEROLE and the admin option on the role, or a superuser.")
}

// Enabled implements protocol.Registrar.
func (s *session) Enabled(ctx context.Context, username string) (enabled, known bool, err error) {
	enabled, err = s.enters(ctx, username)
	return enabled, err == nil, err
}

// Revoke implements protocol.Governor.
func (s *session) Revoke(ctx context.Context, username string) error {
	if _, err := s.enters(ctx, username); err != nil {
		return err
	}
	const end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()"
	result := s.connection.ExecParams(ctx, end, [][]byte{[]byte(username)}, nil, nil, nil).Read()
	return forbidden(result.Err, "The administrator may not end this role's sessions: that takes membership in the role or in pg_signal_backend, or a superuser.")
}

// rolePage is how many roles are asked for at a time.
const rolePage = 1000

// Users implements protocol.Clerk, of the roles that may log in.
func (s *session) Users(ctx context.Context, each func(user rotation.User) error) error {
	const page = "select rolname from pg_roles where rolcanlogin and rolname > $1::name order by rolname limit $2"
	for after := ""; ; {
		result := s.connection.ExecParams(ctx, page, [][]byte{[]byte(after), []byte(strconv.Itoa(rolePage))}, nil, nil, nil).Read()
		if result.Err != nil {
			return result.Err
		}
		for _, row := range result.Rows {
			after = string(row[0])
			if err := each(rotation.User{Username: after}); err != nil {
				return err
			}
		}
		if len(result.Rows) < rolePage {
			return nil
		}
	}
}

// forbidden tells apart what an administrator may not do.
func forbidden(err error, detail string) error {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok && said.Code == "42501" {
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: detail, Err: err}
	}
	return err
}

func (s *session) set(ctx context.Context, role string, next seal.Secret, release func() error) error {
	verifier, err := Verifier(next)
	if err != nil {
		return &protocol.Failure{Outcome: rotation.Refused, Detail: "The new password has characters a database password cannot have.", Err: err}
	}
	if err := release(); err != nil {
		return err
	}
	_, err = s.connection.Exec(ctx, fmt.Sprintf("alter role %s password '%s'", pgx.Identifier{role}.Sanitize(), verifier)).ReadAll()
	if role != s.role {
		err = forbidden(err, "The administrator may not set this role's password: that takes CREATEROLE and the admin option on the role, or a superuser.")
	}
	if _, known := errors.AsType[*protocol.Failure](err); known {
		return err
	}
	said, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case !answered:
		return err
	case strings.HasPrefix(said.Code, "57P"), strings.HasPrefix(said.Code, "08"):
		return err // the server is going down: what it did before is not said
	}
	return &protocol.Failure{Outcome: rotation.Refused, Detail: fmt.Sprintf("The database does not take the new password (%s).", said.Code), Err: err}
}

// Close implements protocol.Session.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.connection.Close(ctx)
}

// rounds is how often a verifier is hashed: PostgreSQL's own number.
const rounds = 4096

// Verifier is a password as PostgreSQL keeps it: SCRAM-SHA-256$rounds:salt$StoredKey:ServerKey (RFC 5803, RFC 7677),
// with a salt of its own each time.
func Verifier(password seal.Secret) (string, error) {
	// As PostgreSQL does: what cannot be prepared is taken as it is.
	text, err := precis.OpaqueString.String(password.Reveal())
	if err != nil {
		text = password.Reveal()
	}
	if text == "" || strings.ContainsRune(text, 0) {
		return "", errors.New("postgresql: no password")
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, text, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	sign := func(label string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(label))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, encode(salt), encode(stored[:]), encode(sign("Server Key"))), nil
}
