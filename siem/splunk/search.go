package splunk

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

const sourceType = "postern:ocsf"

// searchSpan is how many sequences one search looks at.
const searchSpan = 50_000

var _ sink.Holder = (*Receiver)(nil)

// Holds implements sink.Holder by Splunk's search API (REST API Reference, search/v2/jobs/export). The indexed fields
// of each event answer without reading an event (tstats). Without a SearchURL it is a Conflict.
func (r *Receiver) Holds(ctx context.Context, workspace core.ID, from, to int64) ([]sink.Range, error) {
	if r.settings.SearchURL == "" {
		return nil, core.Conflict("", "Splunk can be asked what it holds once the sink has a search_url and a search_token")
	}
	var missing []sink.Range
	for first := from; first <= to; first += searchSpan {
		last := min(to, first+searchSpan-1)
		found, err := r.lacks(ctx, workspace, first, last)
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			if end := len(missing) - 1; end >= 0 && missing[end].To+1 == one.From {
				missing[end].To = one.To
				continue
			}
			missing = append(missing, one)
		}
	}
	return missing, nil
}

// query lists the sequences that Splunk has of a span, each once, in order, in any of the indexes events went to.
func (r *Receiver) query(workspace core.ID, from, to int64) string {
	index := "index=" + quoted(cmp.Or(r.settings.Index, "*"))
	if r.settings.Index != "" && r.settings.FallbackIndex != "" {
		index = "(" + index + " OR index=" + quoted(r.settings.FallbackIndex) + ")"
	}
	return fmt.Sprintf(`| tstats count where %s sourcetype=%s workspace="%s" by sequence | eval number=tonumber(sequence) | where number>=%d AND number<=%d | sort 0 number | fields number`,
		index, quoted(cmp.Or(r.settings.SourceType, sourceType)), workspace, from, to)
}

func (r *Receiver) lacks(ctx context.Context, workspace core.ID, from, to int64) ([]sink.Range, error) {
	token, err := transport.Token(r.tokens.secrets.SearchToken, "the search token")
	if err != nil {
		return nil, core.Conflict("", "%s", core.AsError(err).Message)
	}
	form := url.Values{"search": {r.query(workspace, from, to)}, "output_mode": {"json"}, "preview": {"false"}, "earliest_time": {"1"}, "latest_time": {"now"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(r.settings.SearchURL, "/")+"/services/search/v2/jobs/export", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, core.Conflict("", "the search address is not a URL")
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, core.Unavailable(time.Minute, "Splunk cannot be searched: %s", sink.Unreachable(err).Reason)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason := sink.ByStatus(response).Reason
		if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
			reason = "Splunk does not accept the search token, or its user may not search"
		}
		return nil, core.Unavailable(time.Minute, "Splunk cannot be searched: %s", reason)
	}
	var fault error
	complete := false
	missing := sink.Lacks(from, to, func(yield func(int64) bool) {
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			var row struct {
				Last     bool              `json:"lastrow"`
				Result   map[string]string `json:"result"`
				Messages []struct {
					Type string `json:"type"`
					Text string `json:"text"`
				} `json:"messages"`
			}
			if fault = json.Unmarshal(lines.Bytes(), &row); fault != nil {
				return
			}
			for _, message := range row.Messages {
				if message.Type == "ERROR" || message.Type == "FATAL" {
					fault = fmt.Errorf("%s", transport.Clean(message.Text, token))
					return
				}
			}
			complete = complete || row.Last
			if row.Result == nil {
				continue
			}
			number, err := strconv.ParseFloat(row.Result["number"], 64)
			if err != nil {
				fault = err
				return
			}
			if !yield(int64(number)) {
				return
			}
		}
		fault = lines.Err()
	})
	// An answer that broke off would make what it did not tell look missing.
	if fault == nil && !complete {
		fault = fmt.Errorf("the answer has no last row")
	}
	if fault != nil {
		return nil, core.Unavailable(time.Minute, "Splunk cannot be searched: it answered, but not whole").Because(fault)
	}
	return missing, nil
}
