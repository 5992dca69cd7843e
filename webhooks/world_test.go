package webhooks_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/webhooks"
	"postern/webhooks/keys"
)

const publicURL = "https://postern.example.com"

// world is two workspaces with their identity providers, people and live sessions.
type world struct {
	db        *postgres.DB
	directory *directory.Directory
	accounts  *accounts.Accounts
	lifecycle *lifecycle.Lifecycle
	service   *webhooks.Service
	engine    *gin.Engine
	idp       *provider
	tokens    atomic.Int64
	ahead     time.Duration // how far the service's clock is ahead of the directory's

	acme, globex directory.Workspace
	okta         directory.Connection // of acme: the one under test
	other        directory.Connection // of acme
	theirs       directory.Connection // of globex
	people       map[string]directory.User
	sessions     map[string]seal.Secret
}

// provider is an identity provider with two issuer names and one set of keys.
type provider struct {
	*httptest.Server
	rsa, second *rsa.PrivateKey
	ec          *ecdsa.PrivateKey
	fetches     atomic.Int64
}

func (p *provider) issuer() string { return p.URL + "/main" }
func (p *provider) alias() string  { return p.URL + "/custom" }

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{}
	var err error
	for _, key := range []**rsa.PrivateKey{&p.rsa, &p.second} {
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	if p.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: p.rsa.Public(), KeyID: "rsa-1", Use: "sig"},
		{Key: p.ec.Public(), KeyID: "ec-1", Use: "sig", Algorithm: "ES256"},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/{name}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		issuer := p.URL + "/" + r.PathValue("name")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
	})
	mux.HandleFunc("/{name}/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		_ = json.NewEncoder(w).Encode(set)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, postgrestest.Open(t, jobs.Migrate))
}

func newWorldOn(t testing.TB, db *postgres.DB) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, idp: newProvider(t), people: map[string]directory.User{}, sessions: map[string]seal.Secret{}}
	w.directory = &directory.Directory{DB: db}
	w.accounts = &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key}, Directory: w.directory}
	rotations := &rotation.Rotations{DB: db, Accounts: w.accounts, Queue: queue}
	w.lifecycle = &lifecycle.Lifecycle{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: rotations}
	w.service = &webhooks.Service{
		DB: db, Directory: w.directory, Lifecycle: w.lifecycle, PublicURL: publicURL + "/", Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(w.ahead) },
	}
	w.service.Keys = &keys.Cache{HTTP: w.idp.Client(), Now: w.service.Now}
	w.engine = gin.New()
	w.service.Mount(w.engine)
	w.fill(t)
	return w
}

func (w *world) fill(t testing.TB) {
	t.Helper()
	cause := core.NewCause(core.System, time.Now())
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if w.acme, err = w.directory.CreateWorkspace(ctx, tx, cause, "acme", "Acme"); err != nil {
			return err
		}
		if w.globex, err = w.directory.CreateWorkspace(ctx, tx, cause, "globex", "Globex"); err != nil {
			return err
		}
		wanted := directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: w.idp.issuer(), ClientID: "client-1", LogoutIssuers: []string{w.idp.alias()}}
		if w.okta, err = w.directory.CreateConnection(ctx, tx, cause, w.acme.ID, wanted); err != nil {
			return err
		}
		if w.theirs, err = w.directory.CreateConnection(ctx, tx, cause, w.globex.ID, wanted); err != nil {
			return err
		}
		wanted.Name = "Other"
		w.other, err = w.directory.CreateConnection(ctx, tx, cause, w.acme.ID, wanted)
		return err
	})
	for _, person := range []struct {
		key, userName, email, external string
		connection                     directory.Connection
	}{
		{"ana", "ana@example.com", "Ana.Ito@Example.com", "00uana", w.okta},
		{"ben", "ben", "shared@example.com", "00uben", w.okta},
		{"bea", "bea", "shared@example.com", "00ubea", w.okta},
		{"noe", "noe@example.com", "", "00unoe", w.okta},
		{"carl", "carl", "carl@example.com", "00ucarl", w.other},
		{"their-ana", "ana@example.com", "ana.ito@example.com", "00uana", w.theirs},
	} {
		w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
			user, err := w.directory.InsertUser(ctx, tx, directory.User{
				Workspace: person.connection.Workspace, Connection: person.connection.ID, UserName: person.userName, Email: person.email,
				ExternalID: person.external, DisplayName: person.key, Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			w.people[person.key] = user
			return w.directory.LinkIdentity(ctx, tx, user.Workspace, user.Connection, w.idp.issuer(), "sub-"+person.key, user.ID)
		})
	}
}

func (w *world) tx(t testing.TB, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) error { return work(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// signIn gives everybody who has none a live session.
func (w *world) signIn(t testing.TB) {
	t.Helper()
	for key, user := range w.people {
		if w.signedIn(t, key) {
			continue
		}
		w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
			_, w.sessions[key], err = w.directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
				Workspace: user.Workspace, User: user.ID, Connection: user.Connection, Authenticated: time.Now(),
			})
			return err
		})
	}
}

