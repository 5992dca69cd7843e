package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
	"postern/webhooks"
	"postern/webhooks/hooks"
	"postern/webhooks/ssf"
)

// selfTestType is what the tokens of the self-test call themselves: no door takes such a token.
const selfTestType = "postern-self-test+jwt"

// reply is what came back through the public address.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// member is a text of a JSON answer.
func (r reply) member(name string) string {
	var members map[string]any
	_ = json.Unmarshal(r.body, &members)
	text, _ := members[name].(string)
	return text
}

// selfTest knocks at each door through the public address, as the provider would: names, TLS, proxies and routes
// are those of the provider's requests. What it sends is a well-formed token of a kind that no door takes, signed
// with a key that is thrown away. That is enough to prove the path, and opens nothing: a door says precisely at
// which check it refused, so
//
//   - the very words of the type check prove that the request reached that door of this product;
//
//   - at Universal Logout they prove that the Authorization header arrived whole, for the token was read from it: a
//     proxy that takes it away makes the door ask for one instead;
//
//   - at back-channel logout they prove that the body arrived whole, for the token was read from the form;
//
//   - at a stream the refusal of a wrong Authorization header proves the route, no more: its right header is known
//     to the transmitter alone. 'postern stream verify' proves the rest, by the transmitter itself.
//
//   - at a hook the refusal of what nobody signed proves the route and the body's way, no more; Microsoft Graph's is
//     asked as Microsoft asks, for the token it is sent, which proves all of it;
//
//   - at front-channel logout the refusal of a wrong issuer proves that the query arrived;
//
//   - a stream that is polled has no door here: its transmitter's is asked without a token, so that nothing is taken.
//
// A test issuer that the doors trust would prove more, namely that a good token is believed, which the first real
// one proves anyway; and it would be a second way to be believed. The type is checked before anything is fetched,
// so no identity provider is asked for keys.
func (d *Doctor) selfTest(ctx context.Context, connection directory.Connection, out *Diagnosis) {
	token, err := throwaway()
	if err != nil {
		out.find(Warning, "self-test", "no token could be made: "+err.Error(), "")
		return
	}
	if strings.HasPrefix(d.PublicURL, "http://") {
		out.find(Note, "self-test", "the public address has no TLS: fine on this machine alone", "")
	}
	if connection.ClientID != "" {
		d.knock(ctx, out, string(signals.UniversalLogout), (&webhooks.Service{PublicURL: d.PublicURL}).LogoutURL(connection.ID), "application/json",
			`{"sub_id":{"format":"opaque","id":"self-test"}}`, "Bearer "+token, func(r reply) string {
				challenge := r.header.Get("WWW-Authenticate")
				switch {
				case r.status == http.StatusTooManyRequests:
					return "too many wrong tokens came from this address lately: try again in some minutes"
				case r.status == http.StatusUnauthorized && strings.HasPrefix(challenge, "Bearer ") && !strings.Contains(challenge, "error="):
					return "a proxy in front of Postern takes the Authorization header away: let it pass"
				case r.status == http.StatusUnauthorized && r.member("error") == "invalid_token" && strings.Contains(r.member("error_description"), "typ"):
					return ""
				}
				return elsewhere(r)
			})
		d.knock(ctx, out, string(signals.BackChannelLogout), d.address("/sso/"+connection.ID.String()+"/backchannel-logout"), "application/x-www-form-urlencoded",
			url.Values{"logout_token": {token}}.Encode(), "", func(r reply) string {
				said := r.member("error_description")
				switch {
				case r.status != http.StatusBadRequest || r.member("error") != "invalid_request":
					return elsewhere(r)
				case strings.Contains(said, "logout_token") || strings.Contains(said, "form"):
					return "a proxy in front of Postern takes the body away or changes its Content-Type"
				case !strings.Contains(said, "typ"):
					return elsewhere(r)
				}
				return ""
			})
	}
	if connection.Issuer != "" {
		d.knock(ctx, out, string(signals.FrontChannelLogout), d.address("/sso/"+connection.ID.String()+"/frontchannel-logout?iss=urn%3Apostern%3Aself-test&sid=self-test"), "", "", "", func(r reply) string {
			switch {
			case r.status == http.StatusForbidden && bytes.Contains(r.body, []byte("wrong_issuer")):
				return ""
			case r.status == http.StatusBadRequest && bytes.Contains(r.body, []byte("unknown_need")):
				return "a proxy in front of Postern takes the query away: let it pass"
			}
			return elsewhere(r)
		})
	}
	d.testHooks(ctx, connection, out)
	d.testPolls(ctx, connection, out)
	for _, one := range out.Streams {
		if id, err := core.ParseID(one.ID); err == nil && one.Delivery == string(ssf.Push) {
			d.knock(ctx, out, string(signals.SSFPush), d.Streams.PushURL(connection.ID, id), "application/secevent+jwt", token, "Bearer "+selfTestType, func(r reply) string {
				if r.status == http.StatusBadRequest && (r.member("err") == "authentication_failed" || r.member("err") == "invalid_request") {
					return ""
				}
				return elsewhere(r)
			})
		}
	}
	d.knock(ctx, out, DoorSCIM, d.address("/scim/v2/Users"), "", "", "Bearer "+selfTestType, func(r reply) string {
		if r.status == http.StatusUnauthorized && strings.HasPrefix(r.header.Get("Content-Type"), "application/scim+json") {
			return ""
		}
		return elsewhere(r)
	})
	d.knock(ctx, out, "published keys", d.address("/jwks/"+connection.Workspace.String()), "", "", "", func(r reply) string {
		if r.status == http.StatusOK && json.Valid(r.body) {
			return ""
		}
		return elsewhere(r)
	})
}

