package sms

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1, which is sound
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/mailbox"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/webhooks/hooks"
)

// Service is the door for SMS providers. Every field is needed except where it says otherwise.
type Service struct {
	Mailboxes *mailbox.Mailboxes
	PublicURL string           // where providers reach the gateway: Twilio signs it
	Log       *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // nil: time.Now
}

const maxBody = 64 << 10

// Mount adds the door.
func (s *Service) Mount(router gin.IRouter) {
	router.POST("/webhooks/sms/:workspace/:provider", s.receive)
}

// URL is where a provider hands over its messages.
func (s *Service) URL(workspace, provider core.ID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/webhooks/sms/" + workspace.String() + "/" + provider.String()
}

func (s *Service) receive(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	err := s.take(c)
	if err == nil || core.AsError(err).Code == "replayed" {
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return
	}
	_ = c.Error(err)
	classified := core.AsError(err)
	status := map[core.Kind]int{
		core.KindInvalid: http.StatusBadRequest, core.KindUnauthenticated: http.StatusUnauthorized, core.KindNotFound: http.StatusNotFound,
		core.KindTooLarge: http.StatusRequestEntityTooLarge, core.KindRateLimited: http.StatusTooManyRequests,
	}[classified.Kind]
	if status == 0 {
		if s.Log != nil {
			s.Log.WarnContext(c.Request.Context(), "a text message could not be taken now", "error", err)
		}
		c.Header("Retry-After", "5")
		c.JSON(http.StatusServiceUnavailable, gin.H{"error": "temporarily_unavailable"})
		return
	}
	c.JSON(status, gin.H{"error": classified.Kind.String(), "description": classified.Message})
}

// text is a message as a provider hands it over.
type text struct{ id, from, to, body string }

func (s *Service) take(c *gin.Context) error {
	ctx := c.Request.Context()
	workspace, err := core.ParseID(c.Param("workspace"))
	if err != nil {
		return stranger()
	}
	id, err := core.ParseID(c.Param("provider"))
	if err != nil {
		return stranger()
	}
	provider, secret, err := s.Mailboxes.Provider(ctx, s.Mailboxes.DB, workspace, id)
	if core.KindOf(err) == core.KindNotFound {
		return stranger()
	}
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return core.TooLarge("a message may have at most %d bytes", maxBody)
	}
	if err != nil {
		return core.Invalid("", "the body could not be read to its end").Because(err)
	}
	read := s.standard
	if provider.Kind == mailbox.Twilio {
		read = s.twilio
	}
	came, err := read(c.Request, s.URL(workspace, id), body, secret)
	if err != nil {
		return err
	}
	phone, err := mailbox.CheckPhone(came.to)
	if err != nil {
		return core.Invalid("to", "the number it was sent to is needed, in E.164")
	}
	to, err := s.Mailboxes.Called(ctx, workspace, phone)
	if err != nil {
		return err
	}
	in := mailbox.Incoming{ID: provider.ID.String() + " " + came.id, Sender: came.from}
	if came.body != "" {
		in.Text = seal.NewSecret(came.body)
	}
	_, err = s.Mailboxes.Receive(ctx, to, in)
	return err
}

func stranger() error { return core.Unauthenticated("this is no signature of the provider's") }

// twilio checks X-Twilio-Signature. Twilio leaves the port out of the address it signs, or does not.
func (s *Service) twilio(request *http.Request, address string, body []byte, secret seal.Secret) (text, error) {
	parameters, err := url.ParseQuery(string(body))
	if err != nil {
		return text{}, stranger()
	}
	if request.URL.RawQuery != "" {
		address += "?" + request.URL.RawQuery
	}
	given, err := base64.StdEncoding.DecodeString(request.Header.Get("X-Twilio-Signature"))
	if err != nil {
		return text{}, stranger()
	}
	var signed strings.Builder
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(parameters[name]))) {
			signed.WriteString(name + value)
		}
	}
	known := false
	for _, one := range spellings(address) {
		mac := hmac.New(sha1.New, []byte(secret.Reveal()))
		mac.Write([]byte(one + signed.String()))
		known = hmac.Equal(mac.Sum(nil), given) || known
	}
	if !known {
		return text{}, stranger()
	}
	came := text{parameters.Get("MessageSid"), parameters.Get("From"), parameters.Get("To"), parameters.Get("Body")}
	if came.id == "" {
		return text{}, core.Invalid("MessageSid", "the message's id is needed")
	}
	return came, nil
}

// spellings are an address with its port and without.
func spellings(address string) []string {
	parsed, err := url.Parse(address)
	if err != nil {
		return []string{address}
	}
	host := parsed.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	with := *parsed
	if parsed.Port() == "" {
		with.Host = host + map[string]string{"https": ":443", "http": ":80"}[parsed.Scheme]
	}
	parsed.Host = host
	return []string{with.String(), parsed.String()}
}

// standard checks a message of Standard Webhooks 1.0.
func (s *Service) standard(request *http.Request, _ string, body []byte, secret seal.Secret) (text, error) {
	id, err := hooks.VerifyStandard(request.Header, body, secret, postgres.Now(s.Now))
	if err != nil {
		return text{}, err
	}
	var said struct {
		Data struct{ From, To, Text string }
	}
	if json.Unmarshal(body, &said) != nil {
		return text{}, core.Invalid("", `the body is to be {"data":{"from":"+…","to":"+…","text":"…"}}`)
	}
	return text{id, said.Data.From, said.Data.To, said.Data.Text}, nil
}
