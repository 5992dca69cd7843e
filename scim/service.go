package scim

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/scim/resource"
)

// root is where the endpoint is, under the public URL.
const root = "/scim/v2"

// What a resource of either kind is made of. They do not change.
var (
	userType  = resource.User()
	groupType = resource.Group()
)

// Service answers SCIM requests. DB, Directory, Lifecycle and PublicURL are needed. Once mounted it
// is safe for concurrent use.
type Service struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Lifecycle *lifecycle.Lifecycle
	Accounts  *accounts.Accounts // nil: no connection can grant entitlements
	PublicURL string             // https://postern.example.com, where identity providers reach the gateway
	Now       func() time.Time   // nil: time.Now
	Log       *slog.Logger       // nil: nothing is logged

	// Share divides the endpoint between those who ask at the same time.
	Share Share
	// Keys finds the public keys an issuer signs client assertions with. nil: assertions are not taken.
	Keys jwt.Keys
	// AccessTokenLife is how long the tokens of the token endpoint live: one hour, which is the
	// default, to six.
	AccessTokenLife time.Duration
	// SecurityEvents are the URIs of the events of RFC 9967 that the gateway's transmitter tells of: what connections
	// that ask for it read in ServiceProviderConfig. nil: nothing is told.
	SecurityEvents []string

	shares  shares
	bodies  bodies
	samples samples
	tokens  tokens

	walks walks // where pages ended
}

// Mount adds the endpoint to a router, under /scim/v2, and the token endpoint beside it. The router
// gives addresses it does not know under /scim/v2 to nobody else, so that they too are answered in SCIM.
func (s *Service) Mount(router gin.IRouter) {
	router.POST(tokenPath, s.serveToken)
	routes := s.routes()
	router.Any(root, func(c *gin.Context) { s.serve(c, routes, "") })
	router.Any(root+"/*path", func(c *gin.Context) { s.serve(c, routes, c.Param("path")) })
}

// handler answers one request: a result, or an error that errorOf turns into one.
type handler func(r *request) (answer, error)

// route is what one address takes. An address with {id} is the one without it and an id behind.
type route map[string]handler

func (s *Service) routes() map[string]route {
	catalogue := newDiscovery(s.base(), s.SecurityEvents)
	return map[string]route{
		"/Users":                 {http.MethodGet: s.listUsers, http.MethodPost: s.createUser},
		"/Users/{id}":            {http.MethodGet: s.getUser, http.MethodPut: s.replaceUser, http.MethodPatch: s.patchUser, http.MethodDelete: s.deleteUser},
		"/Groups":                {http.MethodGet: s.listGroups, http.MethodPost: s.createGroup},
		"/Groups/{id}":           {http.MethodGet: s.getGroup, http.MethodPut: s.replaceGroup, http.MethodPatch: s.patchGroup, http.MethodDelete: s.deleteGroup},
		"/Groups/{id}/members":   {http.MethodGet: s.listMembers},
		"/ServiceProviderConfig": {http.MethodGet: catalogue.configuration},
		"/Schemas":               {http.MethodGet: catalogue.listSchemas},
		"/Schemas/{id}":          {http.MethodGet: catalogue.schema},
		"/ResourceTypes":         {http.MethodGet: catalogue.listTypes},
		"/ResourceTypes/{id}":    {http.MethodGet: catalogue.resourceType},
		"/Entitlements":          {http.MethodGet: usage.list},
		"/Entitlements/{id}":     {http.MethodGet: usage.get},
		"/Roles":                 {http.MethodGet: ownership.list},
		"/Roles/{id}":            {http.MethodGet: ownership.get},
		"/Me":                    {everyMethod: me},
		"/Bulk":                  {http.MethodPost: s.bulk},
		"/":                      {http.MethodGet: s.listAll},
		"/.search":               {http.MethodPost: s.searchAll},
		"/Users/.search":         {http.MethodPost: s.searchUsers},
		"/Groups/.search":        {http.MethodPost: s.searchGroups},
	}
}

// everyMethod stands in a route for any method it does not name.
const everyMethod = "*"

// find gives the address a path belongs to and the id in it; "" is none.
func find(routes map[string]route, path string) (address, id string, found bool) {
	if path == "" {
		path = "/"
	}
	if len(path) > 2 {
		path = strings.TrimSuffix(path, "/")
	}
	if _, found = routes[path]; found {
		return path, "", true
	}
	slash := strings.LastIndexByte(path, '/')
	if slash <= 0 || slash == len(path)-1 {
		return "", "", false
	}
	address = path[:slash] + "/{id}"
	if _, found = routes[address]; found {
		return address, path[slash+1:], true
	}
	// Or the id stands in the middle: /Groups/{id}/members.
	before := strings.LastIndexByte(path[:slash], '/')
	if before <= 0 {
		return "", "", false
	}
	address = path[:before] + "/{id}" + path[slash:]
	if _, found = routes[address]; !found {
		return "", "", false
	}
	return address, path[before+1 : slash], true
}

// allowed lists the methods of a route for the Allow header.
func (r route) allowed() string {
	methods := make([]string, 0, len(r)+1)
	for method := range r {
		if method == everyMethod {
			continue
		}
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// serve carries one request through: who asks, what for, the handler, the answer.
func (s *Service) serve(c *gin.Context, routes map[string]route, path string) {
	r := &request{Service: s, Request: c.Request, writer: c.Writer, received: s.now(), routes: routes, path: strings.TrimSuffix(path, "/")}
	a, err := r.handle(c.ClientIP())
	if err != nil {
		_ = c.Error(err) // for the access log
	}
	header := c.Writer.Header()
	for name, value := range a.header {
		header.Set(name, value)
	}
	if !r.cause.Correlation.IsZero() {
		header.Set("X-Correlation-Id", r.cause.Correlation.String())
	}
	if fired := r.fired(); len(fired) > 0 {
		header.Set(rulesHeader, strings.Join(fired, ", "))
	}
	if a.body == nil {
		c.Status(a.status)
		c.Writer.WriteHeaderNow()
		return
	}
	if c.Request.Method == http.MethodHead {
		header.Set("Content-Type", r.media)
		header.Set("Content-Length", strconv.Itoa(len(a.body)))
		c.Status(a.status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.Data(a.status, r.media, a.body)
}

// base is the absolute address of the endpoint.
func (s *Service) base() string { return strings.TrimSuffix(s.PublicURL, "/") + root }

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Service) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
