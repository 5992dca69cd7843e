package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/siem/jsonl"
	"postern/siem/ocsf"
	"postern/siem/sink"
)

// Destinations say where the events of all workspaces go: flags of 'postern serve', and of the commands that ask these
// receivers something.
type Destinations struct {
	Sinks []string `name:"sink" help:"A sink for the events of all workspaces, of any kind and with all of its settings: siem/README.md shows the file. May be given several times." env:"POSTERN_SINKS" placeholder:"NAME=file:PATH"`

	SplunkURL    string `help:"Splunk HTTP Event Collector, for example https://splunk.example.com:8088: the sink 'splunk', in short." env:"POSTERN_SPLUNK_URL" placeholder:"URL"`
	SplunkToken  string `help:"Reference to the HEC token." env:"POSTERN_SPLUNK_TOKEN" placeholder:"REF"`
	SplunkIndex  string `help:"Splunk index; the token's default when empty." env:"POSTERN_SPLUNK_INDEX" placeholder:"INDEX"`
	SumoURL      string `help:"Reference to the Sumo Logic HTTP source URL, which is itself the secret: the sink 'sumologic', in short." env:"POSTERN_SUMO_URL" placeholder:"REF"`
	EventsFolder string `help:"Folder for files of every workspace's events, a JSON document per line, for object storage and for proof without Postern: the sink 'files', in short." env:"POSTERN_EVENTS_FOLDER" placeholder:"PATH"`

	OCSF string `name:"ocsf" help:"Version of OCSF that events are told in: 1.8 or 1.9, the same in every process." default:"1.8" env:"POSTERN_OCSF" enum:"1.8,1.9"`
}

// Mapper writes the documents that receivers get.
func (d Destinations) Mapper() ocsf.Mapper {
	version := ocsf.Version18
	if d.OCSF == "1.9" {
		version = ocsf.Version19
	}
	return ocsf.Mapper{Version: version, Release: release()}
}

// Destination is a sink for the events of all workspaces, as its file describes it.
type Destination struct {
	Kind        string            `json:"kind"`
	Settings    json.RawMessage   `json:"settings"`
	Credentials map[string]string `json:"credentials"` // references
}

