package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
)

// abilities say what a connector can do in an app.
var abilities = map[rotation.Capability]string{
	rotation.CanVerify: "sign in to see whether a password is right", rotation.CanChange: "change a password as the account itself",
	rotation.CanEnrol: "turn on a second factor", rotation.CanReset: "set a password as an administrator",
	rotation.CanRecover: "set a password by the app’s forgotten-password mail", rotation.CanDisable: "disable and enable an account",
	rotation.CanRevoke: "end an account’s sessions", rotation.CanList: "tell which accounts the app has", rotation.CanIssue: "make and end an account’s tokens",
}

// shownApp is an app and what can be done there.
type shownApp struct {
	accounts.App
	Can []rotation.Capability
}

// appPage is an app, and the form that changes it.
type appPage struct {
	shownApp
	form
	States     []stateCount
	Reconciles string // the username of the account that sets the others' passwords
	Connectors []string
}

// stateCount is how many accounts are in a state.
type stateCount struct {
	State accounts.State
	Count int
}

// mountApps adds the pages about apps.
func (s *Service) mountApps(inside *gin.RouterGroup) {
	inside.GET("/apps", s.listApps)
	inside.GET("/apps/:id", func(c *gin.Context) { s.app(c, http.StatusOK, "") })
	inside.POST("/apps/:id", s.forAdministrators("/apps/:id", "seen", "name", "domains", "sign_in_url", "change_url", "connector", "password_rules", "risk", "settings"), s.changeApp)
}

func (s *Service) shownApp(app accounts.App) shownApp {
	return shownApp{app, rotation.Capabilities(s.Connectors[app.Connector], app.Settings)}
}

// listApps shows administrators the apps.
func (s *Service) listApps(c *gin.Context) {
	s.about(c, http.StatusOK, "apps", "accounts", func() (string, any, error) {
		found, err := s.Accounts.Apps(c.Request.Context(), s.DB, s.reader(c).workspace())
		shown := make([]shownApp, len(found))
		for i, one := range found {
			shown[i] = s.shownApp(one)
		}
		return "Apps", shown, err
	})
}

// app shows administrators an app, with what its form said if that was refused or waited for a proof.
func (s *Service) app(c *gin.Context, status int, refusal string) {
	s.about(c, status, "app", "accounts", func() (string, any, error) {
		ctx, workspace := c.Request.Context(), s.reader(c).workspace()
		id, err := pathID(c)
		if err != nil {
			return "", nil, err
		}
		found, err := s.Accounts.App(ctx, s.DB, workspace, id)
		if err != nil {
			return "", nil, err
		}
		page := appPage{shownApp: s.shownApp(found), form: form{c.Request.PostForm, refusal}}
		for name := range s.Connectors {
			page.Connectors = append(page.Connectors, name)
		}
		if !slices.Contains(page.Connectors, found.Connector) {
			page.Connectors = append(page.Connectors, found.Connector)
		}
		slices.Sort(page.Connectors)
		if page.Values == nil {
			page.Values = saidOf(found)
		}
		states, err := s.Accounts.AppStates(ctx, s.DB, workspace, id)
		if err != nil {
			return "", nil, err
		}
		for _, state := range slices.Sorted(maps.Keys(states)) {
			page.States = append(page.States, stateCount{state, states[state]})
		}
		if !found.ReconcileAccount.IsZero() {
			account, err := s.Accounts.Account(ctx, s.DB, workspace, found.ReconcileAccount)
			if err != nil {
				return "", nil, err
			}
			page.Reconciles = account.Username
		}
		return found.Name, page, nil
	})
}

// saidOf is what the form says of an app.
func saidOf(app accounts.App) url.Values {
	settings := app.Settings
	var indented bytes.Buffer
	if json.Indent(&indented, settings, "", "  ") == nil {
		settings = indented.Bytes()
	}
	return url.Values{
		"seen": {fingerprint(app.Made())}, "name": {app.Name}, "domains": {strings.Join(app.Domains, "\n")}, "sign_in_url": {app.SignInURL}, "change_url": {app.ChangeURL},
		"connector": {app.Connector}, "password_rules": {app.PasswordRules}, "risk": {strconv.Itoa(app.Risk)}, "settings": {string(settings)},
	}
}

// fingerprint differs where two apps do.
func fingerprint(made accounts.NewApp) string {
	text, _ := json.Marshal(made) // of texts and JSON
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// changeApp takes the form, if the app is still what it was when the page was opened.
func (s *Service) changeApp(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	ctx := c.Request.Context()
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		_, err := s.Rotations.ChangeApp(ctx, tx, s.cause(c), s.reader(c).workspace(), id, func(app *accounts.NewApp) error {
			if c.PostForm("seen") != fingerprint(*app) {
				return core.Stale("the app has been changed since you opened this page: open it again")
			}
			field := func(name string) string { return strings.TrimSpace(c.PostForm(name)) }
			risk, err := strconv.Atoi(field("risk"))
			if err != nil {
				return core.Invalid("risk", "1 (least) to 5 (most)")
			}
			*app = accounts.NewApp{
				Name: field("name"), Domains: strings.Fields(c.PostForm("domains")), SignInURL: field("sign_in_url"), ChangeURL: field("change_url"),
				Connector: field("connector"), PasswordRules: field("password_rules"), Risk: risk, Settings: json.RawMessage(field("settings")),
			}
			return nil
		})
		return err
	})
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/apps/"+id.String())
		return
	}
	if text, told := s.explain(c, err); told {
		s.app(c, http.StatusBadRequest, text)
	}
}
