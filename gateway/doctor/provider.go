package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/connectors/guard"
	"postern/core"
	"postern/core/directory"
)

const (
	maxAnswer = 512 << 10
	// A token's times may be wrong by a minute (core/jwt.Skew): half of it is time to act.
	skewWarns, skewFaults = 5 * time.Second, 30 * time.Second
)

// Key is a public key of the identity provider.
type Key struct {
	ID        string     `json:"kid,omitempty"`
	Algorithm string     `json:"algorithm"`
	Usable    bool       `json:"usable" doc:"Signatures by it can be verified here"`
	Made      *time.Time `json:"made,omitempty" doc:"By its certificate, if it has one: a key set tells no age"`
	Ends      *time.Time `json:"ends,omitempty" doc:"By its certificate"`
}

// metadata is what is read of a discovery document.
type metadata struct {
	Issuer      string   `json:"issuer"`
	JWKSURI     string   `json:"jwks_uri"`
	Authorize   string   `json:"authorization_endpoint"`
	Token       string   `json:"token_endpoint"`
	Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	BackChannel bool     `json:"backchannel_logout_supported"`
}

// provider looks at the identity provider's discovery document, keys and clock.
func (d *Doctor) provider(ctx context.Context, connection directory.Connection, out *Diagnosis) {
	if connection.Issuer == "" {
		out.find(Warning, "discovery", "the connection has no issuer: nobody signs in through it, and no logout is believed",
			"make an OpenID Connect app at the provider, then: postern connection update "+quoted(connection.Name)+" --issuer URL --client-id ID")
		return
	}
	address := strings.TrimSuffix(connection.Issuer, "/") + "/.well-known/openid-configuration"
	body, header, err := fetch(ctx, d.HTTP, address)
	if err != nil {
		out.find(Fault, "discovery", address+" cannot be read: "+err.Error(),
			"check the issuer's spelling, and that this machine reaches it: names, firewall, proxy; a private address needs --allow-private")
		if connection.JWKSURI == "" {
			return
		}
	} else {
		d.clock(header, out)
	}
	var said metadata
	if err == nil {
		if err := json.Unmarshal(body, &said); err != nil {
			out.find(Fault, "discovery", address+" is not JSON", "the issuer is probably the address of a page for people: take the one in the app's OpenID Connect settings")
			return
		}
		d.judge(connection, said, out)
	}
	if connection.JWKSURI != "" {
		said.JWKSURI = connection.JWKSURI
	}
	d.keys(ctx, connection, said, out)
}

func (d *Doctor) judge(connection directory.Connection, said metadata, out *Diagnosis) {
	switch {
	case said.Issuer != connection.Issuer:
		out.find(Fault, "discovery", fmt.Sprintf("the document names the issuer %q, the connection %q", said.Issuer, connection.Issuer),
			"they are compared letter by letter: postern connection update "+quoted(connection.Name)+" --issuer "+said.Issuer)
		return
	case said.Authorize == "" || said.Token == "":
		out.find(Fault, "discovery", "the document names no authorization or token endpoint", "this issuer does not sign people in: take the authorization server's")
		return
	}
	out.find(Good, "discovery", "the discovery document is reachable and the issuer is right", "")
	accepted := connection.SignIn.AcceptedAlgorithms()
	if len(said.Algorithms) > 0 && !slices.ContainsFunc(said.Algorithms, func(one string) bool { return slices.Contains(accepted, one) }) {
		out.find(Fault, "discovery", "it signs ID tokens with "+strings.Join(said.Algorithms, ", ")+", and the connection accepts "+strings.Join(accepted, ", "),
			"change the app's signing algorithm to RS256, or the connection's algorithms")
	}
}

