package scim

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"postern/core"
	"postern/core/seal"
)

const (
	maxTokenRequest = 64 << 10
	maxParameters   = 32
	tokenScope      = "scim"
	jwtAssertion    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// The codes of a token request's refusal (RFC 6749 §5.2).
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	unsupportedGrantType = "unsupported_grant_type"
)

// The ways a client shows who it is, as OAuth names them.
const (
	secretBasic = "client_secret_basic"
	secretPost  = "client_secret_post"
	signedJWT   = "private_key_jwt"
)

// tokenRequest is a request for an access token, well-formed but not yet believed.
type tokenRequest struct {
	method    string // secretBasic, secretPost or signedJWT
	clientID  string // with an assertion it may be empty
	secret    seal.Secret
	assertion seal.Secret
}

// readTokenRequest reads what a client sends to the token endpoint (RFC 6749 §2.3.1 and §4.4.2, RFC
// 7521 §4.2). Whatever scope is asked for, there is one, and the answer names it (RFC 6749 §3.3): some
// clients ask for scim.readwrite. Its errors carry one of the codes above, and never a value that was sent.
func readTokenRequest(writer http.ResponseWriter, request *http.Request) (tokenRequest, error) {
	form, err := readForm(writer, request)
	if err != nil {
		return tokenRequest{}, err
	}
	read, err := readClient(request.Header, form)
	if err != nil {
		return tokenRequest{}, err
	}
	switch form["grant_type"] {
	case "client_credentials":
	case "":
		return tokenRequest{}, core.Invalid("grant_type", "send grant_type=client_credentials").WithCode(invalidRequest)
	default:
		return tokenRequest{}, core.Invalid("grant_type", "only client_credentials is granted").WithCode(unsupportedGrantType)
	}
	return read, nil
}

// readForm reads a form in which no parameter comes twice. One without a value counts as left out.
func readForm(writer http.ResponseWriter, request *http.Request) (map[string]string, error) {
	refuse := func(format string, args ...any) error {
		return core.Invalid("", format, args...).WithCode(invalidRequest)
	}
	media, parameters, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	charset := parameters["charset"]
	if err != nil || media != "application/x-www-form-urlencoded" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, refuse("send application/x-www-form-urlencoded in UTF-8")
	}
	if encoding := request.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, refuse("send the form uncompressed")
	}
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, maxTokenRequest))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, core.TooLarge("a token request may have %d bytes", maxTokenRequest).WithCode(invalidRequest)
	}
	if err != nil {
		return nil, refuse("the body could not be read to its end")
	}
	if strings.Count(string(body), "&") >= maxParameters {
		return nil, refuse("a token request has at most %d parameters", maxParameters)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse("the form cannot be read")
	}
	form := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) != 1 {
			return nil, refuse("no parameter may come twice")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(all[0]) || strings.ContainsRune(all[0], 0) {
			return nil, refuse("send text in UTF-8")
		}
		form[name] = all[0]
	}
	return form, nil
}

// readClient reads how the client shows who it is: in one way, never in two.
func readClient(header http.Header, form map[string]string) (tokenRequest, error) {
	twice := core.Invalid("", "show who the client is in one way only").WithCode(invalidRequest)
	unknown := core.Unauthenticated("the client has to show who it is: HTTP Basic, client_secret or client_assertion").WithCode(invalidClient)
	id, secret, assertion := form["client_id"], form["client_secret"], form["client_assertion"]
	values := header.Values("Authorization")
	switch {
	case len(values) > 1:
		return tokenRequest{}, twice
	case len(values) == 1:
		name, password, ok := basicClient(values[0])
		if !ok {
			return tokenRequest{}, unknown
		}
		if secret != "" || assertion != "" || id != "" && id != name {
			return tokenRequest{}, twice
		}
		return tokenRequest{method: secretBasic, clientID: name, secret: password}, nil
	case assertion != "" && secret != "":
		return tokenRequest{}, twice
	case assertion != "":
		if form["client_assertion_type"] != jwtAssertion {
			return tokenRequest{}, core.Unauthenticated("client_assertion_type has to be %s", jwtAssertion).WithCode(invalidClient)
		}
		return tokenRequest{method: signedJWT, clientID: id, assertion: seal.NewSecret(assertion)}, nil
	case id != "" && secret != "":
		return tokenRequest{method: secretPost, clientID: id, secret: seal.NewSecret(secret)}, nil
	}
	return tokenRequest{}, unknown
}

// basicClient reads HTTP Basic as OAuth has it: id and secret are form-urlencoded first.
func basicClient(value string) (id string, secret seal.Secret, ok bool) {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", seal.Secret{}, false
	}
	text, err := base64.StdEncoding.DecodeString(strings.Trim(encoded, " "))
	if err != nil {
		return "", seal.Secret{}, false
	}
	before, after, ok := strings.Cut(string(text), ":")
	id, badID := url.QueryUnescape(before)
	password, badSecret := url.QueryUnescape(after)
	ok = ok && badID == nil && badSecret == nil && id != "" && password != "" && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
	return id, seal.NewSecret(password), ok
}
