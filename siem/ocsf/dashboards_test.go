package ocsf

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/core"
)

// The add-on and the dashboards under deploy name fields of what is written here. These tests hold them together.
const (
	addOn         = "../../deploy/splunk/TA-postern"
	splunkPanels  = "../../deploy/splunk/dashboard.json"
	sumoPanels    = "../../deploy/sumologic/dashboard.json"
	indexedFields = "event_id workspace sequence" // beside the event, by siem/splunk
)

// written lists every field there is in a document of any event, as Splunk calls them: a.b, and a{} for a list.
func written(t *testing.T) map[string]bool {
	t.Helper()
	fields := map[string]bool{}
	var walk func(name string, value any)
	walk = func(name string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, inner := range value {
				walk(strings.TrimPrefix(name+"."+key, "."), inner)
			}
		case []any:
			for _, inner := range value {
				walk(name+"{}", inner)
			}
		default:
			fields[name] = true
		}
	}
	for _, version := range []Version{Version18, Version19} {
		for _, record := range records(t, core.EventTypes()) {
			text, err := Mapper{Version: version}.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			var document any
			if err := json.Unmarshal(text, &document); err != nil {
				t.Fatal(err)
			}
			walk("", document)
		}
	}
	return fields
}

// conf reads a configuration file of Splunk: settings by stanza.
func conf(t *testing.T, path string) map[string]map[string]string {
	t.Helper()
	file, err := os.Open(filepath.Join(addOn, path))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stanzas, stanza := map[string]map[string]string{}, ""
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			stanza = line[1 : len(line)-1]
			if stanzas[stanza] != nil {
				t.Errorf("%s:%d: [%s] comes twice", path, number, stanza)
			}
			stanzas[stanza] = map[string]string{}
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || stanzas[stanza] == nil || stanzas[stanza][name] != "" {
			t.Errorf("%s:%d: %q is no setting of a stanza, or comes twice", path, number, line)
			continue
		}
		stanzas[stanza][name] = strings.TrimSpace(value)
	}
	return stanzas
}

var (
	texts   = regexp.MustCompile(`"[^"]*"`)
	quoted  = regexp.MustCompile(`'[^']*'`)
	bare    = regexp.MustCompile(`\b[a-z_]+[a-z_.]*\b`)
	calls   = regexp.MustCompile(`\b[a-z_]+\s*\(`)
	dotted  = regexp.MustCompile(`\b[a-z_]+(\.[a-z_]+)+\b`)
	filters = regexp.MustCompile(`\b([a-z_.]+)(=| IN \()`)
)

// inExpression lists the fields of an expression of eval.
func inExpression(text string) []string {
	text = texts.ReplaceAllString(text, " ")
	var fields []string
	for _, name := range quoted.FindAllString(text, -1) {
		fields = append(fields, strings.Trim(name, "'"))
	}
	text = calls.ReplaceAllString(quoted.ReplaceAllString(text, " "), " ")
	return append(fields, bare.FindAllString(text, -1)...)
}

func TestTheAddOnNamesFieldsThatExist(t *testing.T) {
	fields := written(t)
	props := conf(t, "default/props.conf")
	ours := props["postern:ocsf"]
	if len(props) != 1 || ours["KV_MODE"] != "json" || ours["TRUNCATE"] != "0" {
		t.Fatalf("%v", props)
	}
	checked, made := 0, map[string]bool{}
	for name, value := range ours {
		field, is := strings.CutPrefix(name, "EVAL-")
		if !is {
			continue
		}
		made[field] = true
		for _, used := range inExpression(value) {
			checked++
			if !fields[used] {
				t.Errorf("%s: no event has a field %q", name, used)
			}
		}
	}
	if checked < 40 {
		t.Fatalf("only %d fields were looked for", checked)
	}
	// CIM 4.17 to 5, Change and Authentication: what their searches rely on.
	for _, wanted := range strings.Fields("vendor_product app dest change_type command object object_id object_attrs object_category result result_id src src_user status user signature signature_id") {
		if !made[wanted] {
			t.Errorf("CIM's %s is not made", wanted)
		}
	}
	lookup := strings.NewReplacer(",", " ").Replace(ours["LOOKUP-postern_action"])
	words := strings.Fields(lookup)
	if len(words) != 6 || conf(t, "default/transforms.conf")[words[0]]["filename"] != "postern_actions.csv" || !slices.Equal(words[4:], []string{"OUTPUT", "action"}) {
		t.Fatalf("%q", words)
	}
	for _, used := range words[1:4] {
		if !fields[used] {
			t.Errorf("the lookup: no event has a field %q", used)
		}
	}
	indexed := slices.Sorted(maps.Keys(conf(t, "default/fields.conf")))
	if want := slices.Sorted(slices.Values(strings.Fields(indexedFields))); !slices.Equal(indexed, want) {
		t.Errorf("indexed are %v, sent are %v", indexed, want)
	}
	types, tags := conf(t, "default/eventtypes.conf"), conf(t, "default/tags.conf")
	for name, settings := range types {
		for _, used := range filters.FindAllStringSubmatch(texts.ReplaceAllString(settings["search"], " "), -1) {
			if used[1] != "sourcetype" && !fields[used[1]] {
				t.Errorf("%s: no event has a field %q", name, used[1])
			}
		}
		if len(tags["eventtype="+name]) == 0 {
			t.Errorf("%s has no tags", name)
		}
	}
	if len(tags) != len(types) || tags["eventtype=postern_authentication"]["authentication"] != "enabled" || tags["eventtype=postern_account_change"]["account"] != "enabled" {
		t.Errorf("%v", tags)
	}
	for _, path := range []string{"default/app.conf", "metadata/default.meta"} {
		if len(conf(t, path)) == 0 {
			t.Errorf("%s is empty", path)
		}
	}
}

