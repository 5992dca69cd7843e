package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/jwt"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/vault"
	"postern/oidc"
)

// op is an OpenID provider as far as logout tokens need one: an issuer, a discovery document, keys.
type op struct {
	*httptest.Server
	rsa, stranger *rsa.PrivateKey
	ec            *ecdsa.PrivateKey
}

func newOP(t testing.TB) *op {
	t.Helper()
	p := &op{}
	var err error
	for _, key := range []**rsa.PrivateKey{&p.rsa, &p.stranger} {
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	if p.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"end_session_endpoint":                  p.URL + "/logout",
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: p.rsa.Public(), KeyID: "rsa-1", Use: "sig", Algorithm: "RS256"}, {Key: p.ec.Public(), KeyID: "ec-1", Use: "sig", Algorithm: "ES256"},
		}})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// sign makes a compact JWT. signing is rs256, es256, none, hs256-public (the RSA public key as a shared
// secret) or other-key.
func (p *op) sign(t testing.TB, signing string, header map[string]any, claims []byte) string {
	t.Helper()
	algorithm, key := "RS256", any(p.rsa)
	full := map[string]any{"typ": "logout+jwt", "kid": "rsa-1"}
	switch signing {
	case "", "rs256":
	case "es256":
		algorithm, key, full["kid"] = "ES256", p.ec, "ec-1"
	case "other-key":
		key = p.stranger
	case "hs256-public":
		public, err := x509.MarshalPKIXPublicKey(p.rsa.Public())
		if err != nil {
			t.Fatal(err)
		}
		algorithm, key = "HS256", public
	case "none":
		algorithm, key = "none", nil
	default:
		t.Fatalf("unknown signing %q", signing)
	}
	full["alg"] = algorithm
	for name, value := range header {
		if full[name] = value; value == nil {
			delete(full, name)
		}
	}
	head, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	if key == nil {
		return input + "."
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(t, algorithm, key, []byte(input)))
}

func signature(t testing.TB, algorithm string, key any, input []byte) []byte {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if algorithm == "RS256" { // the header is ours, so only the bare signature is made here
		digest := crypto.SHA256.New()
		digest.Write(input)
		made, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, digest.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	if algorithm == "ES256" {
		digest := crypto.SHA256.New()
		digest.Write(input)
		r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	signed, err := signer.Sign(input)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Signature
}

// keys reads the op's keys each time: how they are remembered is tested where that is done.
type keys struct{ p *op }

func (k keys) Find(_ context.Context, _ jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	all := []jose.JSONWebKey{{Key: k.p.rsa.Public(), KeyID: "rsa-1", Algorithm: "RS256"}, {Key: k.p.ec.Public(), KeyID: "ec-1", Algorithm: "ES256"}}
	if kid == "" {
		return all, nil
	}
	return slices.DeleteFunc(all, func(key jose.JSONWebKey) bool { return key.KeyID != kid }), nil
}

func (k keys) Renew(ctx context.Context, source jwt.Source) ([]jose.JSONWebKey, error) {
	return k.Find(ctx, source, "")
}

// world is two workspaces that trust one op, under one client id, with people whose sessions it calls by
// the same names.
type world struct {
	db        *postgres.DB
	directory *directory.Directory
	op        *op
	service   *oidc.Service
	engine    *gin.Engine

	acme, globex directory.Connection
	refusals     *refusals
	people       map[string]directory.User
	sessions     map[string]seal.Secret // by a name: ana-1 (sid-1), ana-2 (sid-2), ben (sid-3), their-ana (sid-1)
}

// refusals is the pipeline, and the stage of what it was told last to have been refused.
type refusals struct {
	*signals.Signals
	stage string
}

func (r *refusals) Refused(ctx context.Context, refusal signals.Refusal) {
	r.stage = refusal.Stage
	r.Signals.Refused(ctx, refusal)
}

const publicURL = "https://postern.example.com"

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, postgrestest.Open(t, jobs.Migrate))
}