// sinkName is what a sink may be called: it names a consumer group, cursors and series.
var sinkName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,49}$`)

// SharedSinks are the destinations by name. An error is Invalid and names the flags.
func (d Destinations) SharedSinks(allowPrivate bool) (map[string]Destination, error) {
	var faults flagFaults
	found := d.check(faults.add, allowPrivate)
	return found, faults.err()
}

// check reads what the flags say and makes each receiver once. A fault is told with its flag.
func (d Destinations) check(fault func(flag, format string, args ...any), allowPrivate bool) map[string]Destination {
	found := d.collect(fault)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		receiver, err := found[name].Open(allowPrivate)
		if err != nil {
			fault("sink", "%s: %s", name, described(err))
			continue
		}
		_ = receiver.Close()
	}
	return found
}

// collect reads what the flags say. A fault is told with its flag, and what it is about is left out.
func (d Destinations) collect(fault func(flag, format string, args ...any)) map[string]Destination {
	found := map[string]Destination{}
	for _, text := range d.Sinks {
		name, reference, _ := strings.Cut(text, "=")
		if !sinkName.MatchString(name) || name == audit.Relayed {
			fault("sink", "%q: NAME=file:PATH is needed, the name of lower case letters, digits and dashes, and not %q", text, audit.Relayed)
			continue
		}
		if _, twice := found[name]; twice {
			fault("sink", "%q is given twice", name)
			continue
		}
		one, err := readDestination(reference)
		if err != nil {
			fault("sink", "%s: %s", name, described(err))
			continue
		}
		found[name] = one
	}
	short := func(flag, name string, one Destination, settings any) {
		if _, twice := found[name]; twice {
			fault(flag, "there is a --sink of the name %q as well: leave one of them out", name)
			return
		}
		one.Settings, _ = json.Marshal(settings) // of texts alone
		found[name] = one
	}
	reference := func(flag, value string) bool {
		if value == "" {
			fault(flag, "a reference is needed: file:PATH or env:NAME")
			return false
		}
		_, err := OpenReference(value)
		if err != nil {
			fault(flag, "%s", core.AsError(err).Message)
		}
		return err == nil
	}
	if d.SplunkURL != "" {
		parsed, err := url.Parse(d.SplunkURL)
		good := false
		switch {
		case err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http"):
			fault("splunk-url", "a URL is needed, for example https://splunk.example.com:8088")
		case parsed.User != nil:
			fault("splunk-url", "leave user name and password out: the token is all that is needed")
		default:
			good = true
		}
		if reference("splunk-token", d.SplunkToken) && good {
			short("splunk-url", "splunk", Destination{Kind: "splunk", Credentials: map[string]string{"token": d.SplunkToken}}, map[string]any{"urls": []string{d.SplunkURL}, "index": d.SplunkIndex})
		}
	} else if d.SplunkToken != "" {
		fault("splunk-url", "a token was given but no URL")
	}
	if d.SumoURL != "" && reference("sumo-url", d.SumoURL) {
		short("sumo-url", "sumologic", Destination{Kind: "sumologic", Credentials: map[string]string{"url": d.SumoURL}}, map[string]any{})
	}
	if d.EventsFolder != "" {
		settings := jsonl.Settings{Folder: d.EventsFolder}
		if err := settings.Validate(); err != nil {
			fault("events-folder", "%s", core.AsError(err).Message)
		} else {
			short("events-folder", "files", Destination{Kind: "files"}, settings)
		}
	}
	return found
}

// readDestination reads the file of a sink, strictly: a name nobody knows is a mistake that would go unnoticed.
func readDestination(reference string) (Destination, error) {
	var one Destination
	text, err := resolve(reference)
	if err != nil {
		return one, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&one) != nil || decoder.More() {
		return one, core.Invalid("", `a JSON object is needed with "kind", "settings" and "credentials", these by reference`)
	}
	var settings map[string]any
	if len(one.Settings) == 0 {
		one.Settings = json.RawMessage(`{}`)
	}
	if json.Unmarshal(one.Settings, &settings) != nil {
		return one, core.Invalid("settings", "the settings are no JSON object")
	}
	// Certificates are texts of many lines: they may be files of their own.
	secured, _ := settings["tls"].(map[string]any)
	for _, name := range []string{"ca", "certificate"} {
		if reference, is := secured[name].(string); is && IsReference(reference) {
			pem, err := OpenReference(reference)
			if err != nil {
				return one, core.Invalid("settings.tls."+name, "%s", core.AsError(err).Message)
			}
			secured[name] = pem.Reveal()
		}
	}
	if secured != nil {
		one.Settings, err = json.Marshal(settings)
	}
	return one, err
}

// Open makes the receiver. Credentials are read anew for each use, so that what was changed is used at once. A fault is
// Invalid and names its field.
func (d Destination) Open(allowPrivate bool) (sink.Receiver, error) {
	kinds := reaches{allowPrivate}.shared()
	kind, there := kinds[d.Kind]
	if !there {
		return nil, core.Invalid("kind", "a sink is one of %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	reads := map[string]sink.Read{}
	for name, reference := range d.Credentials {
		if _, err := OpenReference(reference); err != nil {
			return nil, core.Invalid("credentials."+name, "%s", core.AsError(err).Message)
		}
		reads[name] = func() (seal.Secret, error) { return OpenReference(reference) }
	}
	return kind.BuildReading(d.Settings, reads)
}

// described is what is wrong, with its field.
func described(err error) string {
	fault := core.AsError(err)
	if fault.Field == "" || fault.Field == "reference" {
		return fault.Message
	}
	return fault.Field + ": " + fault.Message
}
