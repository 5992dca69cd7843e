package gateway

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"

	"postern/connectors/browser"
	connectorhttp "postern/connectors/http"
	"postern/connectors/ldap"
	"postern/connectors/mysql"
	"postern/connectors/postgresql"
	"postern/connectors/protocol"
	"postern/connectors/ssh"
	"postern/core/rotation"
)

// settings check what an app is set up with, by its connector.
var settings = map[string]func(json.RawMessage) error{
	"browser": readable(browser.ParseSettings), "http": readable(connectorhttp.ParseSettings), "ldap": readable(ldap.ParseSettings), "ssh": readable(ssh.ParseSettings),
	"postgresql": readable(protocol.NoSettings), "mysql": readable(protocol.NoSettings),
}

// kinds are the connectors as what they can do, also where none of them runs. Nothing is done with them.
var kinds = rotation.Connectors{
	"browser": (*browser.Browser)(nil), "http": connectorhttp.New(false), "ldap": ldap.New(false), "ssh": ssh.New(false),
	"postgresql": postgresql.New(false), "mysql": mysql.New(false),
}

// resets reports whether a connector sets passwords as an administrator in an app with these settings.
func resets(connector string, settings json.RawMessage) bool {
	return slices.Contains(rotation.Capabilities(kinds[connector], settings), rotation.CanReset)
}

// disables reports whether a connector disables accounts in an app with these settings.
func disables(connector string, settings json.RawMessage) bool {
	return slices.Contains(rotation.Capabilities(kinds[connector], settings), rotation.CanDisable)
}

// OpenConnectors opens what talks to apps, for a command that looks at them, and the checks of their settings. close ends
// it all.
func OpenConnectors(config Config) (known rotation.Connectors, checks map[string]func(json.RawMessage) error, close func(), err error) {
	config.Roles = []string{RoleWorker}
	g := &Gateway{config: config, log: slog.New(slog.DiscardHandler)}
	close = func() {
		for _, one := range g.plugins {
			_ = one.Close()
		}
		if g.browser != nil {
			_ = g.browser.Close()
		}
	}
	if known, err = g.connectors(); err != nil {
		close()
		return nil, nil, nil, err
	}
	return known, config.settings(), close, nil
}

func readable[T any](parse func(json.RawMessage) (T, error)) func(json.RawMessage) error {
	return func(text json.RawMessage) error {
		_, err := parse(text)
		return err
	}
}

// connectors lists what can talk to apps, by the name an app gives in its connector field.
func (g *Gateway) connectors() (rotation.Connectors, error) {
	if !g.plays(RoleWorker) {
		return maps.Clone(kinds), nil // for who asks what can be done; a worker does it
	}
	made, err := browser.New(browser.Options{Executable: g.config.Browser, AllowPrivate: g.config.AllowPrivate, Log: g.log})
	if err != nil {
		return nil, err
	}
	g.browser = made
	private := g.config.AllowPrivate
	known := rotation.Connectors{
		"browser": made, "postgresql": postgresql.New(private), "mysql": mysql.New(private), "ldap": ldap.New(private), "ssh": ssh.New(private),
		"http": connectorhttp.New(private),
	}
	return known, g.openPlugins(known)
}
