package ldap

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/connectors/protocol"
	"postern/core/rotation"
)

const (
	// lockedTime is what a password policy keeps of an entry, and forGood what it has that an administrator locked for good, of
	// which setting a password would take it (draft-behera-ldap-password-policy-10, section 5.3.3).
	lockedTime = "pwdAccountLockedTime"
	forGood    = "000001010000Z"

	// control is what Active Directory keeps of an entry: a number whose bits each say something (MS-ADTS, section 2.2.16), of which
	// accountDisable is ADS_UF_ACCOUNT_DISABLE and normalAccount ADS_UF_NORMAL_ACCOUNT, somebody's and no machine's.
	control        = "userAccountControl"
	accountDisable = 0x2
	normalAccount  = 0x200
)

// lock is what an entry says of whether it is let in.
type lock struct {
	since string // lockedTime, as the directory writes it
	flags string // control, as the directory writes it; empty: it is no Active Directory, or the administrator may not see it
	bits  int32
}

func lockOf(entry *ldap.Entry) (found lock, err error) {
	found.since, found.flags = entry.GetEqualFoldAttributeValue(lockedTime), entry.GetEqualFoldAttributeValue(control)
	if found.flags == "" {
		return found, nil
	}
	bits, err := strconv.ParseInt(found.flags, 10, 32)
	if err != nil {
		return lock{}, fmt.Errorf("ldap: %s is %q: %w", control, found.flags, err)
	}
	found.bits = int32(bits)
	return found, nil
}

// shut reports whether an administrator locked the entry for good.
func (l lock) shut() bool { return l.since == forGood || l.flags != "" && l.bits&accountDisable != 0 }

// entry is the name of the entry of a user name.
func (s *session) entry(given string) (string, error) {
	if given == "" {
		return "", &protocol.Failure{Outcome: rotation.Rejected, Detail: "An empty user name is none."}
	}
	if s.settings.People == "" || whole(given) {
		return s.settings.name(given), nil
	}
	filter := fmt.Sprintf("(%s=%s)", s.settings.Username, ldap.EscapeFilter(given))
	found, err := s.connection.Search(ldap.NewSearchRequest(s.settings.People, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false, filter, []string{"1.1"}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(found.Entries) > 1:
		return "", &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "There are several entries of this name, and which of them is meant cannot be told.", Err: err}
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject), err == nil && len(found.Entries) == 0:
		return "", unseen(err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights), ldap.IsErrorWithCode(err, ldap.LDAPResultOperationsError):
		return "", denied(err)
	case err != nil:
		return "", err
	}
	return found.Entries[0].DN, nil
}

func unseen(err error) error {
	return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The directory has no entry of this name that the administrator may see.", Err: err}
}

// lock reads an entry's, which there has to be.
func (s *session) lock(name string) (lock, error) {
	found, err := s.connection.Search(ldap.NewSearchRequest(name, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{lockedTime, control}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return lock{}, unseen(err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights):
		return lock{}, denied(err)
	case err != nil:
		return lock{}, err
	case len(found.Entries) != 1:
		return lock{}, unseen(nil)
	}
	return lockOf(found.Entries[0])
}

// switches is how often an entry is tried to be switched that somebody else changes at the same time.
const switches = 5

// SetEnabled implements protocol.Doorkeeper, by Active Directory's userAccountControl where the entry has one, and by the lock of the
// directory's password policy where not. Who is bound stays so. To enable an entry takes any lock of a password policy from it.
func (s *session) SetEnabled(_ context.Context, username string, enabled bool) error {
	name, err := s.entry(username)
	if err != nil {
		return err
	}
	if _, err := ldap.ParseDN(name); err != nil {
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "This is no name of an entry: the app's settings have to say, in bind or in people and username, whose it is.", Err: err}
	}
	for range switches {
		found, err := s.lock(name)
		if err != nil || found.flags == "" && (enabled && found.since == "" || !enabled && found.shut()) || found.flags != "" && found.shut() == !enabled {
			return err
		}
		err = s.connection.Modify(found.change(name, enabled))
		switch said, answered := errors.AsType[*ldap.Error](err); {
		case found.flags != "" && ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists):
			continue // somebody else changed it since it was read
		case answered && said.ResultCode == ldap.LDAPResultUndefinedAttributeType:
			return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The directory locks no entries: that takes its password policy overlay (ppolicy), or userAccountControl, which the administrator may not see.", Err: err}
		case answered && said.ResultCode < ldap.ErrorNetwork:
			attribute := map[bool]string{true: lockedTime, false: control}[found.flags == ""]
			return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: fmt.Sprintf("The administrator may not lock this entry (%d): that takes write access to its %s.", said.ResultCode, attribute), Err: err}
		}
		return err
	}
	return &protocol.Failure{Outcome: rotation.Unreachable, Detail: "Somebody else changes this entry again and again."}
}

