package elasticsearch

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

const canary = "Y2FuYXJ5LWFwaS1rZXk6c2VjcmV0"

// server is as strict as Elasticsearch about what the bulk and search APIs take ("Bulk API", "Search API").
type server struct {
	t         testing.TB
	documents map[string]map[string]any // by _id
	each      func(document map[string]any) (status int, kind, reason string)
	asked     []*http.Request
}

func newServer(t testing.TB) (*server, string) {
	made := &server{t: t, documents: map[string]map[string]any{}}
	listening := httptest.NewServer(made)
	t.Cleanup(listening.Close)
	return made, listening.URL
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r)
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "ApiKey "+canary {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintf(w, `{"error":{"type":"security_exception","reason":"unable to authenticate %s"},"status":401}`, r.Header.Get("Authorization"))
		return
	}
	switch r.URL.Path {
	case "/logs-postern-default/_bulk":
		s.bulk(w, r)
	case "/logs-postern-default/_search":
		s.search(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":{"type":"index_not_found_exception","reason":"no such index"},"status":404}`)
	}
}

func (s *server) bulk(w http.ResponseWriter, r *http.Request) {
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/x-ndjson" {
		s.t.Error("not gzip and ndjson", err)
		return
	}
	lines, failed := bufio.NewReader(unpacked), false
	var items []string
	for {
		action, err := lines.ReadString('\n')
		if err == io.EOF && action == "" {
			break
		}
		var asked struct {
			Create *struct {
				ID string `json:"_id"`
			} `json:"create"`
		}
		if json.Unmarshal([]byte(action), &asked) != nil || asked.Create == nil || asked.Create.ID == "" {
			s.t.Errorf("action %q", action)
		}
		source, err := lines.ReadString('\n')
		if err != nil {
			s.t.Errorf("the body does not end in a line break: %q", source)
		}
		document := map[string]any{}
		if err := json.Unmarshal([]byte(source), &document); err != nil {
			s.t.Errorf("%q: %v", source, err)
		}
		if at, _ := document["@timestamp"].(string); at == "" {
			s.t.Errorf("a data stream wants a @timestamp: %q", source)
		} else if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			s.t.Error(err)
		}
		status, kind, reason := 201, "", ""
		if s.each != nil {
			status, kind, reason = s.each(document)
		}
		if _, there := s.documents[asked.Create.ID]; there && status < 300 {
			status, kind, reason = 409, "version_conflict_engine_exception", "document already exists"
		}
		if status < 300 {
			s.documents[asked.Create.ID] = document
			items = append(items, `{"create":{"status":201}}`)
			continue
		}
		failed = true
		items = append(items, fmt.Sprintf(`{"create":{"status":%d,"error":{"type":%q,"reason":%q}}}`, status, kind, reason))
	}
	_, _ = fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, failed, strings.Join(items, ","))
}

