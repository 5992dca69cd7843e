package ldap

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/connectors/protocol"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// New makes the connector. allowPrivate lets every directory be at a private address.
func New(allowPrivate bool) *protocol.Guarded {
	return &protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{
		Protocol: directory{}, Agent: "go-ldap", Schemes: []string{"ldaps", "ldap"}, AllowPrivate: allowPrivate,
	}}}
}

// Settings are an app's, as JSON.
type Settings struct {
	// Bind is the name one binds with, with {username} where the user name belongs. Empty: the user name alone. A user name
	// that is a distinguished name of two parts or more is one already, such as that of an administrator elsewhere in the tree.
	Bind string `json:"bind"`
}

// name is what somebody binds with.
func (s Settings) name(given string) string {
	if s.Bind == "" {
		return given
	}
	if whole, err := ldap.ParseDN(given); err == nil && len(whole.RDNs) > 1 {
		return given
	}
	return strings.ReplaceAll(s.Bind, username, ldap.EscapeDN(given))
}

const shape = `{"bind": "uid={username},ou=people,dc=example,dc=com"}, or none`

// ParseSettings reads an app's settings. What is no such thing is Invalid.
func ParseSettings(text json.RawMessage) (Settings, error) {
	settings, err := protocol.Settings[Settings](text, shape)
	if err == nil && settings.Bind != "" && !strings.Contains(settings.Bind, username) {
		err = core.Invalid("settings", "the app's settings are %s", shape)
	}
	return settings, err
}

// username is what Settings.Bind has where the user name belongs.
const username = "{username}"

type directory struct{}

// SignIn implements protocol.Protocol.
func (directory) SignIn(ctx context.Context, endpoint protocol.Endpoint, text []byte, credential rotation.Credential) (protocol.Session, error) {
	settings, err := ParseSettings(text)
	if err != nil {
		return nil, err
	}
	name := settings.name(credential.Username)
	// To bind without a password is to be nobody, and succeeds (RFC 4513, section 5.1.2).
	if name == "" || credential.Password.Reveal() == "" {
		return nil, &protocol.Failure{Outcome: rotation.Rejected, Detail: "An empty user name or password is none."}
	}
	s, err := open(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	s.settings, s.old = settings, credential.Password
	bound, err := s.connection.SimpleBind(ldap.NewSimpleBindRequest(name, credential.Password.Reveal(), []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}))
	if failure := refused(bound, err); failure != nil {
		s.Close()
		return nil, failure
	}
	return s, nil
}

// open connects. The library knows no contexts: when ctx ends the connection does.
func open(ctx context.Context, endpoint protocol.Endpoint) (*session, error) {
	secured := endpoint.URL.Scheme == "ldaps"
	port := map[bool]string{true: "636", false: "389"}[secured]
	plain, err := endpoint.Dial(ctx, "tcp", endpoint.Address(port))
	if err != nil {
		return nil, err
	}
	s := &session{stop: context.AfterFunc(ctx, func() { _ = plain.Close() })}
	settings := &tls.Config{ServerName: endpoint.URL.Hostname(), MinVersion: tls.VersionTLS12}
	stream := plain
	if secured {
		stream = tls.Client(plain, settings)
	}
	s.connection = ldap.NewConn(stream, secured)
	s.connection.Start()
	if !secured && !endpoint.Loopback() {
		if err := s.connection.StartTLS(settings); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// refused is what the directory says instead of letting one in; nil if it does let one in.
func refused(bound *ldap.SimpleBindResult, err error) error {
	if bound != nil {
		if policy, ok := ldap.FindControl(bound.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy); ok {
			switch policy.Error {
			case ldap.BeheraPasswordExpired, ldap.BeheraChangeAfterReset:
				return &protocol.Failure{Outcome: rotation.MustChange, Detail: "The password has expired, and the directory wants a new one first.", Err: err}
			case ldap.BeheraAccountLocked:
				return &protocol.Failure{Outcome: rotation.Locked, Detail: "The directory has locked this entry.", Err: err}
			}
		}
	}
	said, answered := errors.AsType[*ldap.Error](err)
	switch {
	case err == nil:
		return nil
	case !answered || said.ResultCode >= ldap.ErrorNetwork:
		return err
	case said.ResultCode == ldap.LDAPResultInvalidCredentials, said.ResultCode == ldap.LDAPResultNoSuchObject, said.ResultCode == ldap.LDAPResultInvalidDNSyntax:
		return active(said)
	}
	return &protocol.Failure{Outcome: rotation.Unreachable, Detail: fmt.Sprintf("The directory lets nobody in now (%d).", said.ResultCode), Err: err}
}

// active tells apart what Active Directory puts into the words of a refusal: its own error, as "data 52e".
func active(said *ldap.Error) error {
	text := ""
	if said.Err != nil {
		text = said.Err.Error()
	}
	for data, failure := range map[string]protocol.Failure{
		"data 533": {Outcome: rotation.Disabled, Detail: "The account is disabled."},
		"data 701": {Outcome: rotation.Disabled, Detail: "The account has expired."},
		"data 775": {Outcome: rotation.Locked, Detail: "The account is locked."},
		"data 532": {Outcome: rotation.MustChange, Detail: "The password has expired, and the directory wants a new one first."},
		"data 773": {Outcome: rotation.MustChange, Detail: "The directory wants a new password first."},
	} {
		if strings.Contains(text, data) {
			failure.Err = said
			return &failure
		}
	}
	return &protocol.Failure{Outcome: rotation.Rejected, Detail: "The directory refuses this user name or password.", Err: said}
}

type session struct {
	connection *ldap.Conn
	stop       func() bool
	settings   Settings
	old        seal.Secret
}

// Change implements protocol.Session.
func (s *session) Change(_ context.Context, next seal.Secret, release func() error) error {
	return taken(s.send(ldap.NewPasswordModifyRequest("", s.old.Reveal(), next.Reveal()), release))
}

// shut is what an entry has that an administrator locked for good, of which setting a password would take it
// (draft-behera-ldap-password-policy-10, section 5.3.3).
const (
	lockedTime = "pwdAccountLockedTime"
	shut       = "000001010000Z"
)

// Reset implements protocol.Administrator. An entry that is shut stays so.
func (s *session) Reset(_ context.Context, username string, next seal.Secret, release func() error) error {
	name := s.settings.name(username)
	if name == "" {
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "An empty user name is none."}
	}
	if _, err := ldap.ParseDN(name); err == nil {
		locked, err := s.locked(name)
		switch {
		case err != nil:
			return err
		case locked == shut:
			return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The directory has this entry locked for good."}
		}
	}
	err := s.send(ldap.NewPasswordModifyRequest(name, "", next.Reveal()), release)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights):
		return denied(err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "The directory has no entry of this name.", Err: err}
	}
	return taken(err)
}

