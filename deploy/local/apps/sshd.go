package apps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"postern/core"
	"postern/deploy/local/process"
)

// SSHD is an SSH server of its own, on loopback, that lets in the accounts it makes and no others of the machine.
type SSHD struct {
	Port    int
	HostKey string // its fingerprint
	made    atomic.Int64
	process *process.Process
}

// accounts is how the accounts begin that an SSHD makes; the process's number follows.
const accounts = "postern-test-"

const sshdSettings = `ListenAddress 127.0.0.1:%d
HostKey %s
PidFile none
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication %s
PubkeyAuthentication no
PermitRootLogin yes
PrintMotd no
MaxStartups 100
AllowUsers ` + accounts + `*
`

// StartSSHD runs Debian's sshd with PAM, its files in folder, on a free port. asking has it ask for passwords in a
// dialogue (keyboard-interactive) instead of taking them. Only root's signs others in: anybody else has none (NotFound).
func StartSSHD(ctx context.Context, folder string, asking bool) (*SSHD, error) {
	if os.Geteuid() != 0 {
		return nil, core.NotFound("sshd that signs others in; only root's does, so run this as root")
	}
	server, err := need(part{"sshd", "openssh-server"})
	if err != nil {
		return nil, err
	}
	if err := sweepAccounts(ctx); err != nil {
		return nil, err
	}
	key, settings := filepath.Join(folder, "key"), filepath.Join(folder, "sshd_config")
	if err := run(exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), ""); err != nil {
		return nil, err
	}
	shown, err := exec.CommandContext(ctx, "ssh-keygen", "-l", "-f", key).Output()
	if err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(sshdSettings, port, key, map[bool]string{true: "yes\nPasswordAuthentication no", false: "no"}[asking])
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it locks itself up
		return nil, err
	}
	arguments := []string{"-D", "-e", "-f", settings}
	// Newer ones keep a source of wrong passwords waiting; older ones do not know the word.
	if patient := []string{"-o", "PerSourcePenalties=no"}; exec.CommandContext(ctx, server, append([]string{"-t", "-f", settings}, patient...)...).Run() == nil {
		arguments = append(arguments, patient...)
	}
	started, err := process.Start(process.Program{Path: server, Folder: folder, Arguments: arguments})
	if err != nil {
		return nil, err
	}
	s := &SSHD{Port: port, HostKey: strings.Fields(string(shown))[1], process: started}
	if err := started.Ready(ctx, "sshd", time.Minute, process.Listens(port)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Account makes an account of the machine, without a home. Remove it.
func (s *SSHD) Account(ctx context.Context, password string) (name string, err error) {
	return s.account(ctx, password)
}

// Root is Account of another name for root.
func (s *SSHD) Root(ctx context.Context, password string) (name string, err error) {
	return s.account(ctx, password, "--non-unique", "--uid", "0")
}

func (s *SSHD) account(ctx context.Context, password string, more ...string) (name string, err error) {
	name = fmt.Sprintf("%s%d-%d-%d", accounts, os.Getpid(), s.Port, s.made.Add(1))
	arguments := append([]string{"--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", "--no-log-init"}, more...)
	if err := run(exec.CommandContext(ctx, "useradd", append(arguments, name)...), ""); err != nil {
		return "", err
	}
	return name, run(exec.CommandContext(ctx, "chpasswd"), name+":"+password+"\n")
}

// Remove removes an account.
func (s *SSHD) Remove(name string) error { return run(exec.Command("userdel", "--force", name), "") }

// Stop ends it.
func (s *SSHD) Stop() error { return s.process.End(syscall.SIGTERM, 20*time.Second) }

// sweepAccounts removes what processes left behind that were killed.
func sweepAccounts(ctx context.Context) error {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ":")
		of, ours := strings.CutPrefix(name, accounts)
		if !ours {
			continue
		}
		maker, _, _ := strings.Cut(of, "-")
		if _, err := os.Stat("/proc/" + maker); os.IsNotExist(err) {
			err = run(exec.CommandContext(ctx, "userdel", "--force", name), "")
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Output is the end of what it has logged.
func (s *SSHD) Output() string { return s.process.Output() }
