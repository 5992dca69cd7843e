package vectors

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // a vector signs with it to be refused
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hook is a message of a sender of hooks, and what must come of it.
type Hook struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	At          string          `json:"at"`     // whose door: other (connection), none, unknown (hook); default: the hook's
	Settings    json.RawMessage `json:"hook"`   // scheme and mapping, as the API has them
	Secret      string          `json:"secret"` // the sender's own: ed25519, whsec; default: the gateway makes one
	Rotate      *int            `json:"rotate"` // the secret is changed before, and the one before is good for so many seconds

	Method  string            `json:"method"` // default POST
	Query   string            `json:"query"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"` // as it stands, without spaces; a text is one
	Raw     string            `json:"raw"`  // instead
	Same    bool              `json:"same"` // token, and body and headers where it has none of its own: those of the message before

	Sign      string `json:"sign"`      // what is signed
	Key       string `json:"key"`       // by: current (default), previous, other, public
	Algorithm string `json:"algorithm"` // sha256 (default), sha512, sha1
	Coding    string `json:"coding"`    // of the signature: hex (default), base64
	After     string `json:"after"`     // goes behind the body after it was signed
	Grow      int    `json:"grow"`      // the body is filled up to so many bytes before it is signed

	Signing string          `json:"signing"` // of the token
	Token   json.RawMessage `json:"token"`   // its header and claims
	Payload string          `json:"payload"` // instead of claims
	Tamper  bool            `json:"tamper"`

	Graph struct { // how Microsoft Graph answers about the person
		Disabled, Gone, Sessions, Delta bool
	} `json:"graph"`
	Expect struct {
		Status     int    `json:"status"`
		Error      string `json:"error"`
		Echo       string `json:"echo"` // the whole answer
		Kind       string `json:"kind"` // of the signal that follows; "": none
		Outcome    string `json:"outcome"`
		Receipts   int    `json:"receipts"` // default: one, if there is a kind
		Ends       bool   `json:"ends"`     // the person's sessions
		Renewed    bool   `json:"renewed"`  // the subscription
		Subscribed bool   `json:"subscribed"`
	} `json:"expect"`
	Then []Hook `json:"then"`
}

// Hooks reads vectors of a hook's door. One that does not say whose message it is goes to the hook of the one before.
func Hooks(text []byte) ([]Hook, error) {
	var all []Hook
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a word that is spelled wrong tests nothing
	if err := decoder.Decode(&all); err != nil {
		return nil, err
	}
	for i := range all {
		if i > 0 && all[i].Settings == nil {
			all[i].Settings, all[i].Secret = all[i-1].Settings, all[i-1].Secret
		}
	}
	return all, nil
}

// Place tells the hooks of vectors apart.
func (h Hook) Place() string { return h.Secret + " " + string(h.Settings) }

// Receipts is how many signals follow.
func (h Hook) Receipts() int {
	if h.Expect.Receipts == 0 && h.Expect.Kind != "" {
		return 1
	}
	return h.Expect.Receipts
}

// Touches reports whether something follows for the person a vector is played with.
func (h Hook) Touches() bool {
	text := string(h.Body) + h.Raw
	return h.Expect.Ends || h.Expect.Kind != "" && (strings.Contains(text, "{{email}}") || strings.Contains(text, "{{EMAIL}}") || strings.Contains(text, "{{external}}")) ||
		slices.ContainsFunc(h.Then, Hook.Touches)
}

// Secrets are what a hook is called with.
type Secrets struct {
	Current, Previous string
	private           ed25519.PrivateKey
}

// Own makes a sender's own secret of a kind, and returns what the gateway is given.
func Own(kind string) (Secrets, string, error) {
	switch kind {
	case "ed25519":
		public, private, err := ed25519.GenerateKey(rand.Reader)
		said := "whpk_" + base64.StdEncoding.EncodeToString(public)
		return Secrets{Current: said, private: private}, said, err
	case "whsec":
		key := make([]byte, 32)
		_, err := rand.Read(key)
		said := "whsec_" + base64.StdEncoding.EncodeToString(key)
		return Secrets{Current: said}, said, err
	}
	return Secrets{}, "", fmt.Errorf("there is no kind of secret %q", kind)
}

const otherSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// Message is a message as it goes out. Token is what {{token}} stands for.
type Message struct {
	Method, Query, Body, Token string
	Header                     http.Header
	signature                  string
}

// times are numbers: where one stands alone in quotes, these go.
var times = regexp.MustCompile(`"\{\{now(_ms|[+-][0-9]+)?\}\}"|\{\{now(_ms|[+-][0-9]+)?\}\}`)

