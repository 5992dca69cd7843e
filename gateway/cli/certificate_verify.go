package cli

import (
	"context"
	"time"

	"postern/core"
	"postern/core/certificates"
)

// verifyCertificate believes nothing but the signature.
type verifyCertificate struct {
	signedFile `embed:""`
}

// Help is shown by 'postern certificate verify --help'.
func (verifyCertificate) Help() string {
	return `Needs no database and, with the keys in a file, no network:

  curl -o keys.json https://postern.example/jwks/WORKSPACE-ID/all
  postern certificate verify leaver.json --keys keys.json

Exit code 0: genuine, and every password is dead. 7: genuine, and something is open. 3: not genuine.`
}

func (v verifyCertificate) Run(ctx context.Context, terminal terminal) error {
	text, err := v.read()
	if err != nil {
		return err
	}
	document, err := certificates.Read(text)
	if err != nil {
		return err
	}
	keys, err := v.trusted(ctx, document.Keys)
	if err != nil {
		return err
	}
	said, key, err := document.Verify(keys)
	if err != nil {
		return err
	}
	remaining := said.Count(certificates.Open)
	err = v.genuine(terminal, "certificate", key, map[string]any{"open": remaining, "certificate": said}, func(sheet sheet) {
		sheet.say("Certificate %s, issue %d of %s.", said.ID, said.Number, said.Issued.Format(time.RFC3339))
		if said.Supersedes != "" {
			sheet.say("It supersedes the issue with the digest %s.", said.Supersedes)
		}
		describe(sheet, said)
	})
	if err == nil && remaining > 0 {
		err = open(core.Count(remaining, "password", "passwords") + " may still work")
	}
	return err
}
