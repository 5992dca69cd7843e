package devidp

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"postern/core"
)

// Options configure a Server. Issuer and Folder are needed.
type Options struct {
	Issuer  string // the address it is reached at, such as http://127.0.0.1:4400, without a path
	Folder  string // where people, clients and the key stay; made when missing
	Clients []Client
	Targets []Target
	HTTP    *http.Client // for SCIM and logout requests; nil means one with a timeout of a minute
	Now     func() time.Time
	Log     *slog.Logger
}

// Server is the provider: an http.Handler for the root of its address. It is safe for concurrent use.
type Server struct {
	options  Options
	log      *slog.Logger
	key      *rsa.PrivateKey
	keyID    string
	provider *op.Provider
	handler  http.Handler

	lock      sync.Mutex
	state     state
	targets   []Target
	requests  map[string]authRequest
	tokens    map[string]accessToken
	sessions  map[string]session
	exchanges []Record // newest first
}

// New opens a folder, or begins one with a few people, and returns the provider over it.
func New(options Options) (*Server, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(options.Folder, 0o700); err != nil {
		return nil, core.Invalid("folder", "the folder cannot be made").Because(err)
	}
	key, err := loadKey(options.Folder)
	if err != nil {
		return nil, err
	}
	loaded, err := loadState(options.Folder)
	if err != nil {
		return nil, err
	}
	thumbprint, err := (&jose.JSONWebKey{Key: publicPart(key)}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, core.Internal(err)
	}
	s := &Server{
		options: options, log: options.Log, key: key, keyID: base64.RawURLEncoding.EncodeToString(thumbprint), state: loaded,
		requests: map[string]authRequest{}, tokens: map[string]accessToken{}, sessions: map[string]session{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, client := range options.Clients {
		if err := s.AddClient(client); err != nil {
			return nil, err
		}
	}
	for _, target := range options.Targets {
		if err := s.AddTarget(target); err != nil {
			return nil, err
		}
	}
	config := &op.Config{CodeMethodS256: true, AuthMethodPost: true, DefaultLogoutRedirectURI: options.Issuer + "/signed-out"}
	_, _ = rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, storage{s}, op.StaticIssuer(options.Issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, core.Invalid("issuer", "the address cannot be an issuer").Because(err)
	}
	s.provider = provider
	s.handler = s.routes()
	return s, nil
}

func (o Options) check() error {
	parsed, err := url.Parse(o.Issuer)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Path != "" || parsed.RawQuery != "" {
		return core.Invalid("issuer", "an issuer here is an address without a path, such as http://127.0.0.1:4400")
	}
	if o.Folder == "" {
		return core.Invalid("folder", "a folder is needed to keep people and the key in")
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) routes() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", s.showAdmin)
	pages.HandleFunc("POST /admin/{action}", s.runAction)
	pages.HandleFunc("GET /login", s.showLogin)
	pages.HandleFunc("POST /login", s.login)
	pages.HandleFunc("GET /signed-out", s.showSignedOut)
	// Pages change things, so another site's page must not press their buttons.
	guarded := http.NewCrossOriginProtection().Handler(pages)

	root := http.NewServeMux()
	root.HandleFunc("GET "+oidc.DiscoveryEndpoint, s.discovery)
	root.HandleFunc("/end_session", func(w http.ResponseWriter, r *http.Request) {
		s.forget(w, r)
		s.provider.ServeHTTP(w, r)
	})
	for _, path := range []string{"/authorize", "/oauth/token", "/userinfo", "/keys", "/revoke"} {
		root.Handle(path, s.provider)
	}
	root.Handle("/", guarded)
	return http.MaxBytesHandler(root, 1<<20)
}

// discovery is the provider's document and one promise more: every answer to the browser says iss.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	document := struct {
		*oidc.DiscoveryConfiguration
		Iss bool `json:"authorization_response_iss_parameter_supported"`
	}{op.CreateDiscoveryConfig(op.ContextWithIssuer(r.Context(), s.options.Issuer), s.provider, storage{s}), true}
	document.ResponseTypesSupported = []string{"code"}
	document.GrantTypesSupported = []oidc.GrantType{oidc.GrantTypeCode}
	document.ScopesSupported = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}
	document.IntrospectionEndpoint, document.DeviceAuthorizationEndpoint = "", ""
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		s.log.DebugContext(r.Context(), "discovery answer cut off", "error", err)
	}
}

// answer is the address that takes a browser back to the client with parameters.
func (s *Server) answer(request authRequest, parameters url.Values) (string, error) {
	target, err := url.Parse(request.asked.RedirectURI)
	if err != nil {
		return "", errors.New("the redirect address cannot be read")
	}
	query := target.Query()
	for name, values := range parameters {
		query[name] = values
	}
	if request.asked.State != "" {
		query.Set("state", request.asked.State)
	}
	query.Set("iss", s.options.Issuer)
	target.RawQuery = query.Encode()
	return target.String(), nil
}

func (s *Server) now() time.Time {
	if s.options.Now != nil {
		return s.options.Now()
	}
	return time.Now()
}

func (s *Server) secure() bool { return strings.HasPrefix(s.options.Issuer, "https://") }
