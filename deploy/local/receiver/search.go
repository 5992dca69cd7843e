package receiver

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

// search answers the one search Postern asks, as Splunk's export endpoint does (REST API Reference,
// search/v2/jobs/export with output_mode=json): a JSON object a line, the last one marked. Anything else is an
// unknown search command. The token of the collector may search too.
func (r *Receiver) search(w http.ResponseWriter, request *http.Request) {
	given := []byte(request.Header.Get("Authorization"))
	if subtle.ConstantTimeCompare(given, []byte("Bearer "+r.options.Token.Reveal())) != 1 {
		answer(w, http.StatusUnauthorized, map[string]any{"messages": []map[string]string{{"type": "WARN", "text": "call not properly authenticated"}}})
		return
	}
	asked := searched.FindStringSubmatch(request.PostFormValue("search"))
	if asked == nil || request.PostFormValue("output_mode") != "json" || request.PostFormValue("preview") != "false" {
		answer(w, http.StatusBadRequest, map[string]any{"messages": []map[string]string{{"type": "FATAL", "text": "Error in 'SearchParser': this receiver knows one search alone"}}})
		return
	}
	var indexes []string
	for _, one := range indexed.FindAllStringSubmatch(asked[1], -1) {
		indexes = append(indexes, one[1])
	}
	all, sourceType, workspace := slices.Contains(indexes, "*"), asked[2], asked[3]
	from, _ := strconv.ParseInt(asked[4], 10, 64)
	to, _ := strconv.ParseInt(asked[5], 10, 64)
	var found []int64
	for _, event := range r.Events() {
		number, err := strconv.ParseInt(event.Fields["sequence"], 10, 64)
		if err == nil && event.Door == "splunk" && (all || slices.Contains(indexes, event.Index)) && event.SourceType == sourceType &&
			event.Fields["workspace"] == workspace && number >= from && number <= to {
			found = append(found, number)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	for i, number := range found {
		row := map[string]any{"preview": false, "offset": i, "result": map[string]string{"number": strconv.FormatInt(number, 10)}}
		if i == len(found)-1 {
			row["lastrow"] = true
		}
		_ = encoder.Encode(row)
	}
	if len(found) == 0 {
		_ = encoder.Encode(map[string]any{"preview": false, "lastrow": true})
	}
}

var searched = regexp.MustCompile(`^\| tstats count where (index="[^"]+"|\(index="[^"]+" OR index="[^"]+"\)) sourcetype="([^"]+)" workspace="([0-9a-f-]{36})" by sequence ` +
	`\| eval number=tonumber\(sequence\) \| where number>=(\d+) AND number<=(\d+) \| sort 0 number \| fields number$`)

var indexed = regexp.MustCompile(`index="([^"]+)"`)
