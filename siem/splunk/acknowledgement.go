package splunk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

// window is how many requests are sent before their acknowledgements are waited for.
const window = 8

// acknowledged waits until an indexer has written every request. A yes is told once, so it is taken off the list; a no
// means "not yet" or "never heard of it", and after the patience for both the events are sent again.
func (r *Receiver) acknowledged(ctx context.Context, one *endpoint, token seal.Secret, line *channel, waiting map[int64]bool) said {
	began, wait := r.Clock.Now(), firstPoll
	for len(waiting) > 0 {
		if r.Clock.Now().Sub(began) >= r.settings.patience() {
			return busy(fmt.Sprintf("the indexer did not acknowledge the events within %s: they are sent again", r.settings.patience()))
		}
		if err := r.Clock.Sleep(ctx, wait); err != nil {
			return busy("the delivery was interrupted before the indexer acknowledged the events: they are sent again")
		}
		wait = min(2*wait, lastPoll)
		reply, err := r.poll(ctx, one, token, line, waiting)
		if err != nil {
			if ctx.Err() == nil {
				continue // perhaps it answers the next time
			}
			return said{transport.Failed(err), noCode, nil}
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
	return r.post(ctx, line.client, one.base+"/services/collector/ack?channel="+line.id, body, http.Header{
		"Authorization": {"Splunk " + token.Reveal()}, "Content-Type": {"application/json"}, channelHeader: {line.id},
	})
}

func busy(reason string) said {
	return said{sink.Answer{Verdict: sink.Busy, Reason: reason, Event: -1}, noCode, nil}
}