// Enabled implements protocol.Registrar. That there is no lock is nothing known: it may be one the administrator is not shown.
func (s *session) Enabled(_ context.Context, username string) (enabled, known bool, err error) {
	name, err := s.entry(username)
	if err != nil {
		return false, false, err
	}
	found, err := s.lock(name)
	return !found.shut(), err == nil && (found.flags != "" || found.since != ""), err
}

// change is the request that shuts an entry, or opens it. Of Active Directory's flags all but one stay as they were read: the value
// that was is taken from the entry in the same request, which fails if there is another by then (RFC 4511, section 4.6).
func (l lock) change(name string, enabled bool) *ldap.ModifyRequest {
	change := ldap.NewModifyRequest(name, nil)
	switch {
	case l.flags != "":
		bits := l.bits | accountDisable
		if enabled {
			bits = l.bits &^ accountDisable
		}
		change.Delete(control, []string{l.flags})
		change.Add(control, []string{strconv.FormatInt(int64(bits), 10)})
	case enabled:
		change.Delete(lockedTime, nil)
	default:
		change.Replace(lockedTime, []string{forGood})
	}
	return change
}

// entryPage is how many entries are asked for at a time (RFC 2696).
const entryPage = 500

// zones are the parts of every Active Directory domain that are referred to from its root and have nobody in them: MS-ADTS, section
// 3.1.1.1.
var zones = regexp.MustCompile(`(?i)/(DC=(Forest|Domain)DnsZones|CN=Configuration),`)

// Users implements protocol.Clerk. Machines and groups are nobody's accounts.
func (s *session) Users(_ context.Context, each func(user rotation.User) error) error {
	base, scope, username, ok := s.settings.place()
	if !ok {
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The app's settings do not say where people are: that takes people and username, or a bind that names an entry."}
	}
	paging := ldap.NewControlPaging(entryPage)
	request := ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 0, 0, false, "("+username+"=*)",
		[]string{username, "cn", "objectClass", lockedTime, control}, []ldap.Control{paging})
	for {
		found, err := s.connection.Search(request)
		if err != nil {
			return unlisted(err)
		}
		for _, elsewhere := range found.Referrals {
			if !zones.MatchString(elsewhere) {
				return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "A part of these entries is in another directory (" + elsewhere + "), which is not asked: make it an app of its own, and leave that part out of people."}
			}
		}
		for _, entry := range found.Entries {
			lock, err := lockOf(entry)
			if err != nil {
				return err
			}
			if machine(entry, lock) {
				continue
			}
			if err := each(rotation.User{Username: entry.GetEqualFoldAttributeValue(username), Name: entry.GetEqualFoldAttributeValue("cn"), Disabled: lock.shut()}); err != nil {
				return err
			}
		}
		next, more := ldap.FindControl(found.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !more || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
}

func machine(entry *ldap.Entry, found lock) bool {
	return found.flags != "" && found.bits&normalAccount == 0 || slices.ContainsFunc(entry.GetEqualFoldAttributeValues("objectClass"), func(class string) bool {
		return strings.EqualFold(class, "computer") || strings.EqualFold(class, "group")
	})
}

// unlisted is what keeps a directory from telling of everybody.
func unlisted(err error) error {
	said, answered := errors.AsType[*ldap.Error](err)
	if !answered || said.ResultCode >= ldap.ErrorNetwork {
		return err
	}
	detail := fmt.Sprintf("The directory does not list its entries (%d).", said.ResultCode)
	switch said.ResultCode {
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded, ldap.LDAPResultTimeLimitExceeded:
		detail = fmt.Sprintf("The directory tells this administrator of a part of its entries and no more (%d): that takes a higher limit for it.", said.ResultCode)
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultInsufficientAccessRights:
		detail = "The administrator may not see where people are: that takes read access to the entries there."
	}
	return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: detail, Err: err}
}
