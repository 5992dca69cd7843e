package ssf

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"postern/core"
)

// configuration is a stream as its transmitter has it (Shared Signals Framework 1.0 §8.1.1).
type configuration struct {
	ID          string    `json:"stream_id,omitempty"`
	Issuer      string    `json:"iss,omitempty"`
	Audience    audience  `json:"aud,omitempty"`
	Supported   []string  `json:"events_supported,omitempty"`
	Requested   []string  `json:"events_requested,omitempty"`
	Delivered   []string  `json:"events_delivered,omitempty"`
	Delivery    *delivery `json:"delivery,omitempty"`
	Description string    `json:"description,omitempty"`
	Interval    int       `json:"min_verification_interval,omitempty"`
	Inactivity  int       `json:"inactivity_timeout,omitempty"`
}

type delivery struct {
	Method        string `json:"method,omitempty"`
	URL           string `json:"endpoint_url,omitempty"`
	Authorization string `json:"authorization_header,omitempty"`
}

// audience is one text or a list.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// statement is a stream's status (§8.1.2).
type statement struct {
	ID     string `json:"stream_id,omitempty"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// call asks something of a stream's transmitter. A credential that is refused is fetched anew, once.
func (s *Service) call(ctx context.Context, stream Stream, what, method, address string, body any) (answer, error) {
	if address == "" {
		return answer{}, core.Conflict("", "%s: the transmitter does not offer it", what).WithCode("unsupported")
	}
	for attempt := 0; ; attempt++ {
		token, err := s.token(ctx, stream)
		if err != nil {
			return answer{}, err
		}
		got, err := exchange{client: s.HTTP, method: method, address: address, token: token, body: body}.do(ctx)
		if err != nil {
			return answer{}, err
		}
		if got.status == http.StatusUnauthorized && stream.Access.oauth() && attempt == 0 {
			s.forget(stream)
			continue
		}
		if got.status >= 200 && got.status < 300 {
			return got, nil
		}
		return got, got.refusal(what)
	}
}

// of is an endpoint about one stream.
func of(address, stream string) string {
	parsed, err := url.Parse(address)
	if address == "" || err != nil || stream == "" {
		return address
	}
	query := parsed.Query()
	query.Set("stream_id", stream)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

func (s *Service) remoteCreate(ctx context.Context, stream Stream, wanted configuration) (configuration, error) {
	var made configuration
	got, err := s.call(ctx, stream, "creating the stream", http.MethodPost, stream.Metadata.Streams, wanted)
	if err != nil {
		return configuration{}, err
	}
	err = got.read(&made)
	return made, err
}

// remoteStreams lists what the transmitter has for us. Some answer with the only one instead of a list.
func (s *Service) remoteStreams(ctx context.Context, stream Stream) ([]configuration, error) {
	got, err := s.call(ctx, stream, "listing the streams", http.MethodGet, stream.Metadata.Streams, nil)
	if err != nil {
		return nil, err
	}
	var list []configuration
	if json.Unmarshal(got.body, &list) == nil {
		return list, nil
	}
	var single configuration
	if err := got.read(&single); err != nil {
		return nil, err
	}
	return []configuration{single}, nil
}

func (s *Service) remoteRead(ctx context.Context, stream Stream) (configuration, error) {
	var found configuration
	got, err := s.call(ctx, stream, "reading the stream", http.MethodGet, of(stream.Metadata.Streams, stream.RemoteID), nil)
	if err != nil {
		return configuration{}, err
	}
	err = got.read(&found)
	return found, err
}

// remoteUpdate changes what is given. A transmitter that cannot do so has the whole replaced. A stream without
// an id is the answer of one that says nothing about it.
func (s *Service) remoteUpdate(ctx context.Context, stream Stream, changed, whole configuration) (made configuration, replaced bool, err error) {
	changed.ID, whole.ID = stream.RemoteID, stream.RemoteID
	address := of(stream.Metadata.Streams, stream.RemoteID)
	got, err := s.call(ctx, stream, "changing the stream", http.MethodPatch, address, changed)
	if err != nil && (got.status == http.StatusMethodNotAllowed || got.status == http.StatusNotImplemented) {
		replaced = true
		got, err = s.call(ctx, stream, "replacing the stream", http.MethodPut, address, whole)
	}
	if err != nil || got.status == http.StatusAccepted || got.status == http.StatusNoContent {
		return configuration{}, replaced, err
	}
	err = got.read(&made)
	return made, replaced, err
}

// remoteDelete ends a stream; one that is gone already is fine.
func (s *Service) remoteDelete(ctx context.Context, stream Stream) error {
	_, err := s.call(ctx, stream, "deleting the stream", http.MethodDelete, of(stream.Metadata.Streams, stream.RemoteID), nil)
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	return err
}

func (s *Service) remoteStatus(ctx context.Context, stream Stream) (statement, error) {
	var found statement
	got, err := s.call(ctx, stream, "asking for the status", http.MethodGet, of(stream.Metadata.Status, stream.RemoteID), nil)
	if err != nil {
		return statement{}, err
	}
	err = got.read(&found)
	return found, err
}

func (s *Service) remoteSetStatus(ctx context.Context, stream Stream, wanted Status, reason string) (statement, error) {
	said := statement{ID: stream.RemoteID, Status: wanted, Reason: reason}
	got, err := s.call(ctx, stream, "setting the status", http.MethodPost, stream.Metadata.Status, said)
	if err != nil || got.status == http.StatusAccepted || len(got.body) == 0 {
		return said, err
	}
	found := said
	err = got.read(&found)
	return found, err
}

func (s *Service) remoteVerify(ctx context.Context, stream Stream, state string) error {
	_, err := s.call(ctx, stream, "asking for a verification", http.MethodPost, stream.Metadata.Verification,
		map[string]string{"stream_id": stream.RemoteID, "state": state})
	return err
}

// remoteSubject adds or removes somebody (§8.1.3).
func (s *Service) remoteSubject(ctx context.Context, stream Stream, add bool, subject json.RawMessage) error {
	body := map[string]any{"stream_id": stream.RemoteID, "subject": subject}
	if !add {
		_, err := s.call(ctx, stream, "removing a subject", http.MethodPost, stream.Metadata.Remove, body)
		return err
	}
	body["verified"] = true
	_, err := s.call(ctx, stream, "adding a subject", http.MethodPost, stream.Metadata.Add, body)
	return err
}
