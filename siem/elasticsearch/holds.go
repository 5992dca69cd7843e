package elasticsearch

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// page is how many documents are asked for at once: the most Elasticsearch gives.
const page = 10_000

var _ sink.Holder = (*Receiver)(nil)

// Holds implements sink.Holder by the search API. What was accepted within the last seconds may not be searchable yet.
// The credential needs the privilege read.
func (r *Receiver) Holds(ctx context.Context, workspace core.ID, from, to int64) ([]sink.Range, error) {
	var failed error
	missing := sink.Lacks(from, to, func(yield func(int64) bool) {
		for after := from - 1; ; {
			held, err := r.held(ctx, workspace, after, to)
			if failed = err; err != nil {
				return
			}
			for _, sequence := range held {
				if !yield(sequence) {
					return
				}
				after = sequence
			}
			if len(held) < page {
				return
			}
		}
	})
	if failed != nil {
		return nil, failed
	}
	return missing, nil
}

// held lists sequences of a workspace after one, in order, up to a page.
func (r *Receiver) held(ctx context.Context, workspace core.ID, after, last int64) ([]int64, error) {
	credential, hidden, err := r.authorization()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"size": page, "_source": false, "track_total_hits": false, "sort": []any{map[string]string{"metadata.sequence": "asc"}},
		"query": map[string]any{"bool": map[string]any{"filter": []any{
			map[string]any{"match_phrase": map[string]string{"metadata.tenant_uid": workspace.String()}},
			map[string]any{"range": map[string]any{"metadata.sequence": map[string]int64{"gt": after, "lte": last}}},
		}}},
	})
	if err != nil {
		return nil, core.Internal(err)
	}
	reply, err := r.ask(ctx, "_search?filter_path=timed_out,_shards.failed,hits.hits.sort,error.type,error.reason", body, http.Header{
		"Authorization": {credential.Reveal()}, "Content-Type": {"application/json"},
	})
	if err != nil {
		return nil, core.Unavailable(time.Minute, "%s", transport.Clean(transport.Failed(err).Reason, hidden...))
	}
	var said struct {
		TimedOut bool `json:"timed_out"`
		Shards   *struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
		Error fault `json:"error"`
		Hits  struct {
			Hits []struct {
				Sort []int64 `json:"sort"`
			} `json:"hits"`
		} `json:"hits"`
	}
	err = json.Unmarshal(reply.Text, &said)
	switch verdict := reply.Answer(); {
	case verdict.Verdict == sink.Busy:
		return nil, core.Unavailable(max(verdict.RetryAfter, time.Minute), "%s", verdict.Reason)
	case verdict.Verdict != sink.Accepted && err == nil && said.Error.Type != "":
		return nil, core.Unavailable(time.Minute, "Elasticsearch cannot be searched: %s%s", said.Error.says(reply.Status, hidden), advice(reply.Status))
	case verdict.Verdict != sink.Accepted:
		return nil, core.Unavailable(time.Minute, "Elasticsearch cannot be searched: %s", verdict.Reason)
	case err != nil || said.Shards == nil:
		return nil, core.Conflict("", "the address answers, but not as Elasticsearch does")
	case said.TimedOut || said.Shards.Failed > 0:
		// What it did not look at would be told as missing.
		return nil, core.Unavailable(time.Minute, "Elasticsearch could not look at everything it has")
	}
	var held []int64
	for _, hit := range said.Hits.Hits {
		if len(hit.Sort) != 1 {
			return nil, core.Conflict("", "the address answers, but not as Elasticsearch does")
		}
		held = append(held, hit.Sort[0])
	}
	return held, nil
}
