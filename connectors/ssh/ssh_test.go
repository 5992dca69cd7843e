package ssh_test

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	"postern/connectors/ssh"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// host is a real sshd with accounts of the machine.
type host struct {
	*apps.SSHD
	address string
}

// machine is held by who changes its accounts. What takes long is PAM, which answers a wrong password after two seconds:
// the tests wait for it side by side.
var machine sync.Mutex

func start(t *testing.T, asking bool) host {
	t.Helper()
	server, err := apps.StartSSHD(t.Context(), t.TempDir(), asking)
	partstest.Need(t, "sshd", err)
	t.Cleanup(func() { _ = server.Stop() })
	return host{server, "127.0.0.1:" + strconv.Itoa(server.Port)}
}

func (h host) at(address string) rotation.Target {
	return rotation.Target{
		AppName: "build host", Domains: []string{"127.0.0.1"}, SignInURL: "ssh://" + address, AllowPrivate: true,
		Settings: []byte(`{"host_keys": ["` + h.HostKey + `"]}`),
	}
}

func (h host) account(t *testing.T) rotation.Credential { return h.made(t, h.Account) }

func (h host) made(t *testing.T, account func(ctx context.Context, password string) (string, error)) rotation.Credential {
	t.Helper()
	password := seal.GeneratePassword(seal.PasswordPolicy{})
	machine.Lock()
	defer machine.Unlock()
	name, err := account(t.Context(), password.Reveal())
	if name != "" {
		t.Cleanup(func() {
			machine.Lock()
			defer machine.Unlock()
			if err := h.Remove(name); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return rotation.Credential{Username: name, Password: password}
}

func do(t *testing.T, program string, arguments ...string) {
	t.Helper()
	machine.Lock()
	defer machine.Unlock()
	if output, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, output)
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	h := start(t, false)
	connectortest.App{
		Connector: ssh.New(false), Address: h.address, At: h.at, Account: h.account, Disabled: rotation.Disabled,
		Administrator: func(t *testing.T) rotation.Credential { return h.made(t, h.Root) },
		Set: func(t *testing.T, account rotation.Credential) {
			machine.Lock()
			defer machine.Unlock()
			set := exec.CommandContext(t.Context(), "chpasswd")
			set.Stdin = strings.NewReader(account.Username + ":" + account.Password.Reveal() + "\n")
			if output, err := set.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
		},
		Disable: func(t *testing.T, account rotation.Credential) { do(t, "chage", "-E", "0", account.Username) },
	}.Run(t)
}

// A host that asks for the password in a dialogue is answered once, with the same outcomes.
func TestDialogue(t *testing.T) {
	t.Parallel()
	h := start(t, true)
	account, connector := h.account(t), ssh.New(false)
	next := seal.GeneratePassword(seal.PasswordPolicy{})
	changed := connector.Change(t.Context(), h.at(h.address), account, next, released(nil))
	if changed.Outcome != rotation.Applied {
		t.Fatalf("%+v", changed)
	}
	if report := connector.Verify(t.Context(), h.at(h.address), account); report.Outcome != rotation.Rejected {
		t.Errorf("%+v", report)
	}
	account.Password = next
	do(t, "chage", "-d", "0", account.Username)
	if report := connector.Verify(t.Context(), h.at(h.address), account); report.Outcome != rotation.MustChange {
		t.Errorf("%+v", report)
	}
}

// A host that is not known, or shows another key than before, gets no password: not even to refuse it.
func TestHostKey(t *testing.T) {
	t.Parallel()
	h := start(t, false)
	account := h.account(t)
	for settings, want := range map[string]string{
		"": `put it into the app's settings as {"host_keys": ["` + h.HostKey + `"]}`,
		`{"host_keys": ["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"]}`: "No password was sent",
		`{"host_keys": "SHA256:x"}`: "The app's settings are",
	} {
		target := h.at(h.address)
		target.Settings = []byte(settings)
		report := ssh.New(false).Change(t.Context(), target, account, account.Password, released(nil))
		if report.Outcome != rotation.Unreachable || report.Released || !strings.Contains(report.Detail, want) {
			t.Errorf("%s: %+v", settings, report)
		}
	}
	if said := h.Output(); strings.Contains(said, "Failed password") || strings.Contains(said, "Accepted password") {
		t.Error(said)
	}
}

// What stands in the way of a password that is right is told apart.
func TestInTheWay(t *testing.T) {
	t.Parallel()
	h := start(t, false)
	for name, test := range map[string]struct {
		program   string
		arguments []string
		want      rotation.Outcome
	}{
		"password expired":  {"chage", []string{"-d", "0"}, rotation.MustChange},
		"account expired":   {"chage", []string{"-E", "0"}, rotation.Disabled},
		"no shell":          {"usermod", []string{"-s", "/usr/sbin/nologin"}, rotation.Disabled},
		"another shell":     {"usermod", []string{"-s", "/bin/bash"}, rotation.Accepted},
		"password locked":   {"usermod", []string{"-L"}, rotation.Rejected},
		"changed a day ago": {"chage", []string{"-m", "7"}, rotation.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account := h.account(t)
			do(t, test.program, append(test.arguments, account.Username)...)
			if report := ssh.New(false).Verify(t.Context(), h.at(h.address), account); report.Outcome != test.want {
				t.Errorf("%+v", report)
			}
		})
	}
}

// What the host does not take leaves the password as it was, and says why.
func TestRefused(t *testing.T) {
	t.Parallel()
	h := start(t, false)
	for name, test := range map[string]struct {
		next     string
		before   []string
		want     rotation.Outcome
		released bool
		detail   string
	}{
		"too short":             {"Xq7", nil, rotation.Refused, true, "does not take the new password"},
		"too long for PAM":      {strings.Repeat("a", 600), nil, rotation.Refused, false, "at most"},
		"what ends a line":      {"first\rsecond", nil, rotation.Refused, false, "control characters"},
		"before its time":       {"Entirely-New-7!", []string{"chage", "-m", "7"}, rotation.Unreachable, false, "minimum age"},
		"a shell without paths": {"Entirely-New-7!", []string{"usermod", "-s", "/bin/false"}, rotation.NotSent, false, "did not ask"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account := h.account(t)
			if test.before != nil {
				do(t, test.before[0], append(test.before[1:], account.Username)...)
			}
			report := ssh.New(false).Change(t.Context(), h.at(h.address), account, seal.NewSecret(test.next), released(nil))
			if report.Outcome != test.want || report.Released != test.released || !strings.Contains(report.Detail, test.detail) {
				t.Errorf("%+v", report)
			}
			if report := ssh.New(false).Verify(t.Context(), h.at(h.address), account); report.Outcome != rotation.Accepted {
				t.Errorf("%+v", report)
			}
		})
	}
}

