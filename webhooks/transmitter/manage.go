package transmitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/seal"
	"postern/webhooks/delivery"
)

const maxBody = 256 << 10

// settings are what a receiver may say of a stream (Shared Signals Framework 1.0 §8.1.1). Members that are not
// known are passed over.
type settings struct {
	ID          string          `json:"stream_id"`
	Issuer      *string         `json:"iss"`
	Audience    json.RawMessage `json:"aud"`
	Requested   *[]string       `json:"events_requested"`
	Description *string         `json:"description"`
	Delivery    *struct {
		Method        string  `json:"method"`
		URL           string  `json:"endpoint_url"`
		Authorization *string `json:"authorization_header"`
	} `json:"delivery"`
}

// take reads a request's body to its end, if it is no larger than allowed, before anything else is done.
func take(c *gin.Context) error {
	large := core.TooLarge("a request body may have at most %d bytes", maxBody)
	if c.Request.Body == nil || c.Request.Method == http.MethodGet {
		return nil
	}
	if c.Request.ContentLength > maxBody {
		return large
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return large
	}
	if err != nil {
		return core.Invalid("", "the body could not be read to its end")
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(text))
	return nil
}

// body reads a request's JSON object.
func body(c *gin.Context, into any) error {
	text, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return core.Invalid("", "the body could not be read to its end")
	}
	if err := json.Unmarshal(text, into); err != nil || !strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		return core.Invalid("", "the body is not the JSON object that is expected")
	}
	return nil
}

// shown is a stream as its receiver sees it.
func (s *Service) shown(by caller, stream Stream) gin.H {
	way := gin.H{"method": methodPush, "endpoint_url": stream.EndpointURL}
	if stream.Delivery == "poll" {
		way = gin.H{"method": methodPoll, "endpoint_url": s.at(stream.Workspace, "/poll")}
	}
	out := gin.H{
		"stream_id": stream.ID.String(), "iss": s.Issuer(stream.Workspace), "aud": by.receiver.Audience, "delivery": way,
		"events_supported": Supported(), "events_requested": list(stream.Requested), "events_delivered": list(stream.Delivered),
		"min_verification_interval": int(MinVerification.Seconds()), "inactivity_timeout": int(delivery.MostWait.Seconds()),
	}
	if stream.Description != "" {
		out["description"] = stream.Description
	}
	return out
}

// into takes over what is said. whole has what is not said go back to its beginnings.
func (s *Service) into(said settings, by caller, stream *Stream, whole bool) (header seal.Secret, err error) {
	if said.Issuer != nil && *said.Issuer != s.Issuer(by.receiver.Workspace) {
		return header, core.Invalid("iss", "the transmitter sets iss")
	}
	if len(said.Audience) > 0 && !means(said.Audience, by.receiver.Audience) {
		return header, core.Invalid("aud", "the transmitter sets aud")
	}
	if whole || said.Requested != nil {
		stream.Requested = Supported()
		if said.Requested != nil {
			stream.Requested = *said.Requested
		}
		if len(stream.Requested) > 100 {
			return header, core.Invalid("events_requested", "at most 100 event types")
		}
		for _, uri := range stream.Requested {
			if uri == "" || len(uri) > 300 {
				return header, core.Invalid("events_requested", "an event type is a URI")
			}
		}
		stream.Delivered = deliverable(stream.Requested)
	}
	if whole || said.Description != nil {
		stream.Description = ""
		if said.Description != nil {
			stream.Description = core.Cut(*said.Description, 500)
		}
	}
	switch {
	case said.Delivery == nil && whole:
		stream.Delivery, stream.EndpointURL = "poll", ""
	case said.Delivery == nil:
	case said.Delivery.Method == methodPoll || said.Delivery.Method == "":
		if said.Delivery.Method == "" && said.Delivery.URL != "" {
			return header, core.Invalid("delivery.method", "delivery.method is missing")
		}
		stream.Delivery, stream.EndpointURL = "poll", ""
	case said.Delivery.Method == methodPush:
		if err := s.checkEndpoint(said.Delivery.URL); err != nil {
			return header, err
		}
		stream.Delivery, stream.EndpointURL = "push", said.Delivery.URL
		if given := said.Delivery.Authorization; given != nil && *given != "" {
			if len(*given) > 4096 || strings.ContainsAny(*given, "\r\n\x00") {
				return header, core.Invalid("delivery.authorization_header", "it is no value for a header")
			}
			header = seal.NewSecret(*given)
		}
	default:
		return header, core.Invalid("delivery.method", "delivery is by %s or %s", methodPush, methodPoll)
	}
	return header, nil
}

// means reports whether aud, a text or a list, is what we set.
func means(raw json.RawMessage, audience string) bool {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one == audience
	}
	var many []string
	return json.Unmarshal(raw, &many) == nil && len(many) == 1 && many[0] == audience
}

func (s *Service) create(c *gin.Context, by caller) error {
	var said settings
	if err := body(c, &said); err != nil {
		return err
	}
	var wanted Stream
	header, err := s.into(said, by, &wanted, true)
	if err != nil {
		return err
	}
	made, err := s.openStream(c.Request.Context(), by, wanted, header)
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, s.shown(by, made))
	return nil
}

