package browser

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	"postern/connectors/hostile"
	"postern/core/rotation"
	"postern/core/seal"
)

// The browser keeps the contract of all connectors, with an app that says what is not so when asked to.
func TestContract(t *testing.T) {
	partstest.Long(t, "browser")
	b, err := New(Options{Timeout: 10 * time.Second})
	partstest.Need(t, "browser", err)
	t.Cleanup(func() { _ = b.Close() })
	if err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	app := &hostile.App{}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	number := 0
	connectortest.App{
		Connector: b, Address: server.Listener.Addr().String(), Disabled: rotation.Disabled,
		At: func(address string) rotation.Target {
			return rotation.Target{
				AppName: "Pier", Domains: []string{"127.0.0.1"}, SignInURL: "http://" + address + "/sign-in", ChangeURL: "http://" + address + "/account/password", AllowPrivate: true,
			}
		},
		Account: func(*testing.T) rotation.Credential {
			number++
			made := rotation.Credential{Username: fmt.Sprintf("shared a %d", number), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
			app.Add(made.Username, made.Password.Reveal())
			return made
		},
		Set:     func(_ *testing.T, account rotation.Credential) { app.Add(account.Username, account.Password.Reveal()) },
		Disable: func(_ *testing.T, account rotation.Credential) { app.Disable(account.Username) },
		Lie: func(t *testing.T, done bool) {
			app.Behave(map[bool]hostile.Behaviour{false: hostile.LiesSuccess, true: hostile.LiesRefusal}[done])
			t.Cleanup(func() { app.Behave(hostile.Obeys) })
		},
	}.Run(t)
}
