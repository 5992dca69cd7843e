package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"postern/core"
	"postern/core/seal"
)

// Folder is the one folder a development stack lives in.
type Folder struct {
	Path string

	lock  *os.File
	ports map[string]int
}

// OpenFolder makes the folder if it is absent and takes it for this process; Conflict when another
// stack runs in it.
func OpenFolder(path string) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// 0711: PostgreSQL runs as another user when we are root, and must be able to pass through.
	if err := os.MkdirAll(path, 0o711); err != nil {
		return nil, core.Invalid("data", "the folder %s cannot be made", path).Because(err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, core.Invalid("data", "the folder %s cannot be written", path).Because(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, core.Conflict("data", "another 'postern dev' runs in %s; stop it or give another --data", path)
	}
	folder := &Folder{Path: path, lock: lock, ports: map[string]int{}}
	if err := folder.openWay(); err != nil {
		lock.Close()
		return nil, err
	}
	text, err := os.ReadFile(folder.In("ports.json"))
	if err == nil {
		err = json.Unmarshal(text, &folder.ports)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		lock.Close()
		return nil, core.Invalid("data", "%s cannot be read", folder.In("ports.json")).Because(err)
	}
	return folder, nil
}

// openWay lets others pass through our own folder when root gave it to root alone, as mktemp does.
func (f *Folder) openWay() error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	return os.Chmod(f.Path, info.Mode().Perm()|0o011)
}

// Close gives the folder free.
func (f *Folder) Close() error { return f.lock.Close() }

// In is the path of a file or folder inside.
func (f *Folder) In(elements ...string) string {
	return filepath.Join(append([]string{f.Path}, elements...)...)
}

// Secret returns the secret kept under a name, making it at the first call.
func (f *Folder) Secret(name string, generate func() (seal.Secret, error)) (seal.Secret, error) {
	path := f.In("secrets", name)
	text, err := os.ReadFile(path)
	if err == nil {
		return seal.NewSecret(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return seal.Secret{}, err
	}
	secret, err := generate()
	if err != nil {
		return seal.Secret{}, err
	}
	return secret, f.Write(filepath.Join("secrets", name), []byte(secret.Reveal()))
}

// Write puts a file in place whole, readable by its owner alone.
func (f *Folder) Write(name string, text []byte) error {
	path := f.In(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Port returns the port of a name: the one asked for, else the one it had before, else a free one.
// Addresses must outlive a restart, because the IdP's issuer and the app's domain are stored.
func (f *Folder) Port(name string, asked int) (int, error) {
	port := asked
	if port == 0 {
		port = f.ports[name]
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, core.Conflict(name, "port %d on 127.0.0.1 is taken; stop what uses it, or give --%s-port", port, name).Because(err)
	}
	defer listener.Close()
	port = listener.Addr().(*net.TCPAddr).Port
	if f.ports[name] == port {
		return port, nil
	}
	f.ports[name] = port
	text, err := json.MarshalIndent(f.ports, "", "  ")
	if err != nil {
		return 0, err
	}
	return port, f.Write("ports.json", text)
}
