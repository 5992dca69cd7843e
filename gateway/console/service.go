package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/directory"
	"postern/core/health"
	"postern/core/importing"
	"postern/core/lifecycle"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/mailbox"
	"postern/core/policies"
	"postern/core/postgres"
	"postern/core/posture"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/services"
	"postern/core/signals"
	"postern/gateway/denied"
	"postern/gateway/problem"
	"postern/oidc"
	"postern/siem/sinks"
	"postern/webhooks/delivery"
	"postern/webhooks/hooks"
	"postern/webhooks/outgoing"
	"postern/webhooks/outlogout"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

// Service is the console. Every field is needed except Now and Wake. Use it by pointer.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	// Connectors are asked for what they can do, and for nothing else.
	Connectors rotation.Connectors
	Rotations  *rotation.Rotations
	Lifecycle  *lifecycle.Lifecycle
	Policies   *policies.Policies
	Imports    *importing.Imports
	Signals    *signals.Signals
	// Certificates says what became of the passwords of who left.
	Certificates *certificates.Certificates
	// Health checks passwords and says how they are.
	Health *health.Health
	// Posture says how well the accounts are kept.
	Posture *posture.Posture
	// Links are public shares, and guests. Mail has what was kept of their mails, in development.
	Links *links.Links
	Mail  *mail.Mail
	// Mailboxes keeps what apps send to accounts.
	Mailboxes *mailbox.Mailboxes
	Services  *services.Services
	Streams   *ssf.Service
	// Reviews asks those who answer for access whether it is still needed.
	Reviews *reviews.Reviews
	// Deliveries is what brings messages to Webhooks, Receivers and Logouts.
	Deliveries *delivery.Deliveries
	Sinks      *sinks.Service
	Webhooks   *outgoing.Service
	Receivers  *transmitter.Service
	Logouts    *outlogout.Service
	Hooks      *hooks.Service
	OIDC       *oidc.Service
	Log        *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Wake tells the sequencer that events were committed.
	Wake func()

	once    sync.Once
	closing chan struct{}
	closed  sync.Once
	streams streams
	denied  *denied.Recorder
	names   sync.Map // of workspaces, by id
	pages   map[string]*template.Template
	assets  map[string]asset
}

// The routes of the live activity and of its downloads, as gin knows them.
const (
	StreamRoute   = "/activity/stream"
	DownloadRoute = "/activity/download"
)

// StreamRoutes are the routes of what goes on while somebody looks, or takes a file: they must not be given a timeout.
func StreamRoutes() []string {
	return []string{StreamRoute, DownloadRoute, ProgressRoute, ExportFindingsRoute}
}

//go:embed templates/*.html
var templates embed.FS

//go:embed static/*
var static embed.FS

// asset is an embedded file and the address that changes with its content.
type asset struct {
	address string
	kind    string
	content []byte
}