// own is the caller's stream, which the request has to name.
func (s *Service) own(c *gin.Context, by caller, named string) (Stream, error) {
	if named == "" {
		return Stream{}, core.Invalid("stream_id", "stream_id is missing")
	}
	stream, err := s.StreamOf(c.Request.Context(), s.DB, by.receiver.Workspace, by.receiver.ID)
	if err == nil && stream.ID.String() != strings.ToLower(named) {
		return Stream{}, core.NotFound("stream")
	}
	return stream, err
}

func (s *Service) read(c *gin.Context, by caller) error {
	if named, asked := c.GetQuery("stream_id"); asked {
		stream, err := s.own(c, by, named)
		if err == nil {
			c.JSON(http.StatusOK, s.shown(by, stream))
		}
		return err
	}
	all := []gin.H{}
	stream, err := s.StreamOf(c.Request.Context(), s.DB, by.receiver.Workspace, by.receiver.ID)
	if err == nil {
		all = append(all, s.shown(by, stream))
	} else if core.KindOf(err) != core.KindNotFound {
		return err
	}
	c.JSON(http.StatusOK, all)
	return nil
}

func (s *Service) update(c *gin.Context, by caller) error { return s.edit(c, by, false) }

func (s *Service) replace(c *gin.Context, by caller) error { return s.edit(c, by, true) }

func (s *Service) edit(c *gin.Context, by caller, whole bool) error {
	var said settings
	if err := body(c, &said); err != nil {
		return err
	}
	if said.ID == "" {
		said.ID = c.Query("stream_id")
	}
	stream, err := s.own(c, by, said.ID)
	if err != nil {
		return err
	}
	header, err := s.into(said, by, &stream, whole)
	if err != nil {
		return err
	}
	if stream, err = s.keepStream(c.Request.Context(), by, stream, header, whole || said.Delivery != nil); err != nil {
		return err
	}
	c.JSON(http.StatusOK, s.shown(by, stream))
	return nil
}

func (s *Service) delete(c *gin.Context, by caller) error {
	stream, err := s.own(c, by, c.Query("stream_id"))
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	if err := s.changing(ctx, by.cause, by.receiver, "stream", "deleted", func(tx pgx.Tx) error {
		return s.Deliveries.Close(ctx, tx, stream.Workspace, stream.ID)
	}); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

func statement(stream Stream) gin.H {
	out := gin.H{"stream_id": stream.ID.String(), "status": stream.Status()}
	if stream.Reason != "" {
		out["reason"] = stream.Reason
	}
	return out
}

func (s *Service) status(c *gin.Context, by caller) error {
	stream, err := s.own(c, by, c.Query("stream_id"))
	if err == nil {
		c.JSON(http.StatusOK, statement(stream))
	}
	return err
}

func (s *Service) setStatus(c *gin.Context, by caller) error {
	var said struct {
		ID     string `json:"stream_id"`
		Status string `json:"status"`
		Reason string `json:"reason"`
	}
	if err := body(c, &said); err != nil {
		return err
	}
	stream, err := s.own(c, by, said.ID)
	if err != nil {
		return err
	}
	if err := s.turn(c.Request.Context(), by.cause, by.receiver, said.Status, said.Reason, false); err != nil {
		return err
	}
	if stream, err = s.own(c, by, stream.ID.String()); err == nil {
		c.JSON(http.StatusOK, statement(stream))
	}
	return err
}

const (
	insertRemoved = `
insert into transmitter_removed_subjects (workspace_id, stream_id, subject, removed) values (@workspace, @stream, @subject, @now)
on conflict (workspace_id, stream_id, subject) do nothing`
	deleteRemoved = `delete from transmitter_removed_subjects where workspace_id = @workspace and stream_id = @stream and subject = @subject`
	countRemoved  = `select count(*) from transmitter_removed_subjects where workspace_id = @workspace and stream_id = @stream`
)

const askVerification = `

update transmitter_streams set verify_asked = @now
where workspace_id = @workspace and id = @id and (verify_asked is null or verify_asked <= @before)`

// verify has a verification event sent through the stream (§8.1.4).
func (s *Service) verify(c *gin.Context, by caller) error {
	var said struct {
		ID    string  `json:"stream_id"`
		State *string `json:"state"`
	}
	if err := body(c, &said); err != nil {
		return err
	}
	stream, err := s.own(c, by, said.ID)
	if err != nil {
		return err
	}
	if said.State != nil && len(*said.State) > 1000 {
		return core.Invalid("state", "a state has at most 1000 bytes")
	}
	if stream.State == delivery.Disabled {
		return core.Invalid("stream_id", "the stream is disabled")
	}
	ctx, now := c.Request.Context(), s.now()
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, askVerification, pgx.StrictNamedArgs{"workspace": stream.Workspace, "id": stream.ID, "now": now, "before": now.Add(-MinVerification)})
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return &core.Error{Kind: core.KindRateLimited, RetryAfter: MinVerification, Message: "a stream is verified at most once in " + MinVerification.String()}
		}
		event := map[string]any{}
		if said.State != nil {
			event["state"] = *said.State
		}
		return s.addControl(ctx, tx, by.receiver, stream, eventVerification, event, false)
	})
	if err != nil {
		return err
	}
	s.wake()
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}
