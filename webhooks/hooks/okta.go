package hooks

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
)

// challenge answers Okta's one-time verification (concepts/event-hooks, "One-time verification request"). It
// carries no secret, so it is echoed for a connection with such a hook and proves only that Okta reaches us.
func (s *Service) challenge(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("X-Content-Type-Options", "nosniff")
	challenge := c.GetHeader("X-Okta-Verification-Challenge")
	refuse := func() { c.JSON(http.StatusUnauthorized, gin.H{"error": stageSecret}) }
	id, err := core.ParseID(c.Param("connection"))
	if err != nil || challenge == "" || len(challenge) > 1024 {
		refuse()
		return
	}
	ctx := c.Request.Context()
	connection, err := s.Directory.ConnectionByID(ctx, s.DB, id)
	var all []Hook
	if err == nil {
		all, err = s.hooksOf(ctx, connection.Workspace, connection.ID, Okta)
	}
	if err != nil && core.KindOf(err) != core.KindNotFound {
		_ = c.Error(err)
		c.JSON(http.StatusServiceUnavailable, gin.H{"error": "temporarily_unavailable"})
		return
	}
	if len(all) == 0 {
		refuse()
		return
	}
	var ids []core.ID
	for _, one := range all {
		ids = append(ids, one.ID)
	}
	if err := s.proven(ctx, connection.Workspace, ids...); err != nil {
		s.warn(ctx, "a verification could not be kept", all[0].ID, err)
	}
	c.JSON(http.StatusOK, gin.H{"verification": challenge})
}

// delivered is what an Event Hook posts.
type delivered struct {
	EventType string `json:"eventType"`
	EventID   string `json:"eventId"`
	Data      struct {
		Events []json.RawMessage `json:"events"`
	} `json:"data"`
}

// logEvent is one event as the System Log tells it.
type logEvent struct {
	UUID        string       `json:"uuid"`
	Published   time.Time    `json:"published"`
	EventType   string       `json:"eventType"`
	Actor       *oktaEntity  `json:"actor"`
	Target      []oktaEntity `json:"target"`
	Outcome     *oktaOutcome `json:"outcome"`
	Transaction struct {
		ID string `json:"id"`
	} `json:"transaction"`
	Authentication struct {
		SessionID string `json:"externalSessionId"`
	} `json:"authenticationContext"`
	Debug struct {
		Data map[string]any `json:"debugData"`
	} `json:"debugContext"`
	raw []byte
}

type oktaEntity struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	AlternateID string `json:"alternateId"`
	DisplayName string `json:"displayName"`
}

type oktaOutcome struct {
	Result string `json:"result"`
	Reason string `json:"reason"`
}

// okta takes events: a static key is all that proves them. Okta waits three seconds, and asks again once, if ever.
func (s *Service) okta(c *gin.Context, in *arrival) error {
	ctx := c.Request.Context()
	all, err := s.hooksOf(ctx, in.connection.Workspace, in.connection.ID, Okta)
	if err != nil {
		return err
	}
	header := c.Request.Header.Values("Authorization")
	for _, one := range all {
		if one.hashed(strings.Join(header, "\x00"), in.received) && len(header) == 1 {
			in.hook, in.known = one, true
		}
	}
	if !in.known {
		return stranger()
	}
	if err := in.read(c); err != nil {
		return err
	}
	var said delivered
	if err := decode(in.body, &said); err != nil {
		return err
	}
	if said.EventType != "com.okta.event_hook" {
		return core.Invalid("eventType", "an Event Hook's eventType is com.okta.event_hook").WithCode(stageBody)
	}
	events, err := readLog(said.Data.Events)
	if err != nil {
		return err
	}
	for _, one := range events {
		if err := s.tell(ctx, in, one.happening(in.connection, said.EventID)); err != nil {
			return err
		}
	}
	return nil
}

// readLog reads events and puts them into the order in which they happened: they come in any.
func readLog(texts []json.RawMessage) ([]logEvent, error) {
	events := make([]logEvent, 0, len(texts))
	for _, text := range texts {
		var one logEvent
		if err := decode(text, &one); err != nil {
			return nil, err
		}
		if one.UUID == "" || len(one.UUID) > 200 || one.EventType == "" {
			return nil, core.Invalid("data.events", "an event has a uuid and an eventType").WithCode(stageBody)
		}
		one.raw = text
		events = append(events, one)
	}
	slices.SortStableFunc(events, func(one, other logEvent) int { return one.Published.Compare(other.Published) })
	return events, nil
}

// happening is what an event means. The hook and the System Log tell one and the same event, in bytes that may
// differ: its uuid alone says that it is the same.
func (e logEvent) happening(connection directory.Connection, delivery string) happening {
	rule, known := oktaTypes[e.EventType]
	if !known {
		rule.kind = signals.Other
	}
	facts := map[string]string{}
	if delivery != "" {
		facts["delivery"] = core.Cut(delivery, 100)
	}
	if e.Outcome != nil && e.Outcome.Result != "" {
		facts["outcome"] = core.Cut(e.Outcome.Result, 40)
		if rule.done && e.Outcome.Result != "SUCCESS" {
			rule.kind = signals.Other // it was tried, and did not happen
		}
	}
	if level := e.debug("riskLevel", "risk", "currentRiskLevel"); rule.kind == signals.RiskChanged && level != "" {
		facts["current_level"] = level
	}
	if rule.credential != "" {
		facts["credential_type"] = rule.credential
	}
	digest := sha256.Sum256(e.raw)
	same := sha256.Sum256([]byte(e.UUID))
	one := happening{
		id: e.UUID, kind: rule.kind, eventType: e.EventType, subject: e.subject(connection, rule.self), occurred: e.Published, digest: digest[:], same: same[:],
		facts: facts, transaction: e.debug("traceId"),
	}
	if one.transaction == "" {
		one.transaction = e.Transaction.ID
	}
	if rule.session {
		one.sid = e.Authentication.SessionID
	}
	return one
}

// debug is the first of some debug data that is said, upper case as risk levels are.
func (e logEvent) debug(names ...string) string {
	for _, name := range names {
		if text, ok := e.Debug.Data[name].(string); ok && text != "" {
			if name != "traceId" {
				// "{level=HIGH, reasons=…}" is how Okta writes a risk
				if _, rest, found := strings.Cut(text, "level="); found {
					text = strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == '}' || r == ' ' })[0]
				}
				text = strings.ToUpper(text)
			}
			return core.Cut(text, 200)
		}
	}
	return ""
}

// subject is the user among the targets. The actor is meant only by what people do to themselves: an
// administrator who suspends somebody is not the one who is suspended.
func (e logEvent) subject(connection directory.Connection, self bool) signals.Subject {
	for _, one := range e.Target {
		if one.Type == "User" && one.ID != "" {
			return one.subject(connection)
		}
	}
	if self && e.Actor != nil && e.Actor.Type == "User" && e.Actor.ID != "" {
		return e.Actor.subject(connection)
	}
	return signals.NoSubject()
}

func (o oktaEntity) subject(connection directory.Connection) signals.Subject {
	names := []signals.Subject{signals.OpaqueSubject(core.Cut(o.ID, 200))}
	if connection.Issuer != "" {
		names = append(names, signals.IssSubSubject(connection.Issuer, core.Cut(o.ID, 200)))
	}
	if o.AlternateID != "" && o.AlternateID != "unknown" {
		names = append(names, signals.EmailSubject(core.Cut(o.AlternateID, 320))) // the login, found by userName or e-mail
	}
	return signals.Subject{Format: signals.FormatAliases, Aliases: names}
}