func (w *world) signedIn(t testing.TB, key string) bool {
	t.Helper()
	token, ok := w.sessions[key]
	if !ok {
		return false
	}
	_, _, err := w.directory.Authenticate(t.Context(), token)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

// events gives the events of a type, of one workspace, that are not yet sequenced, in order.
func (w *world) events(t testing.TB, workspace core.ID, kind core.EventType) []core.Event {
	t.Helper()
	rows, err := w.db.Query(t.Context(), `select event from audit_outbox where workspace_id = @workspace and type = @type order by xid, number`,
		pgx.StrictNamedArgs{"workspace": workspace, "type": kind})
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowTo[core.Event])
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// tokenSpec is how a vector describes a token: what differs from a right one.
type tokenSpec struct {
	Same   bool           `json:"same,omitempty"`   // the token of the step before, unchanged
	Omit   bool           `json:"omit,omitempty"`   // no Authorization at all
	Raw    string         `json:"raw,omitempty"`    // instead of a token
	Key    string         `json:"key,omitempty"`    // rsa (default), ec, stranger, hmac (the RSA public key as shared secret), none
	Alg    string         `json:"alg,omitempty"`    // default RS256, or what the key is for
	Header map[string]any `json:"header,omitempty"` // added to typ, alg, kid; null removes
	Claims map[string]any `json:"claims,omitempty"` // added to the right ones; null removes; exp, nbf, iat count from now
	Tamper bool           `json:"tamper,omitempty"` // change the payload after signing
}

// mint makes the token of a spec.
func (w *world) mint(t testing.TB, spec tokenSpec) string {
	t.Helper()
	alg, kid := "RS256", "rsa-1"
	switch spec.Key {
	case "ec":
		alg, kid = "ES256", "ec-1"
	case "hmac":
		alg = "HS256"
	case "none":
		alg = "none"
	}
	if spec.Alg != "" {
		alg = spec.Alg
	}
	header := map[string]any{"typ": "global-token-revocation+jwt", "alg": alg, "kid": kid}
	claims := map[string]any{
		"jti": fmt.Sprint("token-", w.tokens.Add(1)), "iss": w.idp.issuer(), "sub": "client-1", "aud": w.service.LogoutURL(w.okta.ID),
		"exp": 300.0, "nbf": -300.0, "iat": 0.0,
	}
	for name, value := range spec.Header {
		put(header, name, w.expand(value))
	}
	for name, value := range spec.Claims {
		put(claims, name, w.expand(value))
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if offset, ok := claims[name].(float64); ok {
			claims[name] = float64(w.service.Now().Unix()) + offset
		}
	}
	signing := part(t, header) + "." + part(t, claims)
	signature := w.sign(t, spec.Key, alg, signing)
	if spec.Tamper {
		claims["sub_extra"] = true
		signing = part(t, header) + "." + part(t, claims)
	}
	return signing + "." + signature
}

// sign makes the signature by hand, so that a header may claim whatever it likes.
func (w *world) sign(t testing.TB, key, alg, signing string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(signing))
	var signature []byte
	var err error
	switch {
	case key == "none":
		return ""
	case key == "hmac":
		public, marshalErr := x509.MarshalPKIXPublicKey(w.idp.rsa.Public())
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(signing))
		signature = mac.Sum(nil)
	case key == "ec":
		r, s, signErr := ecdsa.Sign(rand.Reader, w.idp.ec, digest[:])
		if signErr != nil {
			t.Fatal(signErr)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case key == "stranger":
		signature, err = rsa.SignPKCS1v15(rand.Reader, w.idp.second, crypto.SHA256, digest[:])
	case alg == "PS256":
		signature, err = rsa.SignPSS(rand.Reader, w.idp.rsa, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	default:
		signature, err = rsa.SignPKCS1v15(rand.Reader, w.idp.rsa, crypto.SHA256, digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(signature)
}

func put(into map[string]any, name string, value any) {
	if value == nil {
		delete(into, name)
		return
	}
	into[name] = value
}

func part(t testing.TB, members map[string]any) string {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// expand replaces the placeholders of a vector by what this run has.
func (w *world) expand(value any) any {
	switch value := value.(type) {
	case string:
		pairs := []string{
			"{endpoint}", w.service.LogoutURL(w.okta.ID), "{other endpoint}", w.service.LogoutURL(w.other.ID), "{issuer}", w.idp.issuer(),
			"{alias}", w.idp.alias(), "{public}", publicURL,
		}
		for key, user := range w.people {
			pairs = append(pairs, "{"+key+".id}", user.ID.String())
		}
		return strings.NewReplacer(pairs...).Replace(value)
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = w.expand(item)
		}
		return out
	}
	return value
}

// send posts a logout to a connection's address and returns the answer with its body.
func (w *world) send(t testing.TB, connection core.ID, query, contentType, token, body string) (*http.Response, string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/webhooks/"+connection.String()+"/universal-logout"+query, strings.NewReader(body))
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	answer := recorder.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}