func (s *server) search(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Size  int
		Query struct {
			Bool struct {
				Filter []struct {
					Phrase map[string]string           `json:"match_phrase"`
					Range  map[string]map[string]int64 `json:"range"`
				}
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Size > 10_000 || len(asked.Query.Bool.Filter) != 2 {
		s.t.Errorf("%+v %v", asked, err)
		return
	}
	workspace, span := asked.Query.Bool.Filter[0].Phrase["metadata.tenant_uid"], asked.Query.Bool.Filter[1].Range["metadata.sequence"]
	var found []int64
	for _, document := range s.documents {
		metadata := document["metadata"].(map[string]any)
		if sequence := int64(metadata["sequence"].(float64)); metadata["tenant_uid"] == workspace && sequence > span["gt"] && sequence <= span["lte"] {
			found = append(found, sequence)
		}
	}
	slices.Sort(found)
	var hits []string
	for _, sequence := range found[:min(len(found), asked.Size)] {
		hits = append(hits, fmt.Sprintf(`{"sort":[%d]}`, sequence))
	}
	_, _ = fmt.Fprintf(w, `{"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[%s]}}`, strings.Join(hits, ","))
}

func made(t testing.TB, settings Settings, key string) *Receiver {
	t.Helper()
	receiver, err := New(settings, Secrets{APIKey: transporttest.Secret(key), Password: transporttest.Secret("canary-password")}, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver
}

func TestEachEventIsStoredOnce(t *testing.T) {
	elastic, url := newServer(t)
	receiver, sent := made(t, Settings{URL: url + "/"}, canary), transporttest.Events(t, 50)
	for range 2 { // what comes again is there already
		if got := receiver.Send(t.Context(), sent); got.Verdict != sink.Accepted || got.Reason != "" {
			t.Fatalf("%+v", got)
		}
	}
	if len(elastic.documents) != 50 || elastic.documents[sent[7].ID.String()]["metadata"].(map[string]any)["uid"] != sent[7].ID.String() {
		t.Fatal(len(elastic.documents))
	}
}

func TestTheVerdictOfEveryEvent(t *testing.T) {
	const mapping = "failed to parse field [a] of type [long]"
	for name, test := range map[string]struct {
		statuses map[int]int // of the event at a place
		want     sink.Verdict
		event    int
		says     string
	}{
		"all are there already":       {map[int]int{0: 409, 1: 409, 2: 409, 3: 409}, sink.Accepted, -1, ""},
		"one is refused":              {map[int]int{2: 400}, sink.Refused, 2, mapping},
		"the first of two is named":   {map[int]int{1: 400, 3: 400}, sink.Refused, 1, mapping},
		"one has to wait":             {map[int]int{3: 429}, sink.Busy, -1, "429"},
		"a shard is away":             {map[int]int{0: 503}, sink.Busy, -1, "503"},
		"refused before waiting":      {map[int]int{0: 429, 3: 400}, sink.Refused, 3, mapping},
		"may not write":               {map[int]int{0: 400, 1: 403}, sink.Misconfigured, -1, "privileges"},
		"no such index":               {map[int]int{1: 404}, sink.Misconfigured, -1, "no such index"},
		"one too large among several": {map[int]int{1: 413}, sink.TooLarge, -1, "413"},
	} {
		elastic, url := newServer(t)
		elastic.each = func(document map[string]any) (int, string, string) {
			place := int(document["metadata"].(map[string]any)["sequence"].(float64)) - 1
			if status := test.statuses[place]; status != 0 {
				return status, "some_exception", mapping + " " + canary
			}
			return 201, "", ""
		}
		got := made(t, Settings{URL: url}, canary).Send(t.Context(), transporttest.Events(t, 4))
		if got.Verdict != test.want || got.Event != test.event || !strings.Contains(got.Reason, test.says) || strings.Contains(got.Reason, canary) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTheAnswerAsAWhole(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   sink.Verdict
		says   string
	}{
		{200, `{"errors":false}`, sink.Accepted, ""},
		{200, `{"errors":true,"items":[]}`, sink.Busy, "told of 0 events"},
		{200, `{}`, sink.Misconfigured, "not as Elasticsearch"},
		{200, `<html>portal</html>`, sink.Misconfigured, "not as Elasticsearch"},
		{400, `{"error":{"type":"illegal_argument_exception","reason":"pipeline with id [x] does not exist"},"status":400}`, sink.Misconfigured, "pipeline"},
		{401, `{"error":{"type":"security_exception","reason":"no ` + canary + `"},"status":401}`, sink.Misconfigured, "check the API key"},
		{403, `{"error":{"type":"security_exception","reason":"no"},"status":403}`, sink.Misconfigured, "create_doc"},
		{404, `{"error":{"type":"index_not_found_exception","reason":"no such index"},"status":404}`, sink.Misconfigured, "no such index"},
		{413, ``, sink.TooLarge, "413"},
		{429, `{"error":{"type":"circuit_breaking_exception","reason":"Data too large"},"status":429}`, sink.Busy, "Data too large"},
		{502, `<html>`, sink.Busy, "502"},
		{503, ``, sink.Busy, "503"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		got := made(t, Settings{URL: server.URL}, canary).Send(t.Context(), transporttest.Small(2))
		if got.Verdict != test.want || !strings.Contains(got.Reason, test.says) || strings.Contains(got.Reason, canary) {
			t.Errorf("%d %s: %+v", test.status, test.body, got)
		}
		server.Close()
	}
}

func TestCredentials(t *testing.T) {
	elastic, url := newServer(t)
	if got := made(t, Settings{URL: url}, "other-canary").Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured || strings.Contains(got.Reason, "canary") {
		t.Fatalf("%+v", got)
	}
	if got := made(t, Settings{URL: url}, "").Send(t.Context(), transporttest.Small(1)); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "API key is empty") {
		t.Fatalf("%+v", got)
	}
	basic := made(t, Settings{URL: url, Username: "postern", Pipeline: "audit", Index: "audit"}, "")
	got := basic.Send(t.Context(), transporttest.Small(1))
	last := elastic.asked[len(elastic.asked)-1]
	if name, password, ok := last.BasicAuth(); !ok || name != "postern" || password != "canary-password" || last.URL.Query().Get("pipeline") != "audit" || last.URL.Path != "/audit/_bulk" {
		t.Fatal(name, ok, last.URL)
	}
	if strings.Contains(got.Reason, "canary") || strings.Contains(got.Reason, strings.TrimPrefix(last.Header.Get("Authorization"), "Basic ")) {
		t.Fatalf("%+v", got)
	}
}

func TestWhatItHolds(t *testing.T) {
	_, url := newServer(t)
	receiver, sent, other := made(t, Settings{URL: url}, canary), transporttest.Events(t, 40), transporttest.Events(t, 60)
	kept := slices.Concat(sent[1:10], sent[12:30], sent[31:39])
	for _, part := range [][]stream.Event{kept, other} {
		if got := receiver.Send(t.Context(), part); got.Verdict != sink.Accepted {
			t.Fatalf("%+v", got)
		}
	}
	for _, test := range []struct {
		first, last int64
		want        []sink.Range
	}{
		{1, 40, []sink.Range{{From: 1, To: 1}, {From: 11, To: 12}, {From: 31, To: 31}, {From: 40, To: 40}}},
		{2, 10, nil}, {11, 11, []sink.Range{{From: 11, To: 11}}}, {38, 45, []sink.Range{{From: 40, To: 45}}},
	} {
		got, err := receiver.Holds(t.Context(), sent[0].Workspace, test.first, test.last)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%d to %d: %v %v, want %v", test.first, test.last, got, err, test.want)
		}
	}
	if _, err := made(t, Settings{URL: url}, "other").Holds(t.Context(), sent[0].Workspace, 1, 2); core.KindOf(err) != core.KindUnavailable {
		t.Error(err)
	}
}

func TestWhatItHoldsOverSeveralPages(t *testing.T) {
	elastic, url := newServer(t)
	workspace := core.NewID()
	for sequence := 1; sequence <= 25_000; sequence++ {
		if sequence%9_999 != 0 {
			elastic.documents[fmt.Sprint(sequence)] = map[string]any{"metadata": map[string]any{"sequence": float64(sequence), "tenant_uid": workspace.String()}}
		}
	}
	got, err := made(t, Settings{URL: url}, canary).Holds(t.Context(), workspace, 1, 25_000)
	if err != nil || !slices.Equal(got, []sink.Range{{From: 9_999, To: 9_999}, {From: 19_998, To: 19_998}}) || len(elastic.asked) != 3 {
		t.Fatal(got, err, len(elastic.asked))
	}
}

func TestAnAnswerThatDidNotLookAtEverythingIsNone(t *testing.T) {
	for _, body := range []string{`{"timed_out":true,"_shards":{"failed":0}}`, `{"timed_out":false,"_shards":{"failed":1}}`, `{}`, `<html>`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		if got, err := made(t, Settings{URL: server.URL}, canary).Holds(t.Context(), core.NewID(), 1, 9); err == nil {
			t.Errorf("%s: %v is told as missing", body, got)
		}
		server.Close()
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for field, settings := range map[string]Settings{
		"url": {}, "index": {URL: "https://a", Index: "Logs"}, "pipeline": {URL: "https://a", Pipeline: "a/b"}, "username": {URL: "https://a", Username: "a:b"},
		"max_bytes": {URL: "https://a", MaxBytes: 1}, "timeout_seconds": {URL: "https://a", TimeoutSeconds: -1}, "tls.ca": {URL: "https://a", TLS: transport.TLS{CA: "x"}},
	} {
		if err := settings.Validate(); core.AsError(err) == nil || core.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
