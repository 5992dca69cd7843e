package cli

import (
	"context"

	"postern/core"
	"postern/core/seal"
	"postern/core/vault"
	"postern/gateway"
)

// sealing is part of every command that may be the first to seal something in a workspace.
type sealing struct {
	Key string `help:"Reference to the key that wraps every workspace key: the one 'postern serve' gets. Needed for the first secret of a workspace." env:"POSTERN_KEY" placeholder:"REF"`
}

func (k sealing) vault(s *setup) (*vault.Vault, error) {
	if k.Key == "" {
		return &vault.Vault{DB: s.db, Keys: keyless{}}, nil
	}
	keys, err := gateway.OpenKeys(k.Key)
	if err != nil {
		return nil, flag("--key", err)
	}
	return &vault.Vault{DB: s.db, Keys: keys}, nil
}

// keyless stands for a key that was not given.
type keyless struct{}

func (keyless) refuse() error {
	return core.Conflict("--key", "the workspace has no vault yet, or a secret must be opened: give the key 'postern serve' gets")
}

// Name implements seal.KeyProvider.
func (keyless) Name() string { return "none" }

// Wrap implements seal.KeyProvider.
func (k keyless) Wrap(context.Context, seal.Secret, string) ([]byte, error) { return nil, k.refuse() }

// Unwrap implements seal.KeyProvider.
func (k keyless) Unwrap(context.Context, []byte, string) (seal.Secret, error) {
	return seal.Secret{}, k.refuse()
}
