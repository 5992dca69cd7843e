package transmitter

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/webhooks/delivery"
)

const (
	setType = "secevent+jwt"
	maxSets = 100
)

// push sends one token (RFC 8935 §2).
func (s *Service) push(ctx context.Context, lane delivery.Lane, one delivery.Delivery) delivery.Outcome {
	stream, err := oneStream(ctx, s.DB, selectStream, lane.Workspace, lane.ID)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Again, Why: "the stream cannot be read"}
	}
	compact, err := s.Sign(ctx, one.Workspace, setType, one.Payload)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Again, Why: "the token cannot be signed: " + core.AsError(err).Message}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, stream.EndpointURL, strings.NewReader(compact))
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Refused, Why: "the endpoint's address cannot be used"}
	}
	request.Header.Set("Content-Type", "application/"+setType)
	request.Header.Set("Accept", "application/json")
	if stream.HeaderVersion > 0 {
		header, err := s.Vault.Open(ctx, s.DB, stream.Workspace, stream.ID, headerField, stream.HeaderVersion)
		if err != nil {
			return delivery.Outcome{Verdict: delivery.Again, Why: "the authorization header cannot be opened: " + core.AsError(err).Message}
		}
		request.Header.Set("Authorization", header.Reveal())
	}
	return delivery.Send(s.HTTP, request, judge(one.Attempts))
}

// judge says what an answer to a push means. A key that is new or a header that is being changed may be put
// right in a moment; everything else that is refused with 400 is about the token.
func judge(attempts int) func(status int, text []byte) (delivery.Verdict, string) {
	return func(status int, text []byte) (delivery.Verdict, string) {
		var said struct {
			Err         string `json:"err"`
			Description string `json:"description"`
		}
		_ = json.Unmarshal(text, &said)
		words := strings.TrimSpace(core.Cut(said.Err, 60) + " " + core.Cut(said.Description, 200))
		switch {
		case status == http.StatusAccepted || status == http.StatusOK || status == http.StatusNoContent:
			return delivery.Delivered, ""
		case status == http.StatusGone:
			return delivery.Gone, words
		case status != http.StatusBadRequest:
			return delivery.Again, words
		case attempts < 3 && slices.Contains([]string{"invalid_key", "authentication_failed", "access_denied"}, said.Err):
			return delivery.Again, words
		}
		return delivery.Refused, words
	}
}

// poll gives out tokens and takes acknowledgements (RFC 8936 §2).
func (s *Service) poll(c *gin.Context, by caller) error {
	var said struct {
		MaxEvents   *int     `json:"maxEvents"`
		Immediately bool     `json:"returnImmediately"`
		Ack         []string `json:"ack"`
		Errors      map[string]struct {
			Err         string `json:"err"`
			Description string `json:"description"`
		} `json:"setErrs"`
	}
	if err := body(c, &said); err != nil {
		return err
	}
	limit := maxSets
	if said.MaxEvents != nil {
		if *said.MaxEvents < 0 {
			return core.Invalid("maxEvents", "maxEvents is 0 or more")
		}
		limit = min(maxSets, *said.MaxEvents)
	}
	ctx := c.Request.Context()
	stream, err := s.StreamOf(ctx, s.DB, by.receiver.Workspace, by.receiver.ID)
	if err == nil && stream.Delivery != "poll" {
		err = core.NotFound("stream that is polled")
	}
	if err != nil {
		return err
	}
	if len(said.Ack) > 0 || len(said.Errors) > 0 {
		faults := map[core.ID]string{}
		for id, fault := range said.Errors {
			if parsed, err := core.ParseID(id); err == nil {
				faults[parsed] = strings.TrimSpace(core.Cut(fault.Err, 60) + " " + core.Cut(fault.Description, 200))
			}
		}
		if err := s.acknowledge(ctx, stream, said.Ack, faults); err != nil {
			return err
		}
	}
	sets, more := map[string]string{}, false
	if limit > 0 {
		if sets, more, err = s.wait(ctx, stream, limit, said.Immediately); err != nil {
			return err
		}
	}
	c.JSON(http.StatusOK, gin.H{"sets": sets, "moreAvailable": more})
	return nil
}

func (s *Service) acknowledge(ctx context.Context, stream Stream, ack []string, faults map[core.ID]string) error {
	var ids []core.ID
	for _, text := range ack {
		if id, err := core.ParseID(text); err == nil {
			ids = append(ids, id)
		}
	}
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.Deliveries.Acknowledge(ctx, tx, stream.Workspace, stream.ID, ids); err != nil {
			return err
		}
		lane, err := s.Deliveries.Lane(ctx, tx, stream.Workspace, stream.ID)
		if err != nil {
			return err
		}
		for id, why := range faults {
			if err := s.Deliveries.Refuse(ctx, tx, lane, id, why); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(faults) > 0 {
		s.wake()
	}
	return err
}

// mostPolls is how many polls of one stream are held at a time; one more is answered at once.
const mostPolls = 4

// polls counts those that are held.
type polls struct {
	lock sync.Mutex
	held map[core.ID]int
}

// hold counts one more, and reports whether it is not one too many.
func (p *polls) hold(stream core.ID) (let func(), ok bool) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.held[stream] >= mostPolls {
		return func() {}, false
	}
	if p.held == nil {
		p.held = map[core.ID]int{}
	}
	p.held[stream]++
	return func() {
		p.lock.Lock()
		defer p.lock.Unlock()
		if p.held[stream]--; p.held[stream] == 0 {
			delete(p.held, stream)
		}
	}, true
}

// wait fetches what is there, or the first that comes. Another process may add it, so it looks now and then.
func (s *Service) wait(ctx context.Context, stream Stream, limit int, immediately bool) (map[string]string, bool, error) {
	let, ok := s.polls.hold(stream.ID)
	defer let()
	immediately = immediately || !ok
	deadline := time.NewTimer(LongPoll)
	defer deadline.Stop()
	for {
		news := s.Deliveries.News(stream.ID)
		found, more, err := s.Deliveries.Fetch(ctx, s.DB, stream.Workspace, stream.ID, limit)
		if err != nil {
			return nil, false, err
		}
		if len(found) > 0 || immediately {
			sets := make(map[string]string, len(found))
			for _, one := range found {
				if sets[one.ID.String()], err = s.Sign(ctx, one.Workspace, setType, one.Payload); err != nil {
					return nil, false, err
				}
			}
			return sets, more, nil
		}
		look := time.NewTimer(500 * time.Millisecond)
		select {
		case <-news:
		case <-look.C:
		case <-deadline.C:
			immediately = true
		case <-ctx.Done():
			immediately = true
			ctx = context.WithoutCancel(ctx)
		}
		look.Stop()
	}
}
