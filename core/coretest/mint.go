package coretest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"postern/core/rotation"
	"postern/core/seal"
)

// Mint is an app that makes tokens of its accounts, and its connector.
type Mint struct {
	Password  string             // of the account that signs in
	Says      rotation.Outcome   // to the next sign-in; empty: it looks at the password
	Stillborn bool               // what it makes lets nobody in
	Undead    bool               // what it ends lets in
	Forgets   bool               // it makes the next one and does not tell
	Mute      bool               // whether a token lets in cannot be told
	ID        func(n int) string // of the one made as the nth; nil: id-n

	lock   sync.Mutex
	tokens map[string]rotation.Token // by value
	made   int
}

func report(outcome rotation.Outcome) rotation.Report {
	return rotation.Report{Outcome: outcome, Stage: rotation.StageSubmit, Detail: "The app says so."}
}

// outside is what it says to who is not let in.
func outside(said rotation.Outcome) rotation.Report {
	return rotation.Report{Outcome: said, Stage: rotation.StageSignIn, Detail: "The app says so."}
}

func (m *Mint) enter(by rotation.Credential) (rotation.Outcome, bool) {
	if said := m.Says; said != "" {
		m.Says = ""
		return said, false
	}
	return rotation.AdminRejected, by.Password.Reveal() == m.Password
}

// Verify implements rotation.Connector.
func (m *Mint) Verify(context.Context, rotation.Target, rotation.Credential) rotation.Report {
	return report(rotation.Accepted)
}

// Issue implements rotation.Issuer.
func (m *Mint) Issue(ctx context.Context, _ rotation.Target, by rotation.Credential, username, name string, keep func(ctx context.Context, id string, value seal.Secret) error) rotation.Report {
	m.lock.Lock()
	if said, in := m.enter(by); !in {
		m.lock.Unlock()
		return outside(said)
	}
	m.made++
	id, value := fmt.Sprint("id-", m.made), fmt.Sprint(username, "-token-", m.made)
	if m.ID != nil {
		id = m.ID(m.made)
	}
	if !m.Stillborn {
		if m.tokens == nil {
			m.tokens = map[string]rotation.Token{}
		}
		m.tokens[value] = rotation.Token{ID: id, Name: name}
	}
	forgets := m.Forgets
	m.Forgets = false
	m.lock.Unlock()
	if forgets {
		return report(rotation.Unknown)
	}
	if err := keep(ctx, id, seal.NewSecret(value)); err != nil {
		return report(rotation.Unknown)
	}
	return report(rotation.Applied)
}

// Tokens implements rotation.Issuer.
func (m *Mint) Tokens(_ context.Context, _ rotation.Target, by rotation.Credential, _ string, each func(rotation.Token) error) rotation.Report {
	m.lock.Lock()
	defer m.lock.Unlock()
	if said, in := m.enter(by); !in {
		return outside(said)
	}
	for _, one := range m.tokens {
		if err := each(one); err != nil {
			return report(rotation.Unknown)
		}
	}
	return report(rotation.Applied)
}

// Withdraw implements rotation.Issuer.
func (m *Mint) Withdraw(_ context.Context, _ rotation.Target, by rotation.Credential, _, id string) rotation.Report {
	m.lock.Lock()
	defer m.lock.Unlock()
	if said, in := m.enter(by); !in {
		return outside(said)
	}
	for value, one := range m.tokens {
		if one.ID == id && !m.Undead {
			delete(m.tokens, value)
		}
	}
	return report(rotation.Applied)
}

// TryToken implements rotation.Issuer.
func (m *Mint) TryToken(_ context.Context, _ rotation.Target, _ string, token seal.Secret) rotation.Report {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.Mute {
		return report(rotation.Unreachable)
	}
	if _, there := m.tokens[token.Reveal()]; there {
		return report(rotation.Accepted)
	}
	return report(rotation.Rejected)
}

func (m *Mint) Living() []string {
	m.lock.Lock()
	defer m.lock.Unlock()
	var values []string
	for value := range m.tokens {
		values = append(values, value)
	}
	slices.Sort(values)
	return values
}

// Have gives it a token that somebody else made.
func (m *Mint) Have(value, name string) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.tokens == nil {
		m.tokens = map[string]rotation.Token{}
	}
	m.tokens[value] = rotation.Token{ID: value, Name: name}
}

// Lose has it forget a token.
func (m *Mint) Lose(value string) {
	m.lock.Lock()
	defer m.lock.Unlock()
	delete(m.tokens, value)
}

// Made is how many it made.
func (m *Mint) Made() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.made
}
