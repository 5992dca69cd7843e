package transporttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"postern/conformance/partstest"
)

// Collector is a running OpenTelemetry Collector with its receivers for HEC and OTLP.
type Collector struct {
	HEC, OTLP string // addresses
	file      string
}

const collectorSettings = `
receivers:
  splunk_hec:
    endpoint: %s
    ack: {extension: ack}
    hec_metadata_to_otel_attrs: {source: hec.source, sourcetype: hec.sourcetype, index: hec.index, host: hec.host}
  otlp:
    protocols: {http: {endpoint: %s}}
exporters:
  file: {path: %s, flush_interval: 20ms}
extensions:
  ack: {}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  extensions: [ack]
  pipelines:
    logs: {receivers: [splunk_hec, otlp], exporters: [file]}
`

// StartCollector starts one, or skips the test where it was not compiled.
func StartCollector(t testing.TB) *Collector {
	t.Helper()
	partstest.Long(t, "the OpenTelemetry Collector")
	program := filepath.Join(partstest.Suites(t, "collector/collector"), "collector", "collector")
	folder, hec, otlp := t.TempDir(), freeAddress(t), freeAddress(t)
	made := &Collector{HEC: "http://" + hec, OTLP: "http://" + otlp, file: filepath.Join(folder, "received.json")}
	running := run(t, program, "--config", write(t, folder, "settings.yaml", fmt.Sprintf(collectorSettings, hec, otlp, made.file)))
	listening(t, running, hec)
	listening(t, running, otlp)
	return made
}

// Record is a log record that the collector took. Attributes are those of the record and of its resource; numbers are
// texts in them.
type Record struct {
	Body       any
	Event      string
	Attributes map[string]string
}

type value struct {
	Text   *string `json:"stringValue"`
	Number *string `json:"intValue"`
	List   *struct {
		Values []struct {
			Key   string `json:"key"`
			Value value  `json:"value"`
		} `json:"values"`
	} `json:"kvlistValue"`
}

func (v value) plain() any {
	switch {
	case v.Text != nil:
		return *v.Text
	case v.Number != nil:
		return *v.Number
	case v.List != nil:
		fields := map[string]any{}
		for _, one := range v.List.Values {
			fields[one.Key] = one.Value.plain()
		}
		return fields
	}
	return nil
}

// Records reads what the collector wrote so far.
func (c *Collector) Records(t testing.TB) []Record {
	t.Helper()
	text, err := os.ReadFile(c.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	type attributes []struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	var found []Record
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		var batch struct {
			ResourceLogs []struct {
				Resource  struct{ Attributes attributes }
				ScopeLogs []struct {
					LogRecords []struct {
						Body       value
						EventName  string
						Attributes attributes
					}
				}
			}
		}
		if err := json.Unmarshal(line, &batch); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, resource := range batch.ResourceLogs {
			for _, scope := range resource.ScopeLogs {
				for _, one := range scope.LogRecords {
					record := Record{Body: one.Body.plain(), Event: one.EventName, Attributes: map[string]string{}}
					for _, list := range []attributes{resource.Resource.Attributes, one.Attributes} {
						for _, attribute := range list {
							record.Attributes[attribute.Key] = fmt.Sprint(attribute.Value.plain())
						}
					}
					found = append(found, record)
				}
			}
		}
	}
	return found
}
