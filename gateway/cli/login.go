package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"postern/core"
	"postern/core/seal"
)

// login keeps a gateway's address and a token for it.
type login struct {
	Address   string `arg:"" name:"url" help:"Address of the gateway."`
	TokenFile string `help:"File that holds a service account's token; - is standard input." default:"-" env:"POSTERN_TOKEN_FILE" placeholder:"PATH"`
	Name      string `help:"What to call it; its host when left out." placeholder:"NAME"`
}

// Help is shown by 'postern login --help'.
func (login) Help() string {
	return `Keeps the gateway's address and the token in a file that only you can read, so that other commands need neither. The token is tried first.

  postern token create --workspace acme --name dana-cli --scopes accounts:read,activity:read --days 30     on the gateway's machine
  postern login https://postern.example.com < token
  postern account list

Logging in once more under another --name keeps both; the last one is used unless --context names another. A token is better short-lived: give it --days.`
}

// Run tries the token and keeps it.
func (l login) Run(ctx context.Context, terminal terminal) error {
	token, err := readToken(l.TokenFile)
	if err != nil {
		return err
	}
	client, err := newClient(l.Address, token)
	if err != nil {
		return err
	}
	// Any answer but "unknown" says that the token is alive, whatever its scopes.
	if _, err := client.ask(ctx, http.MethodGet, "/accounts", url.Values{"limit": {"1"}}, nil); err != nil && core.AsError(err).Code != "missing_scope" {
		return err
	}
	name := l.Name
	if name == "" {
		name = client.base.Host
	}
	err = changeContexts(func(kept *contexts) error {
		kept.All = slices.DeleteFunc(kept.All, func(one gatewayContext) bool { return one.Name == name })
		kept.All = append(kept.All, gatewayContext{Name: name, URL: client.base.String(), Token: token.Reveal()})
		kept.Current = name
		return nil
	})
	if err != nil {
		return err
	}
	sheet{terminal.out}.say("Logged in to %s as the context %s.", client.base, name)
	return nil
}

// logout forgets a gateway.
type logout struct {
	Name string `arg:"" optional:"" help:"Which context; the current one when left out."`
}

// Run forgets the token. It stays alive at the gateway.
func (l logout) Run(terminal terminal) error {
	forgotten := ""
	err := changeContexts(func(kept *contexts) error {
		one, err := kept.find(l.Name)
		if err != nil {
			return err
		}
		if one.Name == "" {
			return &core.Error{Kind: core.KindNotFound, Message: "you are not logged in"}
		}
		forgotten = one.Name
		kept.All = slices.DeleteFunc(kept.All, func(other gatewayContext) bool { return other.Name == one.Name })
		if kept.Current == one.Name {
			kept.Current = ""
		}
		return nil
	})
	if err != nil {
		return err
	}
	sheet{terminal.out}.say("Forgot %s. Its token is alive until it expires or is revoked: postern token revoke.", forgotten)
	return nil
}

// gatewayContext is one gateway somebody logged in to.
type gatewayContext struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Token string `json:"token"`
}

func (c gatewayContext) secret() seal.Secret { return seal.NewSecret(c.Token) }

// contexts is what is in the file.
type contexts struct {
	Current string           `json:"current"`
	All     []gatewayContext `json:"contexts"`
}

// find gives a context by its name, or the current one; empty if there is none.
func (c *contexts) find(name string) (gatewayContext, error) {
	wanted := name
	if wanted == "" {
		wanted = c.Current
	}
	var names []string
	for _, one := range c.All {
		if one.Name == wanted {
			return one, nil
		}
		names = append(names, one.Name)
	}
	if name == "" {
		return gatewayContext{}, nil
	}
	return gatewayContext{}, missing("context", name, names, "postern login")
}

// contextFile is where they are kept.
func contextFile() (string, error) {
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", core.Invalid("", "there is no place to keep a token: set HOME or XDG_CONFIG_HOME").Because(err)
	}
	return filepath.Join(folder, "postern", "contexts.json"), nil
}

// readContext reads one of what was kept.
func readContext(name string) (gatewayContext, error) {
	path, err := contextFile()
	if err != nil && name == "" {
		return gatewayContext{}, nil
	}
	if err != nil {
		return gatewayContext{}, err
	}
	kept, err := readContexts(path)
	if err != nil {
		return gatewayContext{}, err
	}
	return kept.find(name)
}

// readContexts refuses a file that others can read: what is in it is no secret any more.
func readContexts(path string) (contexts, error) {
	var kept contexts
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return kept, core.Invalid("", "%s cannot be read", path).Because(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return kept, core.Denied("%s holds tokens and others can read it: revoke them, then 'chmod 600' it or remove it", path)
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		return kept, core.Invalid("", "%s cannot be understood; remove it and log in again", path)
	}
	return kept, nil
}

func changeContexts(change func(*contexts) error) error {
	path, err := contextFile()
	if err != nil {
		return err
	}
	kept, err := readContexts(path)
	if err != nil {
		return err
	}
	if err := change(&kept); err != nil {
		return err
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return core.Internal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return core.Invalid("", "%s cannot be written", path).Because(err)
	}
	return writeWhole("", path, func(file io.Writer) error {
		_, err := file.Write(append(text, '\n'))
		return err
	})
}
