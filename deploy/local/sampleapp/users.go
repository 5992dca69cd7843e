package sampleapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// cost keeps a sign-in near the price of a real one without slowing the tests down.
const cost = 8

type user struct {
	Hash        string    `json:"hash"`
	Disabled    bool      `json:"disabled,omitempty"`
	Failures    int       `json:"failures,omitempty"`
	LastFailure time.Time `json:"last_failure,omitzero"`
}

type verdict int

const (
	welcome verdict = iota
	unknownUser
	wrongPassword
	lockedOut
	disabled
)

func (a *App) load(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	a.file, a.users = filepath.Join(folder, "users.json"), map[string]*user{}
	content, err := os.ReadFile(a.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, &a.users); err != nil {
		return fmt.Errorf("%s cannot be read: %w", a.file, err)
	}
	return nil
}

// save writes the users beside the old file and moves them over it, so that a crash leaves one whole
// file. The mutex is held.
func (a *App) save() error {
	content, err := json.MarshalIndent(a.users, "", "  ")
	if err != nil {
		return err
	}
	half := a.file + ".new"
	file, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(half, a.file)
}

// check signs a user in, and counts what fails.
func (a *App) check(username, password string) verdict {
	a.mutex.Lock()
	account, now := a.users[username], a.Now()
	if account == nil {
		a.mutex.Unlock()
		return unknownUser
	}
	if account.Disabled {
		a.mutex.Unlock()
		return disabled
	}
	if a.locked(account, now) {
		a.mutex.Unlock()
		return lockedOut
	}
	hash := account.Hash
	a.mutex.Unlock()
	// bcrypt is slow on purpose, so it runs outside the lock.
	right := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if right {
		if account.Failures > 0 {
			account.Failures = 0
			_ = a.save()
		}
		return welcome
	}
	account.Failures++
	account.LastFailure = now
	_ = a.save()
	return wrongPassword
}

// SetPassword makes or changes a user from within, as an administrator of the app would. The user's
// sessions end.
func (a *App) SetPassword(username, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.users[username] = &user{Hash: string(hash)}
	a.endSessions(username)
	return a.save()
}

// Has reports whether there is such a user, so that a second start leaves the first one's alone.
func (a *App) Has(username string) bool {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.users[username] != nil
}

// Disable turns an account off natively, or on again.
func (a *App) Disable(username string, off bool) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	account := a.users[username]
	if account == nil {
		return fmt.Errorf("there is no user %q", username)
	}
	account.Disabled, account.Failures = off, 0
	a.endSessions(username)
	return a.save()
}

// Works reports whether a password is the user's, without counting as a sign-in.
func (a *App) Works(username, password string) bool {
	a.mutex.Lock()
	account := a.users[username]
	hash := ""
	if account != nil {
		hash = account.Hash
	}
	a.mutex.Unlock()
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}