// Make makes the message of a vector as of a time, which is one for it and what follows it. values are what its
// placeholders stand for, keys sign its token, and before is the message before it.
func (h Hook) Make(now time.Time, values map[string]string, secrets Secrets, before Message, keys *Keys) (Message, error) {
	all := map[string]string{
		"secret": secrets.Current, "secret-1": secrets.Current[:max(0, len(secrets.Current)-1)], "previous": secrets.Previous, "other": otherSecret,
		"iso": now.UTC().Format(time.RFC3339Nano),
	}
	for name, value := range values {
		all[name] = value
	}
	fill := func(text string) string {
		text = times.ReplaceAllStringFunc(text, func(found string) string {
			said := strings.Trim(found, `"{}`)
			if said == "now_ms" {
				return strconv.FormatInt(now.UnixMilli(), 10)
			}
			offset, _ := strconv.ParseInt(said[len("now"):], 10, 64)
			return strconv.FormatInt(now.Unix()+offset, 10)
		})
		for name, value := range all {
			text = strings.ReplaceAll(text, "{{"+name+"}}", value)
		}
		return text
	}
	made := Message{Method: h.Method, Query: fill(h.Query), Header: http.Header{}}
	if made.Method == "" {
		made.Method = http.MethodPost
	}
	body := h.Raw
	if body == "" && len(h.Body) > 0 {
		var text string
		var compact bytes.Buffer
		if json.Unmarshal(h.Body, &text) == nil {
			body = text
		} else if err := json.Compact(&compact, h.Body); err != nil {
			return made, err
		} else {
			body = compact.String()
		}
	}
	made.Body = fill(body)
	if h.Same && body == "" {
		made.Body = before.Body
	}
	made.Body += strings.Repeat(" ", max(0, h.Grow-len(made.Body)))
	sum := sha256.Sum256([]byte(made.Body))
	all["body-sha256-hex"], all["body-sha256-base64"] = hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:])
	if err := h.sign(&made, fill, secrets); err != nil {
		return made, err
	}
	all["signature"], all["SIGNATURE"] = made.signature, strings.ToUpper(made.signature)
	all["signature-2"] = made.signature[:max(0, len(made.signature)-2)]
	all["wrong-signature"] = base64.StdEncoding.EncodeToString(sum[:])
	switch {
	case h.Same:
		made.Token, made.Header = before.Token, before.Header.Clone()
	case len(h.Token) > 0:
		var token struct {
			Header map[string]any  `json:"header"`
			Claims json.RawMessage `json:"claims"`
		}
		if err := json.Unmarshal(h.Token, &token); err != nil {
			return made, err
		}
		payload := h.Payload
		if payload == "" {
			payload = string(token.Claims)
		}
		var err error
		if made.Token, err = keys.Sign(Token{Signing: h.Signing, Header: token.Header, Payload: fill(payload), Tamper: h.Tamper}); err != nil {
			return made, err
		}
	}
	all["token"] = made.Token
	for name, value := range h.Headers {
		made.Header.Set(name, fill(value))
	}
	if made.Method == http.MethodPost && made.Header.Get("Content-Type") == "" {
		made.Header.Set("Content-Type", "application/json")
	}
	made.Body += h.After
	return made, nil
}

// sign makes the signature.
func (h Hook) sign(made *Message, fill func(string) string, secrets Secrets) error {
	if h.Sign == "" {
		return nil
	}
	text := secrets.Current
	switch h.Key {
	case "previous":
		text = secrets.Previous
	case "other":
		text = otherSecret
	}
	signed := []byte(strings.ReplaceAll(fill(h.Sign), "{{body}}", made.Body))
	var signature []byte
	if secrets.private != nil && h.Key != "public" {
		private := secrets.private
		if h.Key == "other" {
			private = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		}
		signature = ed25519.Sign(private, signed)
	} else {
		key := []byte(text)
		for _, prefix := range []string{"whsec_", "whpk_"} {
			if encoded, found := strings.CutPrefix(text, prefix); found {
				var err error
				if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
					return err
				}
			}
		}
		mac := hmac.New(map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha512": sha512.New, "sha1": sha1.New}[h.Algorithm], key)
		mac.Write(signed)
		signature = mac.Sum(nil)
	}
	if made.signature = hex.EncodeToString(signature); h.Coding == "base64" {
		made.signature = base64.StdEncoding.EncodeToString(signature)
	}
	return nil
}
