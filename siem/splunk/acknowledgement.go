package splunk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transport"
)

// How often it is asked whether requests were acknowledged.
const (
	firstPoll = 200 * time.Millisecond
	lastPoll  = 10 * time.Second
)

const ackPath = "/services/collector/ack"

// window is how many requests are sent before their acknowledgements are waited for.
const window = 8

// acknowledged waits until an indexer has written every request. A yes is told once, so it is taken off the list; a no
// means "not yet" or "never heard of it", and after the patience for both the events are sent again. What is interrupted is
// Pending.
func (r *Receiver) acknowledged(ctx context.Context, one *endpoint, token seal.Secret, line *channel, waiting map[int64]bool, began time.Time) said {
	wait := firstPoll
	for len(waiting) > 0 {
		if wait > firstPoll && r.Clock.Now().Sub(began) >= r.settings.patience() {
			return busy(fmt.Sprintf("the indexer did not acknowledge the events within %s: they are sent again", r.settings.patience()))
		}
		if err := r.Clock.Sleep(ctx, wait); err != nil {
			return line.interrupted(one, waiting, began)
		}
		wait = min(2*wait, lastPoll)
		reply, err := r.poll(ctx, one, token, line, waiting)
		if err != nil {
			if ctx.Err() == nil {
				continue // perhaps it answers the next time
			}
			return line.interrupted(one, waiting, began)
		}
		var body struct {
			Acks map[string]bool `json:"acks"`
		}
		if reply.Status == http.StatusOK && json.Unmarshal(reply.Text, &body) == nil && body.Acks != nil {
			for text, yes := range body.Acks {
				if number, err := strconv.ParseInt(text, 10, 64); err == nil && yes {
					delete(waiting, number)
				}
			}
			continue
		}
		switch answer := read(reply, token); {
		case answer.code == 10 || answer.code == 11: // it has forgotten the channel, and what came on it
			return busy(answer.Reason)
		case answer.Verdict == sink.Misconfigured || answer.Verdict == sink.Refused:
			answer.Verdict, answer.Event = sink.Misconfigured, -1
			return answer
		default:
			wait = max(wait, answer.RetryAfter)
		}
	}
	return said{sink.Answer{Verdict: sink.Accepted, Event: -1}, 0, nil}
}

func (r *Receiver) poll(ctx context.Context, one *endpoint, token seal.Secret, line *channel, waiting map[int64]bool) (transport.Reply, error) {
	numbers := make([]int64, 0, len(waiting))
	for number := range waiting {
		numbers = append(numbers, number)
	}
	body, err := json.Marshal(map[string][]int64{"acks": numbers})
	if err != nil {
		return transport.Reply{}, err
	}
	return r.post(ctx, line.client, one.base+ackPath+"?channel="+line.id, body, http.Header{
		"Authorization": {"Splunk " + token.Reveal()}, "Content-Type": {"application/json"}, channelHeader: {line.id},
	})
}

// unacknowledged is what a delivery that was interrupted leaves: whoever has it can ask for the acknowledgements.
type unacknowledged struct {
	Endpoint string            `json:"endpoint"`
	Channel  string            `json:"channel"`
	Cookies  map[string]string `json:"cookies,omitempty"` // of what balances load: they lead to the indexer that knows the channel
	Acks     []int64           `json:"acks"`
	Began    time.Time         `json:"began"`
}

func (c *channel) interrupted(one *endpoint, waiting map[int64]bool, began time.Time) said {
	left := unacknowledged{Endpoint: one.base, Channel: c.id, Cookies: c.cookies(one.base + ackPath), Acks: slices.Sorted(maps.Keys(waiting)), Began: began}
	answer := busy("the delivery was interrupted before the indexer acknowledged the events")
	answer.Pending, _ = json.Marshal(left) // of texts and numbers
	return answer
}

var _ sink.Resumer = (*Receiver)(nil)

// Resume implements sink.Resumer. It asks no endpoint that the settings do not name.
func (r *Receiver) Resume(ctx context.Context, pending json.RawMessage) sink.Answer {
	var left unacknowledged
	if err := json.Unmarshal(pending, &left); err != nil || !r.settings.Acknowledge || len(left.Acks) == 0 {
		return busy("what was pending is not of this sink").Answer
	}
	place := slices.IndexFunc(r.endpoints.list, func(one *endpoint) bool { return one.base == left.Endpoint })
	if place < 0 {
		return busy("the endpoint that was to acknowledge the events is not there any more").Answer
	}
	tokens, err := r.tokens.open(r.Clock.Now())
	if err != nil {
		return transport.Unusable(err)
	}
	one, line, waiting := r.endpoints.list[place], newChannel(r.client, left.Channel), map[int64]bool{}
	line.take(one.base+ackPath, left.Cookies)
	for _, number := range left.Acks {
		waiting[number] = true
	}
	return r.acknowledged(ctx, one, tokens[0], line, waiting, left.Began).Answer
}

func busy(reason string) said {
	return said{sink.Answer{Verdict: sink.Busy, Reason: reason, Event: -1}, noCode, nil}
}
