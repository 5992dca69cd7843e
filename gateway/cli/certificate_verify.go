package cli

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/connectors/guard"
	"postern/core"
	"postern/core/certificates"
)

// exitOpen is the exit code for a certificate that is genuine and says that something is open.
const exitOpen = 7

// open is the error for it.
type open int

// Error implements error.
func (o open) Error() string {
	return plural(int(o), "password", "passwords") + " may still work"
}

// verifyCertificate believes nothing but the signature.
type verifyCertificate struct {
	File string `arg:"" help:"The certificate: what 'postern certificate show --signed', the API or the console gave; - reads it from the standard input."`
	Keys string `help:"Key set to trust: a file, or the address of the workspace's keys, https://…/jwks/WORKSPACE-ID/all. Without it the key in the certificate is used, and it is up to you to know its fingerprint." placeholder:"FILE|URL"`
	JSON bool   `help:"Print JSON, for scripts."`
}

// Help is shown by 'postern certificate verify --help'.
func (verifyCertificate) Help() string {
	return `Needs no database and, with the keys in a file, no network:

  curl -o keys.json https://postern.example/jwks/WORKSPACE-ID/all
  postern certificate verify leaver.json --keys keys.json

Exit code 0: genuine, and every password is dead. 7: genuine, and something is open. 3: not genuine.`
}

func (v verifyCertificate) Run(ctx context.Context, terminal terminal) error {
	document, err := v.read()
	if err != nil {
		return err
	}
	set, err := v.keys(ctx, document)
	if err != nil {
		return err
	}
	said, key, err := document.Verify(set.Keys)
	if err != nil {
		return err
	}
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return core.Invalid("--keys", "the key cannot be read").Because(err)
	}
	fingerprint := base64.RawURLEncoding.EncodeToString(print)
	remaining := said.Count(certificates.Open)
	err = onDatabase{JSON: v.JSON}.show(terminal, map[string]any{
		"verified": true, "key": key.KeyID, "thumbprint": fingerprint, "trusted_keys": v.Keys != "", "open": remaining, "certificate": said,
	}, func(sheet sheet) {
		sheet.say("Genuine: signed with the key %s, and not changed since.", key.KeyID)
		if v.Keys == "" {
			sheet.say("The key came with the certificate. Compare its SHA-256 thumbprint with the workspace's: %s", fingerprint)
		}
		sheet.say("Certificate %s, issue %d of %s.", said.ID, said.Number, said.Issued.Format(time.RFC3339))
		if said.Supersedes != "" {
			sheet.say("It supersedes the issue with the digest %s.", said.Supersedes)
		}
		describe(sheet, said)
	})
	if err == nil && remaining > 0 {
		err = open(remaining)
	}
	return err
}

func (v verifyCertificate) read() (certificates.Document, error) {
	from := io.Reader(os.Stdin)
	if v.File != "-" {
		file, err := os.Open(v.File)
		if err != nil {
			return certificates.Document{}, core.Invalid("file", "it cannot be read").Because(err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, certificates.MaxSize+1))
	if err != nil {
		return certificates.Document{}, core.Invalid("file", "it cannot be read").Because(err)
	}
	return certificates.Read(text)
}

// keys are those to verify with.
func (v verifyCertificate) keys(ctx context.Context, document certificates.Document) (jose.JSONWebKeySet, error) {
	if v.Keys == "" {
		if document.Keys == nil {
			return jose.JSONWebKeySet{}, core.Invalid("--keys", "the certificate brings no key along: say where the workspace's are")
		}
		return *document.Keys, nil
	}
	text, err := v.fetch(ctx)
	if err != nil {
		return jose.JSONWebKeySet{}, core.Invalid("--keys", "they cannot be read").Because(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return jose.JSONWebKeySet{}, core.Invalid("--keys", "this is no key set").Because(err)
	}
	return set, nil
}

func (v verifyCertificate) fetch(ctx context.Context) ([]byte, error) {
	if !strings.HasPrefix(v.Keys, "https://") && !strings.HasPrefix(v.Keys, "http://") {
		return os.ReadFile(v.Keys)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.Keys, nil)
	if err != nil {
		return nil, err
	}
	// The verifier names the server, which may well be an own one.
	answer, err := guard.Client(guard.Options{AllowPrivate: true, MaxBody: 1 << 20, Timeout: 20 * time.Second}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", answer.Status)
	}
	return io.ReadAll(answer.Body)
}