// Mount adds the routes.
func (s *Service) Mount(router gin.IRouter) {
	s.prepare()
	router.GET("/sign-in", s.signIn)
	router.GET("/console/:file", s.file)
	router.GET("/favicon.ico", func(c *gin.Context) { c.Redirect(http.StatusFound, s.assets["icon.svg"].address) })
	s.mountOutside(router)
	inside := router.Group("", s.OIDC.Require(), s.annotate)
	inside.GET("/", s.listAccounts)
	inside.GET("/accounts/:id", s.showAccount)
	inside.POST("/accounts/:id/fill", s.toReveal("/accounts/:id?again=fill"), s.fill)
	inside.POST("/accounts/:id/reveal", s.toReveal("/accounts/:id?again=reveal"), s.reveal)
	inside.POST("/accounts/:id/code", s.toReveal("/accounts/:id?again=code"), s.code)
	s.mountInbox(inside)
	managing := s.forAdministrators("/accounts/:id") // how an account is held, which its owners may change too
	inside.POST("/accounts/:id/totp", managing, s.setTOTP)
	inside.POST("/accounts/:id/backup-codes", managing, s.setBackupCodes)
	inside.POST("/accounts/:id/backup-code", s.toReveal("/accounts/:id?again=backup-code"), s.backupCode)
	inside.POST("/accounts/:id/totp/enrol", managing, s.enrolTOTP)
	inside.POST("/accounts/:id/totp/remove", managing, s.removeTOTP)
	inside.POST("/accounts/:id/rotate", s.rotate)
	inside.POST("/accounts/:id/check", s.check)
	inside.POST("/accounts/:id/resync", s.resync)
	inside.POST("/accounts/:id/reset", managing, s.reset)
	inside.POST("/accounts/:id/reconciles", managing, s.reconciles)
	inside.POST("/accounts/:id/disable", managing, s.disables(false))
	inside.POST("/accounts/:id/enable", managing, s.disables(true))
	inside.POST("/accounts/:id/leavers", managing, s.leavers)
	inside.POST("/accounts/:id/logins", managing, s.lists)
	inside.POST("/accounts/:id/password", managing, s.storePassword)
	inside.POST("/accounts/:id/manage", managing, s.manage)
	inside.POST("/accounts/:id/unmanage", managing, s.unmanage)
	inside.POST("/accounts/:id/report", s.reportFill)
	inside.GET("/settings/health", s.showHealthSettings)
	inside.POST("/settings/health", s.forAdministrators("/settings/health"), s.changeHealthSettings)
	inside.POST("/accounts/:id/share", s.toReveal("/accounts/:id"), s.share)
	inside.POST("/accounts/:id/unshare", s.unshare)
	inside.POST("/accounts/:id/tags", s.setTags)
	inside.POST("/accounts/:id/risk", managing, s.setRisk)
	inside.GET("/activity", s.showActivity)
	inside.GET(StreamRoute, s.stream)
	inside.GET(DownloadRoute, s.downloadActivity)
	inside.GET("/users", s.listUsers)
	inside.GET("/users/:id", s.showUser)
	inside.POST("/users/:id/deprovision", s.forAdministrators("/users/:id?deprovision=1"), s.deprovision)
	inside.POST("/users/:id/role", s.forAdministrators("/users/:id"), s.giveRole)
	inside.POST("/users/:id/reactivate", s.forAdministrators("/users/:id"), s.reactivate)
	inside.POST("/users/:id/teams/:team/accept", s.forAdministrators("/users/:id"), s.acceptTeam)
	inside.POST("/users/:id/teams/:team/decline", s.forAdministrators("/users/:id"), s.declineTeam)
	inside.POST("/users/:id/logout", s.forAdministrators("/users/:id"), s.logoutUser)
	inside.POST("/users/:id/lift", s.forAdministrators("/users/:id"), s.lift)
	inside.POST("/users/:id/sessions/end", s.forAdministrators("/users/:id"), s.endAllOf)
	inside.POST("/users/:id/sessions/:session/end", s.forAdministrators("/users/:id"), s.endUsers)
	inside.GET("/links", s.listLinks)
	inside.GET("/links/:id", s.showLink)
	inside.POST("/links/:id/end", s.endLink)
	inside.GET("/accounts/:id/links/new", s.newLink)
	inside.POST("/accounts/:id/links", s.toReveal("/accounts/:id/links/new"), s.createLink)
	inside.GET("/guests", s.listGuests)
	inside.POST("/guests", s.forAdministrators("/guests", "email", "name"), s.inviteGuest)
	inside.POST("/guests/:id/resend", s.forAdministrators("/guests"), s.resendInvitation)
	inside.POST("/guests/:id/end", s.forAdministrators("/guests?remove=:id"), s.endGuest)
	inside.POST("/settings/guests", s.forAdministrators("/guests"), s.setInviters)
	inside.GET("/partners", s.listPartners)
	inside.POST("/partners", s.forAdministrators("/partners", "name", "domains", "sponsor", "last"), s.createPartner)
	inside.POST("/partners/:id", s.forAdministrators("/partners?change=:id", "name", "domains", "sponsor", "last"), s.changePartner)
	inside.POST("/partners/:id/end", s.forAdministrators("/partners?end=:id"), s.endPartner)
	inside.GET("/mail", s.listMails)
	inside.GET("/certificates", s.listCertificates)
	inside.GET("/certificates/:id", s.showCertificate)
	inside.GET("/certificates/:id/download", s.downloadCertificate)
	inside.POST("/users/:id/proposals/:grant", s.forAdministrators("/users/:id"), s.decideProposal)
	inside.GET("/accounts/:id/succession", s.showSuccession)
	inside.POST("/accounts/:id/succession", s.forAdministrators("/accounts/:id/succession"), s.changeSuccession)
	inside.GET("/settings/succession", s.showSuccession)
	inside.POST("/settings/succession", s.forAdministrators("/settings/succession"), s.changeSuccession)
	inside.GET("/settings/sessions", s.showSessionSettings)
	inside.POST("/settings/sessions", s.forAdministrators("/settings/sessions"), s.changeSessionSettings)
	inside.GET("/sessions", s.listSessions)
	inside.POST("/sessions/end-others", s.endOthers)
	inside.POST("/sessions/:id/end", s.endOwn)
	inside.GET("/connections", s.listConnections)
	inside.GET("/connections/:id", s.listRequests)
	inside.GET("/connections/:id/doctor", s.showDoctor)
	inside.GET("/requests/:id", s.showRequest)
	inside.GET("/policies", s.listPolicies)
	inside.GET("/policies/new", s.newPolicy)
	inside.POST("/policies", s.forAdministrators("/policies/new", policyFields...), s.createPolicy)
	inside.GET("/policies/:id", s.showPolicy)
	inside.POST("/policies/:id", s.forAdministrators("/policies/:id"), s.changePolicy)
	inside.POST("/policies/:id/remove", s.forAdministrators("/policies/:id?remove=1"), s.removePolicy)
	inside.GET("/signals", s.listSignals)
	inside.GET("/signals/policy", s.showSignalPolicy)
	inside.POST("/signals/policy", s.forAdministrators("/signals/policy"), s.changeSignalPolicy)
	inside.GET("/signals/:id", s.showSignal)
	inside.POST("/signal-holds/:id/approve", s.forAdministrators("/signals"), s.approveSignals)
	inside.POST("/signal-holds/:id/reject", s.forAdministrators("/signals"), s.rejectSignals)
	s.mountReviews(inside)
	s.mountDestinations(inside)
	s.mountSecurity(inside)
	s.mountHooks(inside)
	s.mountApps(inside)
	s.mountImports(inside)
	inside.GET("/rotations", s.listRotations)
	inside.GET(ProgressRoute, s.followRotations)
	inside.GET("/teams", s.listTeams)
	inside.GET("/teams/:id", s.showTeam)
	s.mountServices(inside)
	inside.GET("/holds/:id", s.showHold)
	inside.POST("/holds/:id/approve", s.forAdministrators("/holds/:id?decide=approve"), s.approve)
	inside.POST("/holds/:id/reject", s.forAdministrators("/holds/:id?decide=reject"), s.reject)
}