func released(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// What an administrator sets is no way round a lock, and no name is more than a name.
func TestReset(t *testing.T) {
	t.Parallel()
	h := start(t, false)
	admin, account := h.made(t, h.Root), h.account(t)
	do(t, "usermod", "-L", account.Username)
	for name, test := range map[string]struct {
		username, next string
		want           rotation.Outcome
		detail         string
	}{
		"locked":              {account.Username, "Entirely-New-7!", rotation.Disabled, "is locked"},
		"an option":           {"-R", "Entirely-New-7!", rotation.Rejected, "no user name"},
		"two accounts":        {account.Username + ":x\nroot", "Entirely-New-7!", rotation.Rejected, "no user name"},
		"a command":           {"$(reboot)", "Entirely-New-7!", rotation.Rejected, "no user name"},
		"two lines of answer": {account.Username, "first\nroot:second", rotation.Refused, "control characters"},
	} {
		report := ssh.New(false).Reset(t.Context(), h.at(h.address), admin, test.username, seal.NewSecret(test.next), func(context.Context) error {
			t.Errorf("%s: asked to release", name)
			return nil
		})
		if report.Outcome != test.want || !strings.Contains(report.Detail, test.detail) {
			t.Errorf("%s: %+v", name, report)
		}
	}
	do(t, "usermod", "-U", account.Username)
	if report := ssh.New(false).Verify(t.Context(), h.at(h.address), account); report.Outcome != rotation.Accepted {
		t.Errorf("%+v", report)
	}
}

// Everybody who has a password is listed, whoever is not let in with it as disabled, and nobody else.
func TestUsers(t *testing.T) {
	t.Parallel()
	h := start(t, false)
	admin := h.made(t, h.Root)
	changed := map[string][]string{
		"as it is": nil, "password locked": {"usermod", "-L"}, "account expired": {"chage", "-E", "0"}, "expires later": {"chage", "-E", "2999-12-31"},
		"no shell": {"usermod", "-s", "/usr/sbin/nologin"}, "no password": {"usermod", "-p", "*"}, "a password that is none": {"usermod", "-p", "!"},
		"an empty password": {"usermod", "-p", ""}, "a full name": {"usermod", "-c", "Dana Doe,Room 7"},
	}
	names := map[string]string{}
	for what, change := range changed {
		account := h.account(t)
		names[what] = account.Username
		if change != nil {
			do(t, change[0], append(change[1:], account.Username)...)
		}
	}
	told := map[string]rotation.User{}
	// Others of this machine come and go meanwhile, so that ours are looked for.
	report := ssh.New(false).Users(t.Context(), h.at(h.address), admin, func(user rotation.User) error {
		told[user.Username] = user
		return nil
	})
	if report.Outcome != rotation.Applied {
		t.Fatalf("%+v", report)
	}
	for what, want := range map[string]struct{ listed, disabled bool }{
		"as it is": {true, false}, "password locked": {true, true}, "account expired": {true, true}, "expires later": {true, false},
		"no shell": {true, true}, "no password": {false, false}, "a password that is none": {false, false}, "an empty password": {true, false},
		"a full name": {true, false},
	} {
		user, listed := told[names[what]]
		if listed != want.listed || user.Disabled != want.disabled {
			t.Errorf("%s: listed %t, disabled %t", what, listed, user.Disabled)
		}
	}
	if full := told[names["a full name"]].Name; full != "Dana Doe" {
		t.Errorf("its full name is %q", full)
	}
	for name := range told {
		if strings.Contains(name, "$") || name == "daemon" {
			t.Errorf("%q is listed", name)
		}
	}
}

// An account of a machine is rotated by the engine as it is, whatever happens to it there.
func TestEngine(t *testing.T) {
	partstest.Long(t, "PAM, which takes its time to refuse")
	t.Parallel()
	h := start(t, false)
	team := h.account(t)
	target := h.at(h.address)
	connectortest.Engine{
		Connector: ssh.New(false),
		App: accounts.NewApp{
			Name: target.AppName, Domains: target.Domains, SignInURL: target.SignInURL, Connector: "ssh", Settings: target.Settings,
		},
		Account: team, Administrator: h.made(t, h.Root),
		Set: func(t *testing.T, password seal.Secret) {
			machine.Lock()
			defer machine.Unlock()
			change := exec.CommandContext(t.Context(), "chpasswd")
			change.Stdin = strings.NewReader(team.Username + ":" + password.Reveal())
			if output, err := change.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
		},
		Enable: func(t *testing.T, on bool) {
			do(t, "chage", "-E", map[bool]string{true: "-1", false: "0"}[on], team.Username)
		},
	}.Run(t)
}
