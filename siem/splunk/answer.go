package splunk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transport"
)

// meaning is what a code of the collector means.
type meaning struct {
	verdict sink.Verdict
	words   string // added to Splunk's own
}

// meanings of the codes Splunk documents for the collector ("Troubleshoot HTTP Event Collector", "Possible error
// codes").
var meanings = map[int]meaning{
	0:  {sink.Accepted, ""},
	1:  {sink.Misconfigured, "enable the token in Splunk"},
	2:  {sink.Misconfigured, "the collector got no token: something between may have removed it"},
	3:  {sink.Misconfigured, "the collector cannot read the token: check it"},
	4:  {sink.Misconfigured, "the collector does not know the token: check it"},
	5:  {sink.Refused, ""},
	6:  {sink.Refused, ""},
	7:  {sink.Misconfigured, "the index does not exist or the token may not write to it"},
	8:  {sink.Busy, ""},
	9:  {sink.Busy, ""},
	10: {sink.Misconfigured, "the token wants indexer acknowledgement: set acknowledge"},
	11: {sink.Misconfigured, "the token wants indexer acknowledgement: set acknowledge"},
	12: {sink.Refused, ""},
	13: {sink.Refused, ""},
	14: {sink.Misconfigured, "the token has no indexer acknowledgement: enable it in Splunk, or unset acknowledge"},
	15: {sink.Refused, ""},
	16: {sink.Misconfigured, "the collector does not take a token in the query"},
	17: {sink.Accepted, ""},
	18: {sink.Busy, ""},
	19: {sink.Busy, ""},
	20: {sink.Busy, ""},
	21: {sink.Misconfigured, "the collector does not know the token: check it"},
	22: {sink.Misconfigured, "enable the token in Splunk"},
	23: {sink.Busy, ""},
	24: {sink.Accepted, "the queue is nearly full"},
	25: {sink.Accepted, "the acknowledgement queue is nearly full"},
	26: {sink.Busy, ""},
	27: {sink.Busy, ""},
}

// slowDown is how long to spare a collector that says its queue is nearly full.
const slowDown = 2 * time.Second

// noCode is the code of an answer that is not the collector's.
const noCode = -1

// said is an answer with what the collector calls it.
type said struct {
	sink.Answer
	code int
	ack  *int64 // the number to ask for, if there is one
}

// refusesToken reports whether another token may help.
func (s said) refusesToken() bool { return slices.Contains([]int{1, 2, 3, 4, 21, 22}, s.code) }

// read understands what the collector said. What does not look like its answer comes from something that stands
// before it, or from something else altogether.
func read(reply transport.Reply, token seal.Secret) said {
	var body struct {
		Text   string `json:"text"`
		Code   *int   `json:"code"`
		Number *int   `json:"invalid-event-number"`
		Ack    *int64 `json:"ackId"`
	}
	byStatus := reply.Answer()
	if err := json.Unmarshal(reply.Text, &body); err != nil || body.Code == nil {
		if byStatus.Verdict == sink.Accepted {
			byStatus = transport.Misconfigured("the address answers, but not as an HTTP Event Collector does")
		}
		return said{byStatus, noCode, nil}
	}
	code := *body.Code
	means, known := meanings[code]
	if !known {
		means = meaning{verdict: byStatus.Verdict}
		if reply.Status == http.StatusBadRequest {
			means.verdict = sink.Refused
		}
	}
	// A code never turns a failure into a success.
	if means.verdict == sink.Accepted && byStatus.Verdict != sink.Accepted {
		means = meaning{verdict: byStatus.Verdict}
	}
	result := said{sink.Answer{Verdict: means.verdict, RetryAfter: byStatus.RetryAfter, Event: -1}, code, body.Ack}
	result.Reason = fmt.Sprintf("Splunk said %q (code %d)", transport.Clean(body.Text, token), code)
	if means.words != "" {
		result.Reason += ": " + means.words
	}
	switch {
	case code == 24 || code == 25:
		result.RetryAfter = max(slowDown, result.RetryAfter)
	case means.verdict == sink.Accepted:
		result.Reason = ""
	case means.verdict == sink.Refused && body.Number != nil:
		result.Event = *body.Number
	case means.verdict == sink.Busy && body.Number != nil:
		// Whether those before it are kept is not said: all are sent again.
		result.Reason += fmt.Sprintf("; it stopped at event %d", *body.Number)
	}
	return result
}
