package devidp

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"postern/core"
)

// state is what survives a restart.
type state struct {
	Tenant  string         `json:"tenant"` // the tenant id that clients of Entra's style are told
	People  []Person       `json:"people"`
	Teams   []Team         `json:"teams"`
	Clients []storedClient `json:"clients"`
}

func (s state) clone() state {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic("devidp: the state does not encode: " + err.Error())
	}
	var copied state
	if err := json.Unmarshal(encoded, &copied); err != nil {
		panic("devidp: the state does not decode: " + err.Error())
	}
	return copied
}

const (
	stateFile = "people.json"
	keyFile   = "signing-key.pem"
)

func loadState(folder string) (state, error) {
	text, err := os.ReadFile(filepath.Join(folder, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		fresh := state{Tenant: uuid.NewString()}
		fresh.People, fresh.Teams = firstPeople()
		return fresh, fresh.save(folder)
	}
	if err != nil {
		return state{}, core.Internal(err)
	}
	var loaded state
	if err := json.Unmarshal(text, &loaded); err != nil {
		return state{}, core.Invalid("folder", "%s cannot be read; delete it to begin anew", filepath.Join(folder, stateFile)).Because(err)
	}
	return loaded, nil
}

func (s state) save(folder string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return core.Internal(err)
	}
	return writeFile(filepath.Join(folder, stateFile), text)
}

// writeFile replaces a file at once, so that a process killed halfway leaves the old one.
func writeFile(path string, text []byte) error {
	half := path + ".half"
	if err := os.WriteFile(half, text, 0o600); err != nil {
		return core.Internal(err)
	}
	if err := os.Rename(half, path); err != nil {
		return core.Internal(err)
	}
	return nil
}

// loadKey reads the signing key of a folder, or makes it.
func loadKey(folder string) (*rsa.PrivateKey, error) {
	path := filepath.Join(folder, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, core.Internal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, core.Invalid("folder", "%s holds no key; delete it to make a new one", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, core.Invalid("folder", "%s cannot be read; delete it to make a new one", path).Because(err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, core.Invalid("folder", "%s is not an RSA key; delete it to make a new one", path)
	}
	return key, nil
}

func makeKey(path string) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, core.Internal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, core.Internal(err)
	}
	return key, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// change edits the state and keeps it; an error leaves everything as it was.
func (s *Server) change(edit func(*state) error) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	edited := s.state.clone()
	if err := edit(&edited); err != nil {
		return err
	}
	if err := edited.save(s.options.Folder); err != nil {
		return err
	}
	s.state = edited
	return nil
}
