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
	"postern/core/statements"
)

// exitOpen is the exit code for something signed that is genuine and says that something is open.
const exitOpen = 7

// open is the error for it: what is open.
type open string

// Error implements error.
func (o open) Error() string { return string(o) }

// signedFile is part of every command that verifies what a workspace has signed. Nothing but the signature is
// believed.
type signedFile struct {
	File string `arg:"" help:"What 'show --signed', the API or the console gave; - reads it from the standard input."`
	Keys string `help:"Key set to trust: a file, or the address of the workspace's keys, https://…/jwks/WORKSPACE-ID/all. Without it the key in the file is used, and it is up to you to know its fingerprint." placeholder:"FILE|URL"`
	JSON bool   `help:"Print JSON, for scripts."`
}

func (f signedFile) read() ([]byte, error) {
	from := io.Reader(os.Stdin)
	if f.File != "-" {
		file, err := os.Open(f.File)
		if err != nil {
			return nil, core.Invalid("file", "it cannot be read").Because(err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, statements.MaxSize+1))
	if err != nil {
		return nil, core.Invalid("file", "it cannot be read").Because(err)
	}
	return text, nil
}

// trusted are the keys to verify with.
func (f signedFile) trusted(ctx context.Context, brought *jose.JSONWebKeySet) ([]jose.JSONWebKey, error) {
	if f.Keys == "" {
		if brought == nil {
			return nil, core.Invalid("--keys", "the file brings no key along: say where the workspace's are")
		}
		return brought.Keys, nil
	}
	text, err := f.fetch(ctx)
	if err != nil {
		return nil, core.Invalid("--keys", "they cannot be read").Because(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, core.Invalid("--keys", "this is no key set").Because(err)
	}
	return set.Keys, nil
}

func (f signedFile) fetch(ctx context.Context) ([]byte, error) {
	if !strings.HasPrefix(f.Keys, "https://") && !strings.HasPrefix(f.Keys, "http://") {
		return os.ReadFile(f.Keys)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Keys, nil)
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

// genuine tells that a key has signed a file; noun is what the file is.
func (f signedFile) genuine(terminal terminal, noun string, key jose.JSONWebKey, value map[string]any, text func(sheet sheet)) error {
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return core.Invalid("--keys", "the key cannot be read").Because(err)
	}
	value["verified"], value["key"], value["trusted_keys"] = true, key.KeyID, f.Keys != ""
	value["thumbprint"] = base64.RawURLEncoding.EncodeToString(print)
	return onDatabase{JSON: f.JSON}.show(terminal, value, func(sheet sheet) {
		sheet.say("Genuine: signed with the key %s, and not changed since.", key.KeyID)
		if f.Keys == "" {
			sheet.say("The key came with the %s. Compare its SHA-256 thumbprint with the workspace's: %s", noun, value["thumbprint"])
		}
		text(sheet)
	})
}
