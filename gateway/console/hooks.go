package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/webhooks/hooks"
)

// hookLine is one sender's way in, and how it goes.
type hookLine struct {
	hooks.Hook
	Word    string // for its kind
	Through string // the connection's name
	State   badge
}

// hookPage is one of them.
type hookPage struct {
	hookLine
	Fields   []field
	Settings string // mapping and scheme, as JSON
	Rotates  bool   // there is a secret to rotate
	Fills    bool   // its sender can be asked again
	Overlap  bool   // two secrets are good
	Sample   string
	Readings []hooks.Reading // of the sample
	Confirm  string
	Problem  string
}

// hookKind is a way of calling a hook, as a person chooses it.
type hookKind struct {
	Kind hooks.Kind
	Word string
	What string
}

var hookKinds = []hookKind{
	{hooks.Okta, "Okta Event Hooks", "Okta calls within seconds: deactivated, sessions cleared, password changed, suspicious activity. With a token Postern also reads the System Log for what was missed."},
	{hooks.Graph, "Microsoft Graph", "Entra ID tells of each user that changes. Postern makes the subscription itself and renews it; it needs an app registration with User.Read.All."},
	{hooks.Standard, "Standard Webhooks", "Any sender that signs by Standard Webhooks 1.0 (whsec_ or whpk_). You say which types mean what."},
	{hooks.Signed, "Another sender that signs", "WorkOS, Ory Polis, GitHub, Clerk, or anything that signs with an HMAC or sends a JWT. You say how it signs and which types mean what."},
}

func hookKindOf(kind hooks.Kind) hookKind {
	at := slices.IndexFunc(hookKinds, func(one hookKind) bool { return one.Kind == kind })
	if at < 0 {
		return hookKind{Kind: kind, Word: string(kind)}
	}
	return hookKinds[at]
}

// hookExamples are settings to begin with.
var hookExamples = map[hooks.Kind]string{
	hooks.Standard: `{
  "mapping": {
    "kinds": {"user.disabled": "account_disabled", "session.revoked": "session_revoked", "*": "other"},
    "subjects": [{"format": "email", "pointer": "/data/email"}],
    "occurred": "/timestamp"
  }
}`,
	hooks.Signed: `{
  "scheme": {"preset": "workos"},
  "mapping": {
    "type": "/event",
    "kinds": {"dsync.user.deleted": "account_purged", "*": "other"},
    "subjects": [{"format": "email", "pointer": "/data/email"}]
  }
}`,
}

func hookState(one hooks.Hook) badge {
	switch {
	case one.LastErrorAt != nil && (one.LastHeard == nil || one.LastErrorAt.After(*one.LastHeard)):
		return badge{Word: "Failing", Tone: "bad", Hint: "What came last was not taken"}
	case one.LastHeard != nil:
		return badge{Word: "Heard", Tone: "good", Hint: "Messages come and are understood"}
	case one.Verified != nil:
		return badge{Word: "Verified", Tone: "good", Hint: "The sender reaches Postern; nothing has happened yet"}
	}
	return badge{Word: "Never heard", Tone: "calm", Hint: "The sender has not called yet"}
}

// mountHooks adds the pages about what senders call.
func (s *Service) mountHooks(inside *gin.RouterGroup) {
	inside.GET("/hooks", s.listHooks)
	inside.GET("/hooks/new", s.newHook)
	inside.POST("/hooks", s.forAdministrators("/hooks/new", "kind", "connection", "name", "address", "client_id", "tenant", "settings"), s.createHook)
	inside.GET("/hooks/:id", s.showHook)
	proven := s.forAdministrators("/hooks/:id")
	inside.POST("/hooks/:id/change", proven, s.aboutHook(s.changeHook))
	inside.POST("/hooks/:id/secret", proven, s.aboutHook(s.rotateHook))
	inside.POST("/hooks/:id/backfill", proven, s.aboutHook(s.fillHook))
	inside.POST("/hooks/:id/sample", proven, s.testHook)
	inside.POST("/hooks/:id/delete", proven, s.deleteHook)
}