func newWorldOn(t testing.TB, db *postgres.DB) *world {
	t.Helper()
	w := &world{db: db, op: newOP(t), people: map[string]directory.User{}, sessions: map[string]seal.Secret{}}
	w.service, w.engine = w.process(t)
	w.refusals = w.service.Signals.(*refusals)
	w.directory = w.service.Directory
	cause := core.NewCause(core.System, time.Now())
	w.tx(t, func(tx pgx.Tx) error {
		for slug, connection := range map[string]*directory.Connection{"acme": &w.acme, "globex": &w.globex} {
			made, err := w.directory.CreateWorkspace(t.Context(), tx, cause, slug, slug)
			if err != nil {
				return err
			}
			*connection, err = w.directory.CreateConnection(t.Context(), tx, cause, made.ID, directory.NewConnection{
				Name: "OP", Kind: directory.Generic, Issuer: w.op.URL, ClientID: "client-1",
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for name, connection := range map[string]directory.Connection{"ana": w.acme, "ben": w.acme, "their-ana": w.globex} {
		w.tx(t, func(tx pgx.Tx) (err error) {
			w.people[name], err = w.directory.InsertUser(t.Context(), tx, directory.User{
				Workspace: connection.Workspace, Connection: connection.ID, UserName: strings.TrimPrefix(name, "their-"), DisplayName: name,
				Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			return w.directory.LinkIdentity(t.Context(), tx, connection.Workspace, connection.ID, w.op.URL, sub(name), w.people[name].ID)
		})
	}
	w.signIn(t)
	return w
}

func sub(name string) string { return "sub-" + strings.TrimPrefix(name, "their-") }

// process is what one gateway process has of its own, over the one database.
func (w *world) process(t testing.TB) (*oidc.Service, *gin.Engine) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(w.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	people := &directory.Directory{DB: w.db}
	shared := &accounts.Accounts{DB: w.db, Vault: &vault.Vault{DB: w.db, Keys: key}, Directory: people}
	rotations := &rotation.Rotations{DB: w.db, Accounts: shared, Queue: queue}
	leaving := &lifecycle.Lifecycle{DB: w.db, Directory: people, Accounts: shared, Rotations: rotations}
	service := &oidc.Service{
		DB: w.db, Directory: people, HTTP: w.op.Client(), PublicURL: publicURL, Log: slog.New(slog.DiscardHandler),
		Keys: keys{w.op},
		Signals: &refusals{Signals: &signals.Signals{
			DB: w.db, Directory: people, Accounts: shared, Rotations: rotations, Lifecycle: leaving, PublicURL: publicURL,
		}},
	}
	engine := gin.New()
	service.Mount(engine)
	return service, engine
}

func (w *world) tx(t testing.TB, work func(tx pgx.Tx) error) {
	t.Helper()
	if err := w.db.Tx(t.Context(), work); err != nil {
		t.Fatal(err)
	}
}

// signIn gives everybody the sessions they lack.
func (w *world) signIn(t testing.TB) {
	t.Helper()
	for session, of := range map[string]struct{ person, sid string }{
		"ana-1": {"ana", "sid-1"}, "ana-2": {"ana", "sid-2"}, "ben": {"ben", "sid-3"}, "their-ana": {"their-ana", "sid-1"},
	} {
		if w.alive(t, session) {
			continue
		}
		token, err := w.start(t, of.person, of.sid, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.sessions[session] = token
	}
}

// start begins a session of a sign-in that began, and was proven, at a moment.
func (w *world) start(t testing.TB, person, sid string, at time.Time) (token seal.Secret, err error) {
	user := w.people[person]
	err = w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		_, token, err = w.directory.StartSession(t.Context(), tx, core.NewCause(user.Actor(), at), directory.NewSession{
			Workspace: user.Workspace, User: user.ID, Connection: user.Connection, Issuer: w.op.URL, Subject: sub(person), SID: sid,
			Authenticated: at, Begun: at,
		})
		return err
	})
	return token, err
}

func (w *world) alive(t testing.TB, session string) bool {
	t.Helper()
	token, known := w.sessions[session]
	if !known {
		return false
	}
	_, _, err := w.directory.Authenticate(t.Context(), token)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

// dead names the sessions that have ended.
func (w *world) dead(t testing.TB) []string {
	t.Helper()
	ended := []string{}
	for _, session := range slices.Sorted(maps.Keys(w.sessions)) {
		if !w.alive(t, session) {
			ended = append(ended, session)
		}
	}
	return ended
}

// claims are those of a right logout token, with these over them; nil takes one out.
func (w *world) claims(over map[string]any) []byte {
	now := time.Now()
	claims := map[string]any{
		"iss": w.op.URL, "aud": "client-1", "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"sub": "sub-ana", "sid": "sid-1", "events": map[string]any{oidc.BackChannelEvent: map[string]any{}},
	}
	for name, value := range over {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return text
}

// post sends a logout token to a process.
func (w *world) post(engine http.Handler, connection core.ID, form url.Values) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/sso/"+connection.String()+"/backchannel-logout", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	return recorder
}

var placeholder = regexp.MustCompile(`"\{\{now([+-]\d+)?\}\}"`)

// fill puts values in the place of {{issuer}}, {{client}}, {{sub}}, {{sid}}, {{jti}} and {{now+60}}.
func (w *world) fill(text []byte, unique string) []byte {
	filled := strings.NewReplacer("{{issuer}}", w.op.URL, "{{client}}", "client-1", "{{sub}}", "sub-ana", "{{sid}}", "sid-1", "{{jti}}", unique).
		Replace(string(text))
	now := time.Now().Unix()
	return []byte(placeholder.ReplaceAllStringFunc(filled, func(found string) string {
		offset, _ := strconv.ParseInt(placeholder.FindStringSubmatch(found)[1], 10, 64)
		return strconv.FormatInt(now+offset, 10)
	}))
}
