package gateway

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"strings"

	"postern/connectors/plugin"
	"postern/connectors/protocol"
	"postern/core"
	"postern/core/rotation"
)

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// parsePlugin reads one of Config.Plugins: NAME=sha256:CHECKSUM:PATH. What is none is Invalid.
func parsePlugin(text string) (plugin.Options, error) {
	name, rest, _ := strings.Cut(text, "=")
	sum, path, found := strings.Cut(strings.TrimPrefix(rest, "sha256:"), ":")
	checksum, err := hex.DecodeString(sum)
	_, taken := settings[name]
	switch {
	case !strings.HasPrefix(rest, "sha256:") || !found || err != nil || len(checksum) != 32 || !filepath.IsAbs(path):
		return plugin.Options{}, core.Invalid("plugins", "%q: write NAME=sha256:CHECKSUM:/PATH, with what sha256sum prints", text)
	case !pluginName.MatchString(name):
		return plugin.Options{}, core.Invalid("plugins", "%q: a name is lower-case letters, digits, - and _", name)
	case taken:
		return plugin.Options{}, core.Invalid("plugins", "%q is the name of a connector that comes with Postern", name)
	}
	return plugin.Options{Name: name, Path: path, SHA256: checksum}, nil
}

// settings check what an app is set up with, by its connector. A program's own settings are an object it checks itself.
func (c Config) settings() map[string]func(json.RawMessage) error {
	known := maps.Clone(settings)
	for _, text := range c.Plugins {
		if given, err := parsePlugin(text); err == nil {
			known[given.Name] = func(text json.RawMessage) error {
				_, err := protocol.Settings[map[string]any](text, "a JSON object")
				return err
			}
		}
	}
	return known
}

// openPlugins starts the programs that are connectors.
func (g *Gateway) openPlugins(into rotation.Connectors) error {
	for _, text := range g.config.Plugins {
		options, err := parsePlugin(text)
		if err != nil {
			return err
		}
		options.Log, options.Now = g.log, g.now
		opened, err := plugin.Open(context.Background(), options)
		if err != nil {
			return err
		}
		into[options.Name] = opened
		g.plugins = append(g.plugins, opened)
	}
	return nil
}

type closer interface{ Close() error }
