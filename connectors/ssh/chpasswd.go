package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// What the host says of a reset, each on a line of its own or at the end of what it said.
const (
	sudoAsks  = "postern: the password for sudo"
	rootAsks  = "postern: the account"
	rootReady = "postern: the password"
)

// asRoot becomes root, reads a line, the account that is meant, and then does work, which has no quotation marks of one stroke. What is
// asked for is read from the standard input, so that nothing of it is in the list of processes.
func asRoot(work string) string {
	return strings.NewReplacer("ASKS", sudoAsks, "NAME", rootAsks, "WORK", work).Replace(
		`env LC_ALL=C sh -c 'if [ "$(id -u)" = 0 ]; then exec sh -c "$0"; fi; exec sudo -k -S -p "ASKS" sh -c "$0"' ` +
			`'echo "NAME"; read -r name; WORK' 2>&1`)
}

// looks says how the account is, before anything is done to it.
const looks = `passwd -S "$name" 2>&1; echo "` + rootReady + `"; `

// What is done as root. An account that has expired is let in by no key either, unlike one whose password is locked.
const (
	setsPassword = looks + `exec chpasswd`
	shutsOut     = looks + `read -r go && exec chage -E 0 -- "$name"`
	letsIn       = looks + `read -r go && exec chage -E -1 -- "$name"`
	tellsExpiry  = `getent shadow "$name" | awk -F: "{ print \"expires\", \$8 }"; echo "` + rootReady + `"`
)

// login is a user name that is one and no line or option besides: useradd takes fewer.
var login = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.@$-]*$`)

// Reset implements protocol.Administrator, for root and whoever may run any command by sudo.
func (s *session) Reset(_ context.Context, username string, next seal.Secret, release func() error) error {
	switch {
	case !login.MatchString(username):
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "This is no user name of a Linux account."}
	case len(next.Reveal()) > longest || strings.ContainsFunc(next.Reveal(), unicode.IsControl):
		return &protocol.Failure{Outcome: rotation.Refused, Detail: fmt.Sprintf("A host takes passwords of at most %d bytes, without control characters.", longest)}
	}
	r, err := s.root(setsPassword)
	if err != nil {
		return err
	}
	defer r.end()
	if err := r.become(s.old); err != nil {
		return err
	}
	switch locked, err := r.look(username); {
	case err != nil:
		return err
	case locked:
		return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The account's password is locked (passwd -l)."}
	}
	if err := release(); err != nil {
		return err
	}
	if _, err := io.WriteString(r.in, username+":"+next.Reveal()+"\n"); err != nil {
		return err
	}
	if err := r.in.Close(); err != nil {
		return err
	}
	err = r.session.Wait()
	if ended, ok := errors.AsType[*ssh.ExitError](err); ok && ended.Signal() == "" {
		return &protocol.Failure{Outcome: rotation.Refused, Detail: fmt.Sprintf("The host does not take the new password (chpasswd, %d).", ended.ExitStatus()), Err: err}
	}
	return err
}

// SetEnabled implements protocol.Doorkeeper, by the day the account expires: it is the same for passwords and keys. To enable
// one takes any such day from it; a locked password stays locked. Who is signed in stays so.
func (s *session) SetEnabled(_ context.Context, username string, enabled bool) error {
	if !login.MatchString(username) {
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "This is no user name of a Linux account."}
	}
	r, err := s.root(map[bool]string{true: letsIn, false: shutsOut}[enabled])
	if err != nil {
		return err
	}
	defer r.end()
	if err := r.become(s.old); err != nil {
		return err
	}
	if _, err := r.look(username); err != nil {
		return err
	}
	if _, err := io.WriteString(r.in, "go\n"); err != nil {
		return err
	}
	err = r.session.Wait()
	if ended, ok := errors.AsType[*ssh.ExitError](err); ok && ended.Signal() == "" {
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: fmt.Sprintf("The host does not change when this account expires (chage, %d).", ended.ExitStatus()), Err: err}
	}
	return err
}

// Enabled implements protocol.Registrar: the day the account expires, counted from 1970 (shadow(5)), is not here yet.
func (s *session) Enabled(_ context.Context, username string) (enabled, known bool, err error) {
	r, err := s.root(tellsExpiry)
	if err != nil {
		return false, false, err
	}
	defer r.end()
	if err := r.become(s.old); err != nil {
		return false, false, err
	}
	r.said = ""
	if _, err := io.WriteString(r.in, username+"\n"); err != nil {
		return false, false, err
	}
	if _, err := r.until(rootReady); err != nil {
		return false, false, err
	}
	said := strings.Fields(strings.TrimSuffix(strings.TrimSpace(r.said), rootReady))
	switch {
	case len(said) == 0 || said[0] != "expires":
		return false, false, nil
	case len(said) == 1:
		return true, true, nil
	}
	day, err := strconv.ParseInt(said[1], 10, 64)
	return day > time.Now().Unix()/86400, err == nil, err
}

// root is a program that runs as root, or is to.
type root struct {
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	said    string
}

func (s *session) root(work string) (*root, error) {
	one, err := s.client.NewSession()
	if err != nil {
		return nil, err
	}
	r := &root{session: one}
	if r.in, err = one.StdinPipe(); err == nil {
		r.out, err = one.StdoutPipe()
	}
	if err == nil {
		err = one.Start(asRoot(work))
	}
	if err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

func (r *root) end() { _ = r.session.Close() }

// until reads until one of the texts stands at the end of what was said, and says which. It is io.EOF that the program
// ended instead.
func (r *root) until(texts ...string) (string, error) {
	buffer := make([]byte, 1024)
	for len(r.said) < maxSaid {
		n, err := r.out.Read(buffer)
		r.said += string(buffer[:n])
		for _, text := range texts {
			if strings.HasSuffix(strings.TrimRight(r.said, "\r\n"), text) {
				return text, nil
			}
		}
		if err != nil {
			return "", err
		}
	}
	return "", errors.New("ssh: the host talks without end")
}

// become answers sudo once, if it asks.
func (r *root) become(password seal.Secret) error {
	asked, err := r.until(sudoAsks, rootAsks)
	if err == nil && asked == sudoAsks {
		if _, err = io.WriteString(r.in, password.Reveal()+"\n"); err == nil {
			asked, err = r.until(sudoAsks, rootAsks)
		}
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case asked == rootAsks:
		return nil
	}
	return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The administrator may not become root here: that takes root itself, or leave to run any command by sudo.", Err: err}
}

// look leaves alone whom the host does not know, and says whether the password is locked: setting one would unlock it.
func (r *root) look(username string) (locked bool, err error) {
	if _, err := io.WriteString(r.in, username+"\n"); err != nil {
		return false, err
	}
	r.said = ""
	if _, err := r.until(rootReady); err != nil {
		return false, err
	}
	state := strings.Fields(r.said)
	switch {
	case len(state) > 1 && state[0] == username:
		return strings.HasPrefix(state[1], "L"), nil
	case strings.Contains(r.said, "does not exist"), strings.Contains(r.said, "Unknown user"):
		return false, &protocol.Failure{Outcome: rotation.Rejected, Detail: "The host has no account of this name."}
	}
	return false, &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The host's passwd does not say how this account is."}
}
