package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// New makes the connector. allowPrivate lets every directory be at a private address.
func New(allowPrivate bool) *protocol.Registered {
	return &protocol.Registered{Guarded: protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{
		Protocol: directory{}, Agent: "go-ldap", Schemes: []string{"ldaps", "ldap"}, AllowPrivate: allowPrivate,
	}}}}
}

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

// Reset implements protocol.Administrator. An entry that is shut stays so.
func (s *session) Reset(_ context.Context, username string, next seal.Secret, release func() error) error {
	name, err := s.entry(username)
	if err != nil {
		return err
	}
	if _, err := ldap.ParseDN(name); err == nil {
		found, err := s.lock(name)
		switch {
		case err != nil:
			return err
		case found.shut():
			return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The directory has this entry locked for good."}
		}
	}
	err = s.send(ldap.NewPasswordModifyRequest(name, "", next.Reveal()), release)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights):
		return denied(err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "The directory has no entry of this name.", Err: err}
	}
	return taken(err)
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
