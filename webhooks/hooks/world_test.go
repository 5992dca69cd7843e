package hooks_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
)

// world is a gateway with two workspaces, each with one connection and two people.
type world struct {
	*coretest.Core
	service *hooks.Service
	gateway *httptest.Server
	ahead   atomic.Int64

	acme, globex house
}

type house struct {
	workspace  directory.Workspace
	connection directory.Connection
	ana, ben   directory.User
	sessions   map[core.ID]seal.Secret
}

const issuer = "https://idp.example.com"

func newWorld(t testing.TB) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	w := &world{}
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	engine := gin.New()
	w.gateway = httptest.NewServer(engine)
	t.Cleanup(w.gateway.Close)
	w.Core = coretest.Open(t, now)
	w.Signals.PublicURL = w.gateway.URL
	w.service = &hooks.Service{
		DB: w.DB, Directory: w.Directory, Signals: w.Signals, Vault: w.Vault, Keys: &keys.Cache{HTTP: http.DefaultClient}, HTTP: http.DefaultClient, PublicURL: w.gateway.URL, Now: now,
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret("by-reference"), nil },
	}
	w.service.Mount(engine)
	w.acme, w.globex = w.house(t, "acme"), w.house(t, "globex")
	return w
}

func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	h := house{sessions: map[core.ID]seal.Secret{}}
	h.workspace, h.connection = w.Workspace(t, slug, directory.NewConnection{Name: "IdP", Kind: directory.Generic, Issuer: issuer, Provisioning: directory.Provisioning{GuardFloor: -1}})
	h.ana, h.ben = w.person(t, h, "ana"), w.person(t, h, "ben")
	return h
}

// person is somebody who is signed in.
func (w *world) person(t testing.TB, h house, name string) directory.User {
	t.Helper()
	user := w.Person(t, h.connection, directory.User{UserName: name + "@example.com", Email: name + "@example.com", ExternalID: "00u-" + name, DisplayName: name})
	h.sessions[user.ID] = w.SignIn(t, user)
	return user
}

func (w *world) signedIn(t testing.TB, h house, user directory.User) bool {
	t.Helper()
	return w.SignedIn(t, h.sessions[user.ID])
}

func cause() core.Cause { return core.NewCause(core.System, time.Now()) }

func (w *world) create(t testing.TB, h house, wanted hooks.NewHook) hooks.Made {
	t.Helper()
	wanted.Connection = h.connection.ID
	if wanted.Name == "" {
		wanted.Name = "hook"
	}
	made, err := w.service.Create(t.Context(), cause(), h.workspace.ID, wanted)
	must(t, err)
	return made
}

func (w *world) hook(t testing.TB, h house, id core.ID) hooks.Hook {
	t.Helper()
	found, err := w.service.Hook(t.Context(), w.DB, h.workspace.ID, id)
	must(t, err)
	return found
}

// post sends a message and returns the status.
func (w *world) post(t testing.TB, address, body string, header map[string]string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	must(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
