package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transport"
)

// maxReply is as much of an answer as is read: some 30 bytes for each of the most events there may be in a request,
// and the reasons of those that were refused.
const maxReply = 32 << 20

type fault struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

func (f fault) says(status int, hidden []seal.Secret) string {
	return fmt.Sprintf("Elasticsearch said %q (%d %s)", transport.Clean(f.Reason, hidden...), status, transport.Clean(f.Type, hidden...))
}

// read understands what became of each event. 409 is the answer to one that is there already.
func read(reply transport.Reply, count int, hidden []seal.Secret) sink.Answer {
	byStatus := reply.Answer()
	var said struct {
		Errors *bool `json:"errors"`
		Error  fault `json:"error"`
		Items  []struct {
			Create struct {
				Status int   `json:"status"`
				Error  fault `json:"error"`
			} `json:"create"`
		} `json:"items"`
	}
	err := json.Unmarshal(reply.Text, &said)
	if byStatus.Verdict != sink.Accepted {
		if err == nil && said.Error.Type != "" {
			byStatus.Reason = said.Error.says(reply.Status, hidden)
			if byStatus.Verdict == sink.Misconfigured {
				byStatus.Reason += advice(reply.Status)
			}
		}
		return byStatus
	}
	switch {
	case err != nil || said.Errors == nil:
		return transport.Misconfigured("the address answers, but not as Elasticsearch does")
	case !*said.Errors:
		return byStatus
	case len(said.Items) != count:
		return sink.Answer{Verdict: sink.Busy, Event: -1, Reason: fmt.Sprintf("Elasticsearch told of %d events, %d were sent: all are sent again", len(said.Items), count)}
	}
	// What a person must change first, then what is refused for good, then what only has to wait.
	worst := sink.Answer{Verdict: sink.Accepted, Event: -1}
	for place, item := range said.Items {
		one := sink.Answer{Event: -1, Reason: item.Create.Error.says(item.Create.Status, hidden)}
		switch status := item.Create.Status; {
		case status >= 200 && status < 300, status == http.StatusConflict:
			continue
		case status == http.StatusTooManyRequests || status >= 500:
			one.Verdict = sink.Busy
		case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound:
			one.Verdict, one.Reason = sink.Misconfigured, one.Reason+advice(status)
		case status == http.StatusRequestEntityTooLarge && count > 1:
			one.Verdict = sink.TooLarge
		default:
			one.Verdict, one.Event = sink.Refused, place
		}
		if worst.Verdict == sink.Accepted || rank[one.Verdict] > rank[worst.Verdict] {
			worst = one
		}
	}
	return worst
}

var rank = map[sink.Verdict]int{sink.Busy: 1, sink.TooLarge: 2, sink.Refused: 3, sink.Misconfigured: 4}

func advice(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return ": check the API key or the password"
	case http.StatusForbidden:
		return ": the credential needs the privileges auto_configure, create_doc and view_index_metadata on the index"
	case http.StatusNotFound:
		return ": there is no such index or pipeline, and Elasticsearch may not make it"
	}
	return ""
}
