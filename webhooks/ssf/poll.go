package ssf

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
	"postern/core/signals"
)

const (
	// LongPoll is how long a transmitter may hold a poll before it answers that there is nothing.
	LongPoll = 25 * time.Second

	maxPolled = 100 // tokens at a time
)

// polling is what is known of a stream from one poll to the next. It is in memory alone: what is lost with it
// comes again.
type polling struct {
	stream     Stream
	connection directory.Connection
	acks       []string             // committed, and not yet acknowledged
	refusals   map[string]fault     // setErrs that were not yet sent
	waiting    map[string]time.Time // tokens whose key is not known, since when
}

// pollRequest is RFC 8936 §2.2.
type pollRequest struct {
	Most        int              `json:"maxEvents"`
	Immediately bool             `json:"returnImmediately"`
	Acks        []string         `json:"ack,omitempty"`
	Refusals    map[string]fault `json:"setErrs,omitempty"`
}

// pollAnswer is RFC 8936 §2.3.
type pollAnswer struct {
	Sets map[string]string `json:"sets"`
	More bool              `json:"moreAvailable"`
}

// progress is what one poll brought.
type progress struct {
	got   int  // tokens
	done  int  // of which are acknowledged next time, or refused
	again bool // there is more, or something to acknowledge
}

// poll asks once, and does what the tokens say. What it acknowledges was committed before. renew is asked between
// tokens whether the stream is still this process's.
func (s *Service) poll(ctx context.Context, state *polling, renew func(context.Context) error) (progress, error) {
	stream := state.stream
	long := !stream.Profile.traits().shortPoll && len(state.acks)+len(state.refusals) == 0
	request := pollRequest{Most: maxPolled, Immediately: !long, Acks: state.acks, Refusals: state.refusals}
	said, err := s.polled(ctx, stream, request, long)
	if err != nil {
		return progress{}, err
	}
	state.acks, state.refusals = nil, map[string]fault{}
	made := progress{got: len(said.Sets), again: said.More}
	var failure error
	for _, key := range inOrder(said.Sets) {
		if err := renew(ctx); err != nil {
			return made, err
		}
		err := s.accept(ctx, arrival{
			connection: state.connection, stream: stream, door: signals.SSFPoll, compact: said.Sets[key], key: key, received: s.now(),
		})
		switch {
		case err == nil:
			state.acks = append(state.acks, key)
		case ctx.Err() != nil:
			return made, ctx.Err()
		case transient(err) || s.early(state, key, err):
			failure = err // it stays at the transmitter
			continue
		default:
			state.refusals[cut(key, jwt.MaxID)] = faultOf(err)
			s.Signals.Refused(ctx, signals.Refusal{Connection: state.connection, Door: signals.SSFPoll, Stage: stageOf(err), Err: err, Known: true})
			s.failed(ctx, stream, stageOf(err), err, 0)
		}
		delete(state.waiting, key)
		made.done++
	}
	made.again = made.again || made.done > 0
	if made.done == 0 && failure != nil {
		return made, failure
	}
	return made, nil
}

// early reports whether a token may be right as soon as the transmitter's new key is known: a refusal by setErrs is
// for good. It has a few minutes.
func (s *Service) early(state *polling, key string, err error) bool {
	if core.AsError(err).Code != jwt.StageKey {
		return false
	}
	since, known := state.waiting[key]
	if !known {
		if len(state.waiting) >= 1000 {
			return false
		}
		since = s.now()
		state.waiting[key] = since
	}
	return s.now().Sub(since) < s.Pace.filled().Keys
}

// polled makes the request.
func (s *Service) polled(ctx context.Context, stream Stream, request pollRequest, long bool) (pollAnswer, error) {
	client := s.Poll
	if client == nil {
		client = s.HTTP
	}
	for attempt := 0; ; attempt++ {
		token, err := s.token(ctx, stream)
		if err != nil {
			return pollAnswer{}, err
		}
		waiting, cancel := context.WithTimeout(ctx, LongPoll+10*time.Second)
		got, err := exchange{client: client, method: http.MethodPost, address: stream.PollURL, token: token, body: request}.do(waiting)
		late := errors.Is(waiting.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case err != nil && long && late && ctx.Err() == nil:
			return pollAnswer{}, nil // a transmitter that holds a poll for longer than we do has nothing
		case err != nil:
			return pollAnswer{}, core.AsError(err).WithCode("poll")
		case got.status == http.StatusUnauthorized && stream.Access.oauth() && attempt == 0:
			s.forget(stream)
			continue
		case got.status != http.StatusOK:
			return pollAnswer{}, got.refusal("polling").WithCode("poll")
		}
		var said pollAnswer
		if err := got.read(&said); err != nil {
			return pollAnswer{}, core.AsError(err).WithCode("poll")
		}
		return said, nil
	}
}

// inOrder lists tokens in the order in which they say they were issued. Nothing of it is proven, and nothing
// depends on it but which of two signals about one person is told first.
func inOrder(sets map[string]string) []string {
	issued := map[string]time.Time{}
	keys := make([]string, 0, len(sets))
	for key, compact := range sets {
		if read, err := jwt.Peek(compact, jwt.Expected{MaxSize: MaxSize, Types: []string{"secevent+jwt", "JWT", ""}}); err == nil {
			issued[key] = read.Issued
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(one, other string) int {
		if order := issued[one].Compare(issued[other]); order != 0 {
			return order
		}
		return strings.Compare(one, other)
	})
	return keys
}

// MarshalJSON implements json.Marshaler: both members are always there, for a transmitter that insists.
func (f fault) MarshalJSON() ([]byte, error) {
	type plain fault
	if f.Description == "" {
		f.Description = f.Err
	}
	return json.Marshal(plain(f))
}