// clock compares the Date of an answer with our clock.
func (d *Doctor) clock(header http.Header, out *Diagnosis) {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		out.find(Note, "clock", "the provider's answer has no Date, so its clock cannot be compared with ours", "")
		return
	}
	// Date is cut to the second: half a second late on average.
	ahead := at.Add(500 * time.Millisecond).Sub(d.now()).Round(time.Second)
	out.Skew = new(ahead.Seconds())
	level, advice := Good, ""
	switch {
	case ahead.Abs() > skewFaults:
		level, advice = Fault, "tokens are refused as expired or not yet valid beyond a minute: let this machine keep time by NTP"
	case ahead.Abs() > skewWarns:
		level, advice = Warning, "let this machine keep time by NTP"
	}
	out.find(level, "clock", fmt.Sprintf("the provider's clock is %v ahead of ours", ahead), advice)
}

func (d *Doctor) keys(ctx context.Context, connection directory.Connection, said metadata, out *Diagnosis) {
	if said.JWKSURI == "" {
		out.find(Fault, "keys", "the discovery document names no key set", "give its address: postern connection update "+quoted(connection.Name)+" --jwks-uri URL")
		return
	}
	body, _, err := fetch(ctx, d.HTTP, said.JWKSURI)
	if err != nil {
		out.find(Fault, "keys", said.JWKSURI+" cannot be read: "+err.Error(), "nothing the provider signs can be verified: check that this machine reaches the address")
		return
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		out.find(Fault, "keys", said.JWKSURI+" is no key set", "give the right address: postern connection update "+quoted(connection.Name)+" --jwks-uri URL")
		return
	}
	usable := 0
	for _, raw := range set.Keys {
		one := keyOf(raw)
		out.Keys = append(out.Keys, one)
		if one.Usable {
			usable++
		}
		if one.Ends != nil && one.Ends.Before(d.now()) {
			out.find(Note, "keys", "the certificate of the key "+one.ID+" ended "+one.Ends.UTC().Format(time.DateOnly), "signatures are believed all the same; ask the provider's administrators whether it is still meant")
		}
	}
	if usable == 0 {
		out.find(Fault, "keys", fmt.Sprintf("of %d keys none can verify a signature", len(set.Keys)), "the provider has to sign with RSA of 2048 bits or more, or with an elliptic curve; shared secrets (HS256) are never believed")
		return
	}
	out.find(Good, "keys", fmt.Sprintf("%d of %d keys can verify signatures", usable, len(set.Keys)), "")
}

func keyOf(raw []byte) Key {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(raw); err != nil {
		return Key{Algorithm: "unknown"}
	}
	one := Key{ID: key.KeyID, Algorithm: key.Algorithm}
	sort := ""
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		sort, one.Usable = fmt.Sprintf("RSA %d", public.N.BitLen()), public.N.BitLen() >= 2048 && public.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		sort, one.Usable = public.Curve.Params().Name, true
	case ed25519.PublicKey:
		sort, one.Usable = "Ed25519", true
	default:
		sort = "not a public key"
	}
	one.Usable = one.Usable && key.Valid() && (key.Use == "" || key.Use == "sig")
	if one.Algorithm = strings.TrimSpace(one.Algorithm + " " + sort); key.Use != "" && key.Use != "sig" {
		one.Algorithm += " (for " + key.Use + ")"
	}
	if len(key.Certificates) > 0 {
		one.Made, one.Ends = new(key.Certificates[0].NotBefore), new(key.Certificates[0].NotAfter)
	}
	return one
}

// fetch reads a document; its error is for a person.
func fetch(ctx context.Context, client *http.Client, address string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		return nil, nil, fmt.Errorf("it is no address")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("it is no address")
	}
	request.Header.Set("Accept", "application/json")
	answer, err := still(client).Do(request)
	if err != nil {
		return nil, nil, plain(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, nil, plain(err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, answer.Header, fmt.Errorf("it answers %d", answer.StatusCode)
	}
	return body, answer.Header, nil
}

// still follows no redirect.
func still(client *http.Client) *http.Client {
	copied := *client
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// plain is an error of a client for a person: without the address around it.
func plain(err error) error {
	if guarded := guard.Error(err); core.AsError(guarded).Kind != core.KindInternal {
		return fmt.Errorf("%s", core.AsError(guarded).Message)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

func quoted(name string) string { return fmt.Sprintf("%q", name) }