// locked is since when an entry, which there has to be, is locked, as the directory writes it; empty: it is not.
func (s *session) locked(name string) (string, error) {
	found, err := s.connection.Search(ldap.NewSearchRequest(name, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{lockedTime}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return "", &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The directory has no entry of this name that the administrator may see.", Err: err}
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights):
		return "", denied(err)
	case err != nil || len(found.Entries) != 1:
		return "", err
	}
	return found.Entries[0].GetAttributeValue(lockedTime), nil
}

// SetEnabled implements protocol.Doorkeeper, by the lock of the directory's password policy. Who is bound stays so. To enable an
// entry takes any lock from it.
func (s *session) SetEnabled(_ context.Context, username string, enabled bool) error {
	name := s.settings.name(username)
	if _, err := ldap.ParseDN(name); name == "" || err != nil {
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "This is no name of an entry: the app's settings have to say, in bind, what one binds with.", Err: err}
	}
	locked, err := s.locked(name)
	switch {
	case err != nil:
		return err
	case enabled && locked == "", !enabled && locked == shut:
		return nil
	}
	change := ldap.NewModifyRequest(name, nil)
	if enabled {
		change.Delete(lockedTime, nil)
	} else {
		change.Replace(lockedTime, []string{shut})
	}
	err = s.connection.Modify(change)
	switch said, answered := errors.AsType[*ldap.Error](err); {
	case answered && said.ResultCode == ldap.LDAPResultUndefinedAttributeType:
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The directory locks no entries: that takes its password policy overlay (ppolicy).", Err: err}
	case answered && said.ResultCode < ldap.ErrorNetwork:
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: fmt.Sprintf("The administrator may not lock this entry (%d): that takes write access to its pwdAccountLockedTime.", said.ResultCode), Err: err}
	}
	return err
}

func denied(err error) error {
	return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The administrator may not set this entry's password: that takes write access to its userPassword.", Err: err}
}

func (s *session) send(request *ldap.PasswordModifyRequest, release func() error) error {
	if err := release(); err != nil {
		return err
	}
	_, err := s.connection.PasswordModify(request)
	return err
}

// taken is what the directory says of a new password.
func taken(err error) error {
	said, ok := errors.AsType[*ldap.Error](err)
	if !ok || said.ResultCode >= ldap.ErrorNetwork {
		return err
	}
	detail := fmt.Sprintf("The directory does not take the new password (%d).", said.ResultCode)
	if said.ResultCode == ldap.LDAPResultConstraintViolation {
		detail = "The new password does not satisfy the directory's policy."
	}
	return &protocol.Failure{Outcome: rotation.Refused, Detail: detail, Err: err}
}

// Close implements protocol.Session.
func (s *session) Close() {
	s.stop()
	_ = s.connection.Close()
}
