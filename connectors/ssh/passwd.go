package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// look has the host do nothing, which it does not for everybody whose password is right.
func (s *session) look() error {
	one, err := s.client.NewSession()
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	var out, wrong start
	one.Stdout, one.Stderr = &out, &wrong
	err = one.Run("true")
	if _, ended := errors.AsType[*ssh.ExitError](err); err != nil && !ended {
		if _, missing := errors.AsType[*ssh.ExitMissingError](err); !missing {
			return err
		}
	}
	switch said := out.text + wrong.text; {
	case strings.Contains(said, "Password change required"), strings.Contains(said, "password has expired"):
		return &protocol.Failure{Outcome: rotation.MustChange, Detail: "The password has expired, and the host wants a new one first.", Err: err}
	case strings.Contains(said, "account is currently not available"):
		return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The account has no shell (nologin).", Err: err}
	}
	return nil
}

// start keeps the beginning of what is written.
type start struct{ text string }

// Write implements io.Writer.
func (s *start) Write(text []byte) (int, error) {
	s.text += string(text[:min(len(text), maxSaid-len(s.text))])
	return len(text), nil
}

// The kinds of passwords that hosts ask for.
const (
	current = "current"
	fresh   = "new"
	repeat  = "again"
)

var prompts = []struct {
	kind string
	like *regexp.Regexp
}{
	{repeat, regexp.MustCompile(`(?i)(retype|re-enter|reenter|repeat|confirm|again).*: ?$`)},
	{fresh, regexp.MustCompile(`(?i)new.*password.*: ?$`)},
	{current, regexp.MustCompile(`(?i)password.*: ?$`)},
}

// kindOf says which password a text asks for at its end; none: an empty string.
func kindOf(text string) string {
	line := text[strings.LastIndexAny(text, "\r\n")+1:]
	for _, prompt := range prompts {
		if prompt.like.MatchString(line) {
			return prompt.kind
		}
	}
	return ""
}

// longest is the longest password that programs under PAM read whole from a terminal.
const longest = 500

// Change implements protocol.Session.
func (s *session) Change(_ context.Context, next seal.Secret, release func() error) error {
	if len(next.Reveal()) > longest || strings.ContainsFunc(next.Reveal(), unicode.IsControl) {
		return &protocol.Failure{Outcome: rotation.Refused, Detail: fmt.Sprintf("A terminal takes passwords of at most %d bytes, without control characters.", longest)}
	}
	c, err := s.converse()
	if err != nil {
		return err
	}
	defer c.end()
	kind, err := c.asked()
	if err == nil && kind == current {
		if err = c.enter(s.old); err == nil {
			kind, err = c.asked()
		}
	}
	if err != nil || kind != fresh {
		return c.withheld(err)
	}
	if err := release(); err != nil {
		return err
	}
	if err := c.enter(next); err != nil {
		return err
	}
	if kind, err = c.asked(); err == nil && kind == repeat {
		if err = c.enter(next); err == nil {
			_, err = c.asked()
		}
	}
	switch {
	case err == nil: // it asks on instead of having changed anything
		return c.refused(nil)
	case !errors.Is(err, io.EOF):
		return err
	}
	err = c.session.Wait()
	if ended, ok := errors.AsType[*ssh.ExitError](err); ok && ended.Signal() == "" {
		return c.refused(err)
	}
	return err
}

// conversation is one with passwd.
type conversation struct {
	session *ssh.Session
	in      io.Writer
	out     io.Reader
	said    string // since it was last answered
}

// converse starts passwd on a terminal of its own that shows nothing of what is typed.
func (s *session) converse() (*conversation, error) {
	one, err := s.client.NewSession()
	if err != nil {
		return nil, err
	}
	c := &conversation{session: one}
	err = one.RequestPty("dumb", 24, 500, ssh.TerminalModes{ssh.ECHO: 0, ssh.ECHONL: 0})
	if err == nil {
		c.in, err = one.StdinPipe()
	}
	if err == nil {
		c.out, err = one.StdoutPipe()
	}
	if err == nil {
		err = one.Start("env LC_ALL=C passwd")
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (c *conversation) end() { _ = c.session.Close() }

// asked reads until a password is asked for. It is io.EOF that passwd ended instead.
func (c *conversation) asked() (string, error) {
	buffer := make([]byte, 1024)
	for len(c.said) < maxSaid {
		n, err := c.out.Read(buffer)
		c.said += string(buffer[:n])
		if kind := kindOf(c.said); kind != "" {
			return kind, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", errors.New("ssh: passwd talks without end")
}

// enter answers.
func (c *conversation) enter(password seal.Secret) error {
	c.said = ""
	_, err := io.WriteString(c.in, password.Reveal()+"\n")
	return err
}

// withheld says why the new password was never asked for.
func (c *conversation) withheld(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	status := 0
	if err != nil {
		if ended, ok := errors.AsType[*ssh.ExitError](c.session.Wait()); ok {
			status = ended.ExitStatus()
		}
	}
	switch {
	case status == 126 || status == 127:
		return &protocol.Failure{Outcome: rotation.FormNotFound, Detail: "The host has no passwd for this account."}
	case strings.Contains(c.said, "must wait longer"):
		return &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The host lets this password be changed only some days after the last time (its minimum age)."}
	}
	return &protocol.Failure{Outcome: rotation.NotSent, Detail: fmt.Sprintf("The host's passwd did not ask for a new password (%d).", status)}
}

// refused says why the new password was not taken.
func (c *conversation) refused(err error) error {
	detail := "The host does not take the new password."
	if _, why, found := strings.Cut(c.said, "BAD PASSWORD: "); found {
		why, _, _ = strings.Cut(why, "\n")
		detail = "The host does not take the new password: " + strings.TrimSpace(why) + "."
	}
	return &protocol.Failure{Outcome: rotation.Refused, Detail: detail, Err: err}
}
