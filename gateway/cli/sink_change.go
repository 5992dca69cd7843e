package cli

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"postern/core"
	"postern/gateway/api"
	"postern/siem/sinks"
)

// configured is what creating and changing a sink have in common.
type configured struct {
	Set        map[string]string `help:"Settings: text, or JSON for numbers, lists and objects ('postern sink kinds' lists them); NAME= is the default again." placeholder:"NAME=VALUE"`
	Credential map[string]string `help:"Credentials, each in a file; - is standard input, and NAME= removes one." placeholder:"NAME=PATH"`
	Type       []string          `help:"Only these events, such as user.deprovisioned or user.*." placeholder:"TYPE"`
	Outcome    []string          `help:"Only success, or failure." placeholder:"OUTCOME"`
	Severity   string            `help:"Only of this severity and above." enum:",informational,low,medium,high,critical" default:""`
	Remove     []string          `help:"Fields of the document the receiver is not shown, such as src_endpoint.ip." placeholder:"FIELD"`
	Hash       []string          `help:"Fields of which it is shown a hash." placeholder:"FIELD"`
}

// body is what is asked for: each flag changes its own part of a sink as it was, and parts without a flag are left out.
func (g configured) body(before api.Sink) (map[string]any, error) {
	body := map[string]any{}
	if len(g.Set) > 0 {
		settings := map[string]any{}
		maps.Copy(settings, before.Settings)
		for name, text := range g.Set {
			if settings[name] = settingOf(text); text == "" {
				delete(settings, name)
			}
		}
		body["settings"] = settings
	}
	if len(g.Credential) > 0 {
		credentials := map[string]string{}
		for name, path := range g.Credential {
			if path == "" {
				credentials[name] = ""
				continue
			}
			text, err := readGiven("--credential", path, maxSecret)
			if err != nil {
				return nil, err
			}
			credentials[name] = strings.TrimSpace(string(text))
		}
		body["credentials"] = credentials
	}
	if len(g.Type)+len(g.Outcome) > 0 || g.Severity != "" {
		body["filter"] = g.filter(before.Filter)
	}
	if len(g.Remove)+len(g.Hash) > 0 {
		body["redaction"] = g.redaction(before.Redaction)
	}
	return body, nil
}

// settingOf is a setting as it was typed: JSON if it looks like that, and text otherwise.
func settingOf(text string) any {
	if strings.ContainsAny(text[:min(1, len(text))], "[{-0123456789") || text == "true" || text == "false" {
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			return value
		}
	}
	return text
}

func (g configured) filter(before *sinks.Filter) sinks.Filter {
	var filter sinks.Filter
	if before != nil {
		filter = *before
	}
	if len(g.Type) > 0 {
		filter.Types = g.Type
	}
	if len(g.Outcome) > 0 {
		filter.Outcomes = nil
		for _, one := range g.Outcome {
			filter.Outcomes = append(filter.Outcomes, core.Outcome(one))
		}
	}
	if g.Severity != "" {
		filter.Severity = g.Severity
	}
	return filter
}

// redaction replaces the fields that are removed, or those that are hashed. A field is one or the other: what is asked
// for now holds.
func (g configured) redaction(before []sinks.Redaction) []sinks.Redaction {
	given := map[string][]string{sinks.Remove: g.Remove, sinks.Hash: g.Hash}
	named := slices.Concat(g.Remove, g.Hash)
	after := []sinks.Redaction{}
	for _, one := range before {
		if len(given[one.How]) == 0 && !slices.Contains(named, one.Field) {
			after = append(after, one)
		}
	}
	for _, how := range []string{sinks.Remove, sinks.Hash} {
		for _, field := range given[how] {
			after = append(after, sinks.Redaction{Field: field, How: how})
		}
	}
	return after
}

type changeSink struct {
	oneSink    `embed:""`
	configured `embed:""`
	Rename     string   `help:"A new name." placeholder:"NAME"`
	Clear      []string `help:"Drop what --type, --outcome, --severity, --remove or --hash has set: their names, without dashes." enum:"type,outcome,severity,remove,hash" placeholder:"FLAG"`
	Enable     bool     `help:"Deliver again, from where it stopped." xor:"enabled"`
	Disable    bool     `help:"Deliver nothing; what happens waits in the log." xor:"enabled"`
}

// Help is shown by 'postern sink change --help'.
func (changeSink) Help() string {
	return `Each flag replaces its own part, and everything else stays as it is: --type replaces the types and leaves the least severity, --remove leaves what is hashed, --set max_bytes=500000 leaves the other settings. If somebody else changes the sink meanwhile, nothing is changed.

  postern sink change SIEM --type 'user.*' --type account.password_rotated
  postern sink change SIEM --clear type --severity medium
  postern sink change SIEM --set index=security --set max_bytes=
  postern sink change SIEM --credential token=new-token.txt`
}

// cleared drops parts of the filter and of the redaction.
func (c changeSink) cleared(before *api.Sink) {
	if before.Filter == nil {
		before.Filter = &sinks.Filter{}
	}
	for _, part := range c.Clear {
		switch part {
		case "type":
			before.Filter.Types = nil
		case "outcome":
			before.Filter.Outcomes = nil
		case "severity":
			before.Filter.Severity = ""
		default:
			before.Redaction = slices.DeleteFunc(before.Redaction, func(one sinks.Redaction) bool { return one.How == part })
		}
	}
}

// Run changes the sink as it was read: if somebody else changed it meanwhile, the gateway refuses.
func (c changeSink) Run(ctx context.Context, terminal terminal) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	found, err := client.sink(ctx, c.Sink)
	if err != nil {
		return err
	}
	at := "/sinks/" + found.ID.String()
	text, tag, err := client.exchange(ctx, http.MethodGet, at, nil, nil)
	if err != nil {
		return err
	}
	var before api.Sink
	if err := json.Unmarshal(text, &before); err != nil {
		return core.Internal(err)
	}
	c.cleared(&before)
	body, err := c.body(before)
	if err != nil {
		return err
	}
	if len(c.Clear) > 0 {
		body["filter"], body["redaction"] = c.filter(before.Filter), c.redaction(before.Redaction)
	}
	if c.Rename != "" {
		body["name"] = c.Rename
	}
	if c.Enable || c.Disable {
		body["enabled"] = c.Enable
	}
	if len(body) == 0 {
		return core.Invalid("", "say what to change: 'postern sink change --help'")
	}
	text, err = client.ask(ctx, http.MethodPatch, at, nil, body, "If-Match", tag)
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, one api.Sink) { sheet.sink(one) })
}
