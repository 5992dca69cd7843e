package cli

import (
	"context"
	"time"

	"postern/core"
	"postern/core/signing"
	"postern/core/vault"
	"postern/gateway"
)

type signingKeyCommands struct {
	List   listSigningKeys  `cmd:"" help:"List the keys a workspace signs with."`
	Rotate rotateSigningKey `cmd:"" help:"Make the next key."`
}

// signingKeyRow is a key in a list.
type signingKeyRow struct {
	ID         core.ID       `json:"id"`
	Stage      signing.Stage `json:"stage"`
	Algorithm  string        `json:"algorithm"`
	Created    time.Time     `json:"created"`
	SignsFrom  time.Time     `json:"signs_from"`
	Retires    *time.Time    `json:"retires,omitempty"`
	Thumbprint string        `json:"thumbprint"`
}

// showKeys prints the keys of a workspace.
func (i inWorkspace) showKeys(ctx context.Context, terminal terminal, s *setup, keys *signing.Signing) error {
	found, err := keys.List(ctx, s.workspace.ID)
	if err != nil {
		return err
	}
	rows := make([]signingKeyRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, signingKeyRow{one.ID, one.Stage, one.Algorithm, one.Created, one.Activates, one.Retires, one.Thumbprint})
	}
	return i.show(terminal, map[string]any{"signing_keys": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("There is no key yet: the first use makes it.")
			return
		}
		sheet.say("%-36s  %-8s  %-18s  %s", "KEY", "STAGE", "SIGNS FROM (UTC)", "PUBLISHED UNTIL")
		for _, one := range rows {
			until := "the next one has signed for a week"
			if one.Retires != nil {
				until = minute(*one.Retires)
			}
			sheet.say("%s  %-8s  %-18s  %s", one.ID, one.Stage, minute(one.SignsFrom), until)
		}
	})
}

// listSigningKeys shows the keys of a workspace.
type listSigningKeys struct {
	inWorkspace `embed:""`
}

func (l listSigningKeys) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return l.showKeys(ctx, terminal, s, &signing.Signing{DB: s.db})
}

// rotateSigningKey makes the next key of a workspace.
type rotateSigningKey struct {
	inWorkspace `embed:""`
	Key         string `help:"Reference to the key that wraps every workspace key, as 'postern serve' has it." env:"POSTERN_KEY" required:"" placeholder:"REF"`
	Now         bool   `help:"Let the new key, or the one that waits, sign at once."`
}

// Help is shown by 'postern signing-key rotate --help'.
func (rotateSigningKey) Help() string {
	return `Postern signs client assertions (private_key_jwt), security events and logout tokens with the workspace's own key. The new key is published at /jwks/WORKSPACE-ID at once and signs in a day, when everybody has fetched it; the one before stays published for a week longer.

With --now it signs at once: for a key that leaked. Whoever fetched the keys lately may refuse what it signs until they fetch them again.

Entra ID fetches no keys: upload the new certificate before the key signs ('postern connection certificate').`
}

func (r rotateSigningKey) Run(ctx context.Context, terminal terminal) error {
	wrapping, err := gateway.OpenKeys(r.Key)
	if err != nil {
		return flag("--key", err)
	}
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	keys := &signing.Signing{DB: s.db, Vault: &vault.Vault{DB: s.db, Keys: wrapping}}
	rotate := keys.Rotate
	if r.Now {
		rotate = keys.RotateNow
	}
	if err := rotate(ctx, s.cause, s.workspace.ID); err != nil {
		return err
	}
	return r.showKeys(ctx, terminal, s, keys)
}
