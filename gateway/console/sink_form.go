package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/sinks"
)

// sinkForm makes a sink of a kind, once that is chosen, or changes one.
type sinkForm struct {
	form
	Kind, Title string
	Kinds       []field // to choose from
	Fields      []sinkField
	Old         *sinks.Sink // what is changed
	At, Back    string      // where the form goes to, and where to without it
}

// Severities are those a filter can begin with.
func (sinkForm) Severities() []string { return sinks.Severities() }

// sinkField is what a kind is told.
type sinkField struct {
	sink.Field
	Kept bool // a credential that is set
}

// fieldsOf leaves out what no form can say.
func fieldsOf(kind sink.Kind, kept []string) []sinkField {
	var fields []sinkField
	for _, one := range kind.Fields {
		if one.Type != "object" {
			fields = append(fields, sinkField{one, one.Credential && slices.Contains(kept, one.Name)})
		}
	}
	return fields
}

// newSink shows the form that makes one.
func (s *Service) newSink(c *gin.Context) { s.askForSink(c, http.StatusOK, "") }

func (s *Service) askForSink(c *gin.Context, status int, refusal string) {
	if !s.administrator(c) {
		return
	}
	chosen := c.PostForm("kind")
	if chosen == "" {
		chosen = c.Query("kind")
	}
	kind, there := s.Sinks.Kinds[chosen]
	if !there {
		chosen = ""
	}
	var all []field
	for _, name := range slices.Sorted(maps.Keys(s.Sinks.Kinds)) {
		all = append(all, field{Name: name, Value: s.Sinks.Kinds[name].Title})
	}
	s.show(c, status, "sink-form", "New sink", "destinations", sinkForm{
		form: form{c.Request.PostForm, refusal}, Kind: chosen, Title: kind.Title, Kinds: all, Fields: fieldsOf(kind, nil),
		At: "/destinations/sinks", Back: "/destinations",
	})
}

// editSink shows the form that changes the one in the path: as it is, or as it was typed.
func (s *Service) editSink(c *gin.Context) { s.askToChangeSink(c, http.StatusOK, "") }

func (s *Service) askToChangeSink(c *gin.Context, status int, refusal string) {
	s.about(c, status, "sink-form", "destinations", func() (string, any, error) {
		one, kind, err := s.sinkIn(c)
		if err != nil {
			return "", nil, err
		}
		said := c.Request.PostForm
		if c.Request.Method == http.MethodGet {
			if said, err = formOf(one, kind); err != nil {
				return "", nil, err
			}
		}
		return "Change " + one.Name, sinkForm{
			form: form{said, refusal}, Kind: one.Kind, Title: kind.Title, Fields: fieldsOf(kind, one.Credentials), Old: &one,
			At: sinkAt(one.ID) + "/change", Back: sinkAt(one.ID),
		}, nil
	})
}

