package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// New makes the connector. allowPrivate lets every host be at a private address.
func New(allowPrivate bool) *protocol.Registered {
	return &protocol.Registered{Guarded: protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{
		Protocol: host{}, Agent: "x/crypto/ssh", Schemes: []string{"ssh"}, AllowPrivate: allowPrivate,
	}}}}
}

// Settings are an app's, as JSON.
type Settings struct {
	// HostKeys are the fingerprints of the host's keys, each as "SHA256:…". Any of them will do, so that a host can
	// be given a new key.
	HostKeys []string `json:"host_keys"`
}

// ParseSettings reads an app's settings. What is no such thing is Invalid. Without any the first sign-in tells the host's key.
func ParseSettings(text json.RawMessage) (Settings, error) {
	return protocol.Settings[Settings](text, `{"host_keys": ["SHA256:…"]}`)
}

// hostKeys are the kinds of keys in the order OpenSSH's client prefers them, so that both show the same fingerprint.
var hostKeys = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

type host struct{}

// SignIn implements protocol.Protocol.
func (host) SignIn(ctx context.Context, endpoint protocol.Endpoint, text []byte, credential rotation.Credential) (protocol.Session, error) {
	settings, err := ParseSettings(text)
	if err != nil {
		return nil, err
	}
	if credential.Username == "" || credential.Password.Reveal() == "" {
		return nil, &protocol.Failure{Outcome: rotation.Rejected, Detail: "An empty user name or password is none."}
	}
	plain, err := endpoint.Dial(ctx, "tcp", endpoint.Address("22"))
	if err != nil {
		return nil, err
	}
	// The library knows no contexts: when ctx ends the connection does.
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() })
	g := &greeting{settings: settings, password: credential.Password}
	connection, channels, requests, err := ssh.NewClientConn(plain, endpoint.Address("22"), &ssh.ClientConfig{
		User: credential.Username, ClientVersion: "SSH-2.0-Postern", HostKeyAlgorithms: hostKeys,
		HostKeyCallback: g.key, BannerCallback: g.banner, AuthCallback: g.next,
	})
	if err != nil {
		stop()
		_ = plain.Close()
		return nil, g.refused(err)
	}
	s := &session{client: ssh.NewClient(connection, channels, requests), stop: stop, old: credential.Password}
	if err := s.look(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// greeting is what host and connector say to each other until one is signed in.
type greeting struct {
	settings Settings
	password seal.Secret
	said     string // by the host, before it let one in or not
	tried    bool
	failure  *protocol.Failure // that the connector itself found
}

func (g *greeting) fail(outcome rotation.Outcome, detail string) error {
	g.failure = &protocol.Failure{Outcome: outcome, Detail: detail}
	return g.failure
}

// key judges the host's.
func (g *greeting) key(_ string, _ net.Addr, key ssh.PublicKey) error {
	shown := ssh.FingerprintSHA256(key)
	switch {
	case slices.Contains(g.settings.HostKeys, shown):
		return nil
	case len(g.settings.HostKeys) == 0:
		return g.fail(rotation.Unreachable, fmt.Sprintf(
			`No key of this host is known, and none is trusted unseen. It shows %s (%s): if that is what ssh-keygen -l says on the host, put it into the app's settings as {"host_keys": ["%[1]s"]}.`, shown, key.Type()))
	}
	return g.fail(rotation.Unreachable, fmt.Sprintf(
		"The host shows the key %s (%s), which is none of those in the app's settings: either it has a new one or somebody else answers in its place. No password was sent.", shown, key.Type()))
}

// maxSaid bounds what a host may say before and beside its answers.
const maxSaid = 16 << 10

func (g *greeting) banner(text string) error {
	if len(g.said)+len(text) <= maxSaid {
		g.said += text
	}
	return nil
}

// next chooses how to sign in. What is chosen is tried once; then the library has nothing left, and says what became
// of it.
func (g *greeting) next(offered *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	switch {
	case len(offered.PartialSuccessMethods) > 0:
		return nil, g.fail(rotation.Challenge, "The password was right, and the host wants something more than that.")
	case g.tried:
		return nil, nil
	case slices.Contains(offered.AllowedMethods, "password"):
		g.tried = true
		return ssh.Password(g.password.Reveal()), nil
	case slices.Contains(offered.AllowedMethods, "keyboard-interactive"):
		g.tried = true
		return ssh.KeyboardInteractive(g.answer()), nil
	}
	return nil, g.fail(rotation.FormNotFound, "The host lets nobody in by password (PasswordAuthentication).")
}

// answer gives the password to whoever asks for it first, and to nobody else.
func (g *greeting) answer() ssh.KeyboardInteractiveChallenge {
	given := false
	return func(_, instruction string, questions []string, _ []bool) ([]string, error) {
		if g.said += instruction; len(g.said) > maxSaid {
			g.said = g.said[:maxSaid]
		}
		answers := make([]string, len(questions))
		for i, question := range questions {
			switch kind := kindOf(question); {
			case kind == "":
				return nil, g.fail(rotation.Challenge, "The host asks for something else than the password.")
			case given:
				return nil, g.fail(rotation.MustChange, "The password has expired, and the host wants a new one first.")
			}
			given, answers[i] = true, g.password.Reveal()
		}
		return answers, nil
	}
}

// refused is what the host says instead of letting one in.
func (g *greeting) refused(err error) error {
	switch {
	case g.failure != nil:
		return g.failure
	case g.tried && strings.Contains(g.said, "account has expired"):
		return &protocol.Failure{Outcome: rotation.Disabled, Detail: "The account has expired.", Err: err}
	case g.tried && strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return &protocol.Failure{Outcome: rotation.Rejected, Detail: "The host refuses this user name or password.", Err: err}
	}
	if unlike, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The host knows only algorithms that are no longer safe.", Err: unlike}
	}
	return err
}

type session struct {
	client *ssh.Client
	stop   func() bool
	old    seal.Secret
}

// Close implements protocol.Session.
func (s *session) Close() {
	s.stop()
	_ = s.client.Close()
}