// TestEveryEventHasAnAction: with the words CIM prescribes for the data model it goes to.
func TestEveryEventHasAnAction(t *testing.T) {
	file, err := os.Open(filepath.Join(addOn, "lookups/postern_actions.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || !slices.Equal(rows[0], []string{"class_uid", "activity_id", "status_id", "action"}) {
		t.Fatal(rows[0], err)
	}
	actions := map[string]string{}
	for _, row := range rows[1:] {
		key := strings.Join(row[:3], " ")
		if actions[key] != "" {
			t.Errorf("%s comes twice", key)
		}
		actions[key] = row[3]
		change := []string{"acl_modified", "created", "deleted", "modified", "read"}
		if row[0] == "3002" {
			change = []string{"success", "failure"}
		}
		if !slices.Contains(change, row[3]) {
			t.Errorf("%v: CIM has no such action here", row)
		}
	}
	for _, version := range []Version{Version18, Version19} {
		for _, record := range records(t, core.EventTypes()) {
			text, err := Mapper{Version: version}.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			var document struct {
				Class    int `json:"class_uid"`
				Activity int `json:"activity_id"`
				Status   int `json:"status_id"`
			}
			if err := json.Unmarshal(text, &document); err != nil {
				t.Fatal(err)
			}
			if actions[fmt.Sprint(document.Class, document.Activity, document.Status)] == "" {
				t.Errorf("%s has no action: class %d, activity %d, status %d", record.Event.Type, document.Class, document.Activity, document.Status)
			}
		}
	}
}

// names checks what a query names: dotted names outside of texts, and event types within.
func names(t *testing.T, query string, fields map[string]bool) int {
	t.Helper()
	count := 0
	for _, name := range dotted.FindAllString(texts.ReplaceAllString(query, " "), -1) {
		if count++; !fields[name] {
			t.Errorf("no event has a field %q: %s", name, query)
		}
	}
	for _, text := range texts.FindAllString(query, -1) {
		text = strings.Trim(text, `"`)
		if !dotted.MatchString(text) || strings.ContainsAny(text, " :/") || fields[text] {
			continue
		}
		if count++; !slices.Contains(core.EventTypes(), core.EventType(text)) {
			t.Errorf("%q is no event and no field: %s", text, query)
		}
	}
	return count
}

func TestTheSplunkDashboardNamesFieldsThatExist(t *testing.T) {
	text, err := os.ReadFile(splunkPanels)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Visualizations map[string]struct {
			Type        string
			DataSources map[string]string
		}
		DataSources map[string]struct {
			Type    string
			Options struct{ Query string }
		}
		Inputs map[string]struct{ Type string }
		Layout struct {
			GlobalInputs []string
			Structure    []struct{ Item string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	fields, count := written(t), 0
	for _, one := range strings.Fields(indexedFields) {
		fields[one] = true
	}
	for name, source := range board.DataSources {
		if source.Type != "ds.search" || !strings.Contains(source.Options.Query, `sourcetype="postern:ocsf"`) {
			t.Errorf("%s: %+v", name, source)
		}
		count += names(t, source.Options.Query, fields)
		for _, used := range filters.FindAllStringSubmatch(strings.Split(source.Options.Query, "|")[0], -1) {
			if used[1] != "index" && used[1] != "sourcetype" && !fields[used[1]] {
				t.Errorf("%s: no event has a field %q", name, used[1])
			}
		}
	}
	shown := map[string]bool{}
	for _, one := range board.Layout.Structure {
		shown[one.Item] = true
		for _, source := range board.Visualizations[one.Item].DataSources {
			if board.DataSources[source].Type == "" {
				t.Errorf("%s shows %s, which there is not", one.Item, source)
			}
		}
	}
	if len(shown) != len(board.Visualizations) || len(shown) != len(board.DataSources) || count < 10 || board.Inputs[board.Layout.GlobalInputs[0]].Type == "" {
		t.Fatalf("%d panels of %d, %d names", len(shown), len(board.Visualizations), count)
	}
}

func TestTheSumoLogicDashboardNamesFieldsThatExist(t *testing.T) {
	text, err := os.ReadFile(sumoPanels)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Type   string
		Panels []struct {
			Key, VisualSettings string
			Queries             []struct{ QueryString, QueryType string }
		}
		Layout struct {
			LayoutStructures []struct{ Key, Structure string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	fields, count, placed := written(t), 0, map[string]bool{}
	for _, one := range board.Layout.LayoutStructures {
		placed[one.Key] = json.Valid([]byte(one.Structure))
	}
	operator := regexp.MustCompile(`\| json ((?:"[^"]+",? ?)+) as`)
	for _, panel := range board.Panels {
		if !placed[panel.Key] || !json.Valid([]byte(panel.VisualSettings)) || len(panel.Queries) != 1 {
			t.Errorf("%s has no place, or none of its queries", panel.Key)
			continue
		}
		query := panel.Queries[0].QueryString
		found := operator.FindStringSubmatch(query)
		if len(found) != 2 || !strings.HasPrefix(query, "_sourceCategory=postern/audit ") {
			t.Errorf("%s takes nothing out of events: %s", panel.Key, query)
			continue
		}
		for _, name := range texts.FindAllString(found[1], -1) {
			if count++; !fields[strings.Trim(name, `"`)] {
				t.Errorf("no event has a field %s: %s", name, query)
			}
		}
		names(t, strings.Replace(query, found[0], "", 1), fields)
	}
	if board.Type != "DashboardV2SyncDefinition" || len(placed) != len(board.Panels) || count < 8 {
		t.Fatalf("%d panels, %d names", len(board.Panels), count)
	}
}