// sinkIn finds the sink in the path.
func (s *Service) sinkIn(c *gin.Context) (sinks.Sink, sink.Kind, error) {
	id, err := pathID(c)
	if err != nil {
		return sinks.Sink{}, sink.Kind{}, err
	}
	one, err := s.Sinks.Sink(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	return one, s.Sinks.Kinds[one.Kind], err
}

// formOf is what a form says of a sink as it is.
func formOf(one sinks.Sink, kind sink.Kind) (url.Values, error) {
	said := url.Values{"name": {one.Name}, "types": {strings.Join(one.Filter.Types, " ")}, "severity": {one.Filter.Severity}, "updated": {one.Updated.Format(time.RFC3339Nano)}}
	if len(one.Filter.Outcomes) == 1 { // both are every one
		said.Set("outcome", string(one.Filter.Outcomes[0]))
	}
	for how, name := range redactionFields {
		var fields []string
		for _, each := range one.Redaction {
			if each.How == how {
				fields = append(fields, each.Field)
			}
		}
		said.Set(name, strings.Join(fields, " "))
	}
	var settings map[string]any
	if err := json.Unmarshal(one.Settings, &settings); err != nil {
		return nil, core.Internal(err)
	}
	for _, each := range kind.Fields {
		name := "field-" + each.Name
		switch value := settings[each.Name].(type) {
		case nil:
		case bool:
			if value {
				said.Set(name, "1")
			}
		case []any:
			var words []string
			for _, word := range value {
				words = append(words, fmt.Sprint(word))
			}
			said.Set(name, strings.Join(words, " "))
		case float64:
			said.Set(name, strconv.FormatFloat(value, 'f', -1, 64))
		default:
			said.Set(name, fmt.Sprint(value))
		}
	}
	return said, nil
}

// redactionFields are the fields of the form that name what is redacted, by how.
var redactionFields = map[string]string{sinks.Remove: "remove", sinks.Hash: "hash"}

// settingsIn reads what a form says of a kind's settings and credentials. Settings no form can say stay as they were.
func settingsIn(c *gin.Context, kind sink.Kind, before json.RawMessage) (json.RawMessage, map[string]seal.Secret, error) {
	var kept map[string]json.RawMessage
	if len(before) > 0 {
		if err := json.Unmarshal(before, &kept); err != nil {
			return nil, nil, core.Internal(err)
		}
	}
	settings, credentials := map[string]any{}, map[string]seal.Secret{}
	for _, one := range kind.Fields {
		text := strings.TrimSpace(c.PostForm("field-" + one.Name))
		old, had := kept[one.Name]
		switch {
		case one.Type == "object" && had:
			settings[one.Name] = old
		case one.Credential && c.PostForm("forget-"+one.Name) != "":
			credentials[one.Name] = seal.Secret{}
		case text == "":
		case one.Credential:
			credentials[one.Name] = seal.NewSecret(text)
		case one.Type == "boolean":
			settings[one.Name] = true
		case one.Type == "list":
			settings[one.Name] = strings.Fields(text)
		case one.Type == "number":
			number, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, nil, core.Invalid("settings."+one.Name, "%s is a number", one.Name)
			}
			settings[one.Name] = number
		default:
			settings[one.Name] = text
		}
	}
	encoded, err := json.Marshal(settings)
	return encoded, credentials, err
}

// choiceIn reads what a form says of which events are delivered, and what is left out of them.
func choiceIn(c *gin.Context) (sinks.Filter, []sinks.Redaction) {
	var redaction []sinks.Redaction
	for _, how := range slices.Sorted(maps.Keys(redactionFields)) {
		for _, one := range strings.Fields(c.PostForm(redactionFields[how])) {
			redaction = append(redaction, sinks.Redaction{Field: one, How: how})
		}
	}
	filter := sinks.Filter{Types: strings.Fields(c.PostForm("types")), Severity: c.PostForm("severity")}
	if outcome := c.PostForm("outcome"); outcome != "" {
		filter.Outcomes = []core.Outcome{core.Outcome(outcome)}
	}
	return filter, redaction
}

func (s *Service) createSink(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	kind := s.Sinks.Kinds[c.PostForm("kind")]
	settings, credentials, err := settingsIn(c, kind, nil)
	var one sinks.Sink
	if err == nil {
		filter, redaction := choiceIn(c)
		one, err = s.Sinks.Create(c.Request.Context(), s.cause(c), sinks.Wanted{
			Workspace: s.reader(c).workspace(), Name: strings.TrimSpace(c.PostForm("name")), Kind: c.PostForm("kind"), Settings: settings, Credentials: credentials,
			Filter: filter, Redaction: redaction, Everything: c.PostForm("everything") != "",
		})
	}
	s.sinkFormDone(c, one, kind, err, s.askForSink)
}

// changeSink takes the form of the sink in the path. One that was changed since the form was shown is shown again.
func (s *Service) changeSink(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	before, kind, err := s.sinkIn(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	settings, credentials, err := settingsIn(c, kind, before.Settings)
	if err == nil {
		before, err = s.Sinks.Change(c.Request.Context(), s.cause(c), before.Workspace, before.ID, credentials, func(one *sinks.Sink) error {
			if one.Updated.Format(time.RFC3339Nano) != c.PostForm("updated") {
				return core.Stale("the sink was changed meanwhile; open this form again")
			}
			one.Name, one.Settings = strings.TrimSpace(c.PostForm("name")), settings
			one.Filter, one.Redaction = choiceIn(c)
			return nil
		})
	}
	s.sinkFormDone(c, before, kind, err, s.askToChangeSink)
}

// sinkFormDone leads to the sink, or back to its form. A secret that was typed is not shown again.
func (s *Service) sinkFormDone(c *gin.Context, one sinks.Sink, kind sink.Kind, err error, again func(*gin.Context, int, string)) {
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, sinkAt(one.ID))
		return
	}
	for _, each := range kind.Fields {
		if each.Credential {
			c.Request.PostForm.Del("field-" + each.Name)
		}
	}
	s.refused(c, err, again)
}