// listHooks shows administrators what identity providers and others call.
func (s *Service) listHooks(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	names, err := s.connectionNames(ctx, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	found, err := s.Hooks.Hooks(ctx, s.DB, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	var lines []hookLine
	for _, one := range found {
		lines = append(lines, hookLine{one, hookKindOf(one.Kind).Word, names[one.Connection], hookState(one)})
	}
	s.show(c, http.StatusOK, "hooks", "Hooks", "connections", lines)
}

func (s *Service) connectionNames(ctx context.Context, workspace core.ID) (map[core.ID]string, error) {
	connections, err := s.Directory.Connections(ctx, s.DB, workspace)
	names := map[core.ID]string{}
	for _, one := range connections {
		names[one.ID] = one.Name
	}
	return names, err
}

// newHook shows the kinds there are, or the form of one.
func (s *Service) newHook(c *gin.Context) { s.askForHook(c, http.StatusOK, "") }

func (s *Service) askForHook(c *gin.Context, status int, refusal string) {
	if !s.administrator(c) {
		return
	}
	connections, err := s.Directory.Connections(c.Request.Context(), s.DB, s.reader(c).workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	kind := hooks.Kind(c.Query("kind"))
	if said := c.Request.PostForm.Get("kind"); said != "" {
		kind = hooks.Kind(said)
	}
	if !slices.ContainsFunc(hookKinds, func(one hookKind) bool { return one.Kind == kind }) {
		kind = ""
	}
	s.show(c, status, "hook-new", "New hook", "connections", struct {
		form
		Chosen      hookKind
		Kinds       []hookKind
		Connections []directory.Connection
		Example     string
	}{form{c.Request.PostForm, refusal}, hookKindOf(kind), hookKinds, connections, hookExamples[kind]})
}

// createHook makes a way in, and shows its secret this once.
func (s *Service) createHook(c *gin.Context) {
	s.command(c, "", s.askForHook, func(ctx context.Context, by reader, _ core.ID) (*made, error) {
		wanted := hooks.NewHook{
			Kind: hooks.Kind(c.PostForm("kind")), Name: strings.TrimSpace(c.PostForm("name")),
			Secret: seal.NewSecret(strings.TrimSpace(c.PostForm("secret"))), AccessSecret: seal.NewSecret(strings.TrimSpace(c.PostForm("access_secret"))),
		}
		var err error
		if wanted.Connection, err = core.ParseID(c.PostForm("connection")); err != nil {
			return nil, core.Invalid("connection", "choose a connection")
		}
		if wanted.Settings, err = hookSettings(c.PostForm("settings")); err != nil {
			return nil, err
		}
		wanted.Settings.Access = hooks.Access{
			Address: strings.TrimSpace(c.PostForm("address")), ClientID: strings.TrimSpace(c.PostForm("client_id")), Tenant: strings.TrimSpace(c.PostForm("tenant")),
		}
		one, err := s.Hooks.Create(ctx, s.cause(c), by.workspace(), wanted)
		if err != nil {
			return nil, err
		}
		return s.hookMade(one, "is there"), nil
	})
}

// hookSettings reads mapping and scheme. How Postern gets in at the sender's API is no part of them.
func hookSettings(text string) (hooks.Settings, error) {
	var said struct {
		Mapping *hooks.Mapping `json:"mapping"`
		Scheme  *hooks.Scheme  `json:"scheme"`
	}
	if strings.TrimSpace(text) == "" {
		return hooks.Settings{}, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		return hooks.Settings{}, core.Invalid("settings", "this is not the JSON of mapping and scheme: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return hooks.Settings{Mapping: said.Mapping, Scheme: said.Scheme}, nil
}

func hookAt(id core.ID) string { return "/hooks/" + id.String() }

// hookFields are what to paste at the sender.
func (s *Service) hookFields(one hooks.Hook) []field {
	if one.Kind == hooks.Graph {
		return nil // Postern makes the subscription itself
	}
	fields := []field{{"URL", s.Hooks.URL(one), ""}}
	if one.Kind == hooks.Okta {
		fields = append(fields, field{"Authentication field", "Authorization", ""}, field{"Subscribe to events", strings.Join(hooks.OktaTypes(), ", "), "or as many of them as matter to you"})
	}
	return fields
}

// hookMade shows what the sender signs or authenticates with.
func (s *Service) hookMade(one hooks.Made, what string) *made {
	told := &made{
		Crumb: "/hooks", Above: "Hooks", Title: one.Name + " " + what, Where: "at the sender", Label: "Secret", Secret: one.Secret.Reveal(),
		Fields: s.hookFields(one.Hook), Page: hookAt(one.ID),
	}
	switch {
	case one.Kind == hooks.Okta:
		told.Label, told.Note = "Authentication secret", "In Okta: Workflow › Event Hooks › Create Event Hook. Verify there once it is saved."
	case one.Kind == hooks.Graph:
		told.Note = "There is nothing to paste: Postern makes the subscription within a minute, and the page says when it has."
	case told.Secret == "":
		told.Note = "It is the secret that the sender gave."
	}
	if one.PreviousEnds != nil {
		told.Note = strings.TrimSpace(told.Note + " The one before is good until " + one.PreviousEnds.UTC().Format("2006-01-02 15:04 UTC") + ".")
	}
	return told
}

func (s *Service) showHook(c *gin.Context) { s.hook(c, http.StatusOK, "") }

func (s *Service) hook(c *gin.Context, status int, refusal string) {
	s.hookWith(c, status, refusal, "", nil)
}

func (s *Service) hookWith(c *gin.Context, status int, refusal, sample string, readings []hooks.Reading) {
	s.about(c, status, "hook", "connections", func() (string, any, error) {
		page, err := s.loadHook(c)
		page.Problem, page.Sample, page.Readings = refusal, sample, readings
		return page.Name, page, err
	})
}

func (s *Service) loadHook(c *gin.Context) (hookPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return hookPage{}, err
	}
	one, err := s.Hooks.Hook(ctx, s.DB, workspace, id)
	if err != nil {
		return hookPage{}, err
	}
	connection, err := s.Directory.Connection(ctx, s.DB, workspace, one.Connection)
	if err != nil {
		return hookPage{}, err
	}
	page := hookPage{
		hookLine: hookLine{one, hookKindOf(one.Kind).Word, connection.Name, hookState(one)}, Fields: s.hookFields(one), Confirm: confirmed(c, "delete", "secret"),
		Rotates: one.Kind != hooks.Graph && (one.Settings.Scheme == nil || one.Settings.Scheme.JWT == nil),
		Fills:   one.Kind == hooks.Graph || one.Settings.Access.Address != "", Overlap: one.PreviousEnds != nil && one.PreviousEnds.After(s.now()),
	}
	if one.Settings.Mapping != nil {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(hooks.Settings{Mapping: one.Settings.Mapping, Scheme: one.Settings.Scheme}); err != nil {
			return hookPage{}, core.Internal(err)
		}
		page.Settings = text.String()
	}
	return page, nil
}

// aboutHook is a command about the hook in the path.
func (s *Service) aboutHook(work func(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		s.command(c, "/hooks/:id", s.hook, func(ctx context.Context, by reader, id core.ID) (*made, error) {
			return work(ctx, c, by.workspace(), id)
		})
	}
}

func (s *Service) changeHook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	settings, err := hookSettings(c.PostForm("settings"))
	if err == nil {
		_, err = s.Hooks.Update(ctx, s.cause(c), workspace, id, hooks.Change{
			Name: strings.TrimSpace(c.PostForm("name")), Mapping: settings.Mapping, Scheme: settings.Scheme,
		})
	}
	return nil, err
}

func (s *Service) rotateHook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	overlap, err := overlapOf(c)
	if err != nil {
		return nil, err
	}
	one, err := s.Hooks.Rotate(ctx, s.cause(c), workspace, id, seal.NewSecret(strings.TrimSpace(c.PostForm("secret"))), overlap)
	if err != nil {
		return nil, err
	}
	return s.hookMade(one, "has a new secret"), nil
}

// fillHook asks the sender again what happened within a day.
func (s *Service) fillHook(ctx context.Context, _ *gin.Context, workspace, id core.ID) (*made, error) {
	return nil, s.Hooks.Fill(ctx, workspace, id, s.now().Add(-24*time.Hour))
}

// testHook shows what a sample would mean. Nothing follows from it.
func (s *Service) testHook(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	sample := c.PostForm("sample")
	again := func(c *gin.Context, status int, refusal string) { s.hookWith(c, status, refusal, sample, nil) }
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	readings, err := s.Hooks.Test(c.Request.Context(), s.reader(c).workspace(), id, []byte(sample))
	if err != nil {
		s.refused(c, err, again)
		return
	}
	s.hookWith(c, http.StatusOK, "", sample, readings)
}

// deleteHook refuses what a sender sends from now on.
func (s *Service) deleteHook(c *gin.Context) {
	s.command(c, "/hooks", s.hook, func(ctx context.Context, by reader, id core.ID) (*made, error) {
		return nil, s.Hooks.Delete(ctx, s.cause(c), by.workspace(), id)
	})
}