// elsewhere says who may have answered, when it was not the door.
func elsewhere(r reply) string {
	switch {
	case r.status >= 300 && r.status < 400:
		return fmt.Sprintf("something redirects to %s: identity providers do not follow; give them the address it leads to, or end the redirect", r.header.Get("Location"))
	case r.status == http.StatusNotFound:
		return "404: a proxy routes the address elsewhere, or the public address is not Postern's"
	case r.status == http.StatusForbidden:
		return "403: a firewall in front of Postern refuses it: let POST to /webhooks/ and /sso/ pass"
	case r.status >= 500:
		return fmt.Sprintf("%d: Postern, or what stands before it, is out of order", r.status)
	}
	return fmt.Sprintf("it was answered %d, and not by this door: check what the public address leads to", r.status)
}

// knock sends one request through the public address and judges the answer; "" says that all is well.
func (d *Doctor) knock(ctx context.Context, out *Diagnosis, about, address, kind, body, authorization string, judge func(reply) string) {
	d.knockWith(ctx, d.Self, out, about, address, kind, body, authorization, judge)
}

// knockWith is knock by another client: that for addresses that others chose.
func (d *Doctor) knockWith(ctx context.Context, client *http.Client, out *Diagnosis, about, address, kind, body, authorization string, judge func(reply) string) {
	got, err := d.send(ctx, client, address, kind, body, authorization)
	about = "self-test of " + about
	if err != nil {
		out.find(Fault, about, address+" cannot be reached: "+err.Error(),
			"names, certificates and firewalls are those between this machine and the public address: the provider may fare better or worse")
		return
	}
	if wrong := judge(got); wrong != "" {
		out.find(Fault, about, "not reached through "+address, wrong)
		return
	}
	out.find(Good, about, "reached through "+address, "")
}

func (d *Doctor) send(ctx context.Context, client *http.Client, address, kind, body, authorization string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	method := http.MethodPost
	if kind == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return reply{}, plain(err)
	}
	request.Header.Set("User-Agent", hooks.SelfTester)
	request.Header.Set("Accept", "application/json")
	for name, value := range map[string]string{"Content-Type": kind, "Authorization": authorization} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	answer, err := still(client).Do(request)
	if err != nil {
		return reply{}, plain(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return reply{}, plain(err)
	}
	return reply{answer.StatusCode, answer.Header, text}, nil
}

// throwaway is a signed token nobody ever believes.
func throwaway() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType(selfTestType))
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": "urn:postern:self-test", "jti": rand.Text(), "iat": time.Now().Unix()})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func (d *Doctor) address(path string) string { return strings.TrimSuffix(d.PublicURL, "/") + path }
