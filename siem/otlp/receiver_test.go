package otlp

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

const canary = "canary-bearer-token"

func made(t testing.TB, settings Settings) *Receiver {
	t.Helper()
	receiver, err := New(settings, Secrets{Authorization: transporttest.Secret("Bearer " + canary)}, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver
}

func marshal(t testing.TB, message proto.Message) string {
	t.Helper()
	text, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func answering(t testing.TB, code int, kind, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRecords(t *testing.T) {
	var asked collector.ExportLogsServiceRequest
	var path string
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, header = r.URL.Path, r.Header
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		text, err := io.ReadAll(unpacked)
		if err == nil {
			err = proto.Unmarshal(text, &asked)
		}
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", protobuf)
	}))
	defer server.Close()
	sent := transporttest.Events(t, 3)
	if got := made(t, Settings{URL: server.URL, Headers: map[string]string{"X-Scope-OrgID": "acme"}}).Send(t.Context(), sent); got.Verdict != sink.Accepted || got.Reason != "" {
		t.Fatalf("%+v", got)
	}
	if path != "/v1/logs" || header.Get("Authorization") != "Bearer "+canary || header.Get("X-Scope-Orgid") != "acme" || header.Get("Content-Type") != protobuf {
		t.Fatal(path, header)
	}
	records := asked.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords()
	for place, record := range records {
		attributes := map[string]*common.AnyValue{}
		for _, attribute := range record.GetAttributes() {
			attributes[attribute.GetKey()] = attribute.GetValue()
		}
		event := sent[place]
		if attributes["log.record.uid"].GetStringValue() != event.ID.String() || attributes["postern.workspace"].GetStringValue() != event.Workspace.String() || attributes["postern.sequence"].GetIntValue() != event.Sequence ||
			record.GetBody().GetStringValue() != string(event.Value) || record.GetEventName() != string(event.Type) || record.GetTimeUnixNano() != uint64(event.Occurred.UnixNano()) || record.GetSeverityNumber() != logs.SeverityNumber_SEVERITY_NUMBER_INFO {
			t.Fatalf("%v", record)
		}
	}
	if len(records) != 3 {
		t.Fatal(len(records))
	}
	own := made(t, Settings{URL: server.URL + "/otlp/logs"})
	if got := own.Send(t.Context(), sent); got.Verdict != sink.Accepted || path != "/otlp/logs" {
		t.Fatalf("%+v %s", got, path)
	}
}

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	partial := func(rejected int64, text string) string {
		return marshal(t, &collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: rejected, ErrorMessage: text}})
	}
	said := marshal(t, &status.Status{Code: 3, Message: "it is said to Bearer " + canary})
	for _, test := range []struct {
		name       string
		status     int
		kind, body string
		want       sink.Verdict
		says       string
	}{
		{"taken", 200, protobuf, "", sink.Accepted, ""},
		{"taken, with a warning", 200, protobuf, partial(0, "use /v2 "+canary), sink.Accepted, "use /v2"},
		{"one rejected", 200, protobuf, partial(1, "too old"), sink.Refused, "rejected 1 of 2 records"},
		{"a portal", 200, "text/html", "<html>", sink.Misconfigured, "not as a receiver of OTLP"},
		{"another service", 200, "application/json", "{}", sink.Misconfigured, "not as a receiver of OTLP"},
		{"not protobuf", 200, protobuf, "\xff\xff", sink.Misconfigured, "not as a receiver of OTLP"},
		{"bad data", 400, protobuf, said, sink.Refused, "it is said"},
		{"no token", 401, protobuf, said, sink.Misconfigured, "check the token"},
		{"may not", 403, "text/plain", "no", sink.Misconfigured, "check the token"},
		{"not there", 404, "text/plain", "404 page not found", sink.Misconfigured, "check the address"},
		{"too large", 413, protobuf, "", sink.TooLarge, "413"},
		{"another type", 415, "text/plain", "", sink.Misconfigured, "415"},
		{"too many", 429, protobuf, said, sink.Busy, "it is said"},
		{"broken", 500, protobuf, said, sink.Busy, "it is said"},
		{"behind", 502, "text/html", "<html>", sink.Busy, "502"},
		{"away", 503, protobuf, said, sink.Busy, "it is said"},
		{"late", 504, "text/html", "<html>", sink.Busy, "504"},
	} {
		got := made(t, Settings{URL: answering(t, test.status, test.kind, test.body)}).Send(t.Context(), transporttest.Small(2))
		if got.Verdict != test.want || got.Event != -1 || !strings.Contains(got.Reason, test.says) || test.says == "" && got.Reason != "" || strings.Contains(got.Reason, canary) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for field, settings := range map[string]Settings{
		"url": {}, "headers": {URL: "https://a", Headers: map[string]string{"authorization": canary}}, "service_name": {URL: "https://a", ServiceName: strings.Repeat("a", 201)},
		"max_bytes": {URL: "https://a", MaxBytes: 1}, "timeout_seconds": {URL: "https://a", TimeoutSeconds: -1}, "tls.ca": {URL: "https://a", TLS: transport.TLS{CA: "x"}},
	} {
		if err := settings.Validate(); core.AsError(err) == nil || core.AsError(err).Field != field || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, name := range []string{"X-Api-Key", "Content-Type", "a b", "Api-Token"} {
		if (Settings{URL: "https://a", Headers: map[string]string{name: "b"}}).Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
