package splunk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"postern/siem/sink"
)

// meaning is what a code of the collector means.
type meaning struct {
	verdict sink.Verdict
	words   string // added to Splunk's own
}

// meanings of the codes Splunk documents for the collector.
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
	10: {sink.Misconfigured, "the token wants indexer acknowledgement; use one without"},
	11: {sink.Misconfigured, "the token wants indexer acknowledgement; use one without"},
	12: {sink.Refused, ""},
	13: {sink.Refused, ""},
	14: {sink.Misconfigured, "acknowledgement is disabled"},
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

// answer reads what the collector said. What does not look like its answer comes from something that
// stands before it, or from something else altogether.
func answer(response *http.Response, text []byte) sink.Answer {
	var said struct {
		Text   string `json:"text"`
		Code   *int   `json:"code"`
		Number *int   `json:"invalid-event-number"`
	}
	byStatus := sink.ByStatus(response)
	if err := json.Unmarshal(text, &said); err != nil || said.Code == nil {
		if byStatus.Verdict == sink.Accepted {
			return sink.Answer{Verdict: sink.Misconfigured, Reason: "the address answers, but not as an HTTP Event Collector does"}
		}
		return byStatus
	}
	code := *said.Code
	means, known := meanings[code]
	if !known {
		means = meaning{verdict: byStatus.Verdict}
		if response.StatusCode == http.StatusBadRequest {
			means.verdict = sink.Refused
		}
	}
	// A code never turns a failure into a success.
	if means.verdict == sink.Accepted && byStatus.Verdict != sink.Accepted {
		means = meaning{verdict: byStatus.Verdict}
	}
	result := sink.Answer{Verdict: means.verdict, RetryAfter: byStatus.RetryAfter, Event: -1}
	result.Reason = fmt.Sprintf("Splunk said %q (code %d)", short(said.Text), code)
	if means.words != "" {
		result.Reason += ": " + means.words
	}
	switch {
	case code == 24 || code == 25:
		result.RetryAfter = max(slowDown, result.RetryAfter)
	case means.verdict == sink.Accepted:
		result.Reason = ""
	case means.verdict == sink.Refused && said.Number != nil:
		result.Event = *said.Number
	}
	return result
}

// short keeps a foreign text in bounds, on one line.
func short(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
