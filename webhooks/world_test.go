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
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/webhooks"
	"postern/webhooks/keys"
)

const publicURL = "https://postern.example.com"

// world is two workspaces with their identity providers, people and live sessions.
type world struct {
	*coretest.Core
	service *webhooks.Service
	engine  *gin.Engine
	idp     *provider
	tokens  atomic.Int64
	token   string        // of the vector request before
	ahead   time.Duration // how far the service's clock is ahead of the directory's

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
	w := &world{Core: coretest.On(t, db, nil), idp: newProvider(t), people: map[string]directory.User{}, sessions: map[string]seal.Secret{}}
	w.Signals.PublicURL, w.Signals.Now = publicURL, func() time.Time { return time.Now().Add(w.ahead) }
	w.service = &webhooks.Service{
		DB: db, Directory: w.Directory, Signals: w.Signals, PublicURL: publicURL + "/", Log: slog.New(slog.DiscardHandler),
		Now: w.Signals.Now,
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
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if w.acme, err = w.Directory.CreateWorkspace(ctx, tx, cause, "acme", "Acme"); err != nil {
			return err
		}
		if w.globex, err = w.Directory.CreateWorkspace(ctx, tx, cause, "globex", "Globex"); err != nil {
			return err
		}
		wanted := directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: w.idp.issuer(), ClientID: "client-1", LogoutIssuers: []string{w.idp.alias()}}
		if w.okta, err = w.Directory.CreateConnection(ctx, tx, cause, w.acme.ID, wanted); err != nil {
			return err
		}
		if w.theirs, err = w.Directory.CreateConnection(ctx, tx, cause, w.globex.ID, wanted); err != nil {
			return err
		}
		wanted.Name = "Other"
		w.other, err = w.Directory.CreateConnection(ctx, tx, cause, w.acme.ID, wanted)
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
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			user, err := w.Directory.InsertUser(ctx, tx, directory.User{
				Workspace: person.connection.Workspace, Connection: person.connection.ID, UserName: person.userName, Email: person.email,
				ExternalID: person.external, DisplayName: person.key, Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			w.people[person.key] = user
			return w.Directory.LinkIdentity(ctx, tx, user.Workspace, user.Connection, w.idp.issuer(), "sub-"+person.key, user.ID)
		})
	}
}

// signIn gives everybody who has none a live session.
func (w *world) signIn(t testing.TB) {
	t.Helper()
	for key, user := range w.people {
		if w.signedIn(t, key) {
			continue
		}
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
			_, w.sessions[key], err = w.Directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
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
	_, _, err := w.Directory.Authenticate(t.Context(), token)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

// events gives the events of a type, of one workspace, that are not yet sequenced, in order.
func (w *world) events(t testing.TB, workspace core.ID, kind core.EventType) []core.Event {
	t.Helper()
	rows, err := w.DB.Query(t.Context(), `select event from audit_outbox where workspace_id = @workspace and type = @type order by xid, number`,
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

// tokenSpec is how a vector describes a token.
type tokenSpec struct {
	Same          bool           `json:"same"`          // the token of the request before, unchanged
	Authorization *string        `json:"authorization"` // the header, instead of a token
	Signing       string         `json:"signing"`       // rs256 (default), es256, ps256, none, hs256-public (the public key as shared secret), other-key
	Header        map[string]any `json:"header"`        // over typ, alg and kid; null takes out
	RawHeader     string         `json:"raw_header"`    // instead
	Claims        map[string]any `json:"claims"`        // none: right ones
	Payload       string         `json:"payload"`       // instead of claims
	Tamper        bool           `json:"tamper"`        // the payload is changed after signing
}

var rightClaims = map[string]any{
	"jti": "{{jti}}", "iss": "{{issuer}}", "sub": "{{client}}", "aud": "{{audience}}", "exp": "{{now+300}}", "nbf": "{{now-300}}", "iat": "{{now}}",
}

// mint makes the token of a spec.
func (w *world) mint(t testing.TB, spec tokenSpec) string {
	t.Helper()
	w.tokens.Add(1)
	alg, kid := "RS256", "rsa-1"
	switch spec.Signing {
	case "es256":
		alg, kid = "ES256", "ec-1"
	case "ps256":
		alg = "PS256"
	case "hs256-public":
		alg = "HS256"
	case "none":
		alg = "none"
	}
	members := map[string]any{"typ": "global-token-revocation+jwt", "alg": alg, "kid": kid}
	for name, value := range spec.Header {
		put(members, name, value)
	}
	header, payload := spec.RawHeader, spec.Payload
	if header == "" {
		header = written(t, members)
	}
	if payload == "" {
		claims := spec.Claims
		if claims == nil {
			claims = rightClaims
		}
		payload = written(t, claims)
	}
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(w.expand(text))) }
	signing := encode(header) + "." + encode(payload)
	signature := w.sign(t, spec.Signing, signing)
	if spec.Tamper {
		signing = encode(header) + "." + encode(strings.Replace(payload, "{", `{"sub_extra":true,`, 1))
	}
	return signing + "." + signature
}

// sign makes the signature by hand, so that a header may claim whatever it likes.
func (w *world) sign(t testing.TB, method, signing string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(signing))
	var signature []byte
	var err error
	switch method {
	case "none":
		return ""
	case "hs256-public":
		public, marshalErr := x509.MarshalPKIXPublicKey(w.idp.rsa.Public())
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(signing))
		signature = mac.Sum(nil)
	case "es256":
		r, s, signErr := ecdsa.Sign(rand.Reader, w.idp.ec, digest[:])
		if signErr != nil {
			t.Fatal(signErr)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "other-key":
		signature, err = rsa.SignPKCS1v15(rand.Reader, w.idp.second, crypto.SHA256, digest[:])
	case "ps256":
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

func written(t testing.TB, members map[string]any) string {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// moment is a time of a vector: a number, in the quotes that JSON wants around a placeholder.
var moment = regexp.MustCompile(`"?\{\{now([+-][0-9.]+)?\}\}"?`)

// expand replaces the placeholders of a vector by what this run has.
func (w *world) expand(text string) string {
	text = moment.ReplaceAllStringFunc(text, func(found string) string {
		offset, _ := strconv.ParseFloat(moment.FindStringSubmatch(found)[1], 64)
		return strconv.FormatFloat(float64(w.service.Now().Unix())+offset, 'f', -1, 64)
	})
	return strings.NewReplacer(
		"{{jti}}", fmt.Sprint("token-", w.tokens.Load()), "{{issuer}}", w.idp.issuer(), "{{alias}}", w.idp.alias(), "{{client}}", "client-1", "{{kid}}", "rsa-1",
		"{{audience}}", w.service.LogoutURL(w.okta.ID), "{{other-audience}}", w.service.LogoutURL(w.other.ID), "{{public}}", publicURL,
		"{{email}}", "ana.ito@example.com", "{{email-upper}}", "ANA.ITO@EXAMPLE.COM", "{{email-shared}}", "shared@example.com",
		"{{email-nobody}}", "nobody@example.com", "{{email-as-name}}", "noe@example.com", "{{email-other}}", "carl@example.com",
		"{{sub}}", "sub-ana", "{{external}}", "00uana", "{{external-upper}}", "00UANA",
		"{{id}}", w.people["ana"].ID.String(), "{{other-id}}", w.people["carl"].ID.String(), "{{their-id}}", w.people["their-ana"].ID.String(),
		"{{large}}", `{"sub_id":{"format":"email","email":"ana.ito@example.com"},"pad":"`+strings.Repeat("a", 64<<10)+`"}`,
	).Replace(text)
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