// Close ends the live streams, so that a server can shut down without waiting for browsers. Their
// pages connect again by themselves.
func (s *Service) Close() {
	s.prepare()
	s.closed.Do(func() { close(s.closing) })
}

// prepare reads what is embedded. A fault there is a fault of the build.
func (s *Service) prepare() {
	s.once.Do(func() {
		s.closing = make(chan struct{})
		s.denied = denied.NewRecorder(s.DB, s.Log, s.now, s.wake, "")
		s.assets = map[string]asset{}
		entries, err := fs.ReadDir(static, "static")
		if err != nil {
			panic(err)
		}
		for _, entry := range entries {
			content, err := fs.ReadFile(static, "static/"+entry.Name())
			if err != nil {
				panic(err)
			}
			sum := sha256.Sum256(content)
			extension := path.Ext(entry.Name())
			address := "/console/" + strings.TrimSuffix(entry.Name(), extension) + "-" + hex.EncodeToString(sum[:6]) + extension
			kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[extension]
			s.assets[entry.Name()] = asset{address, kind, content}
		}
		s.pages = map[string]*template.Template{}
		files, err := fs.ReadDir(templates, "templates")
		if err != nil {
			panic(err)
		}
		base, contents := template.New("base.html").Funcs(s.words()), map[string]string{}
		for _, file := range files {
			text, err := fs.ReadFile(templates, "templates/"+file.Name())
			if err != nil {
				panic(err)
			}
			switch name := strings.TrimSuffix(file.Name(), ".html"); {
			case strings.Contains(string(text), `{{define "content"}}`): // a page; what has none is a part of all of them
				contents[name] = string(text)
			case name == "base":
				template.Must(base.Parse(string(text)))
			default:
				template.Must(base.New(file.Name()).Parse(string(text)))
			}
		}
		for name, text := range contents {
			s.pages[name] = template.Must(template.Must(base.Clone()).New(name + ".html").Parse(text))
		}
	})
}

// file serves an embedded file. Its address names its content, so it may be kept for ever.
func (s *Service) file(c *gin.Context) {
	for _, file := range s.assets {
		if file.address == c.Request.URL.Path {
			c.Header("Cache-Control", "public, max-age=31536000, immutable")
			c.Data(http.StatusOK, file.kind, file.content)
			return
		}
	}
	problem.Write(c, core.NotFound("file"))
}

// annotate puts who asks into the request's log line, and what they had typed into their form. What they were denied is recorded.
func (s *Service) annotate(c *gin.Context) {
	session, user, ok := oidc.Session(c)
	if ok {
		problem.Add(c, slog.String("workspace", session.Workspace.String()), slog.String("actor", user.ID.String()))
	}
	s.resume(c)
	c.Next()
	if ok {
		s.denied.Tell(c, session.Workspace, s.cause(c))
	}
}

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Service) wake() {
	if s.Wake != nil {
		s.Wake()
	}
}
