package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
	"postern/gateway/doctor"
	"postern/siem/sink"
	"postern/siem/sinks"
)

type sinkCommands struct {
	List       listSinks      `cmd:"" help:"List where events are delivered to, and how that goes."`
	Kinds      listSinkKinds  `cmd:"" help:"List what sinks can be made of, and what each kind is told."`
	Create     createSink     `cmd:"" help:"Deliver the workspace's events to a receiver."`
	Show       showSink       `cmd:"" help:"Show a sink."`
	Change     changeSink     `cmd:"" help:"Change a sink."`
	Pause      pauseSink      `cmd:"" help:"Pause a sink: what happens waits in the log."`
	Resume     resumeSink     `cmd:"" help:"Let a sink go on where it stopped, or ask its receiver again now."`
	Test       testSink       `cmd:"" help:"Send a test event now, and print what the receiver says."`
	Replay     replaySink     `cmd:"" help:"Deliver a part of the log once more, each event under its id."`
	Replays    listReplays    `cmd:"" help:"List replays and how far they are."`
	Letters    listLetters    `cmd:"" name:"dead-letters" help:"List events the receiver refused for what they are."`
	Retry      retryLetters   `cmd:"" help:"Send one dead letter again, or all."`
	Discard    discardLetters `cmd:"" help:"Give up one dead letter, or all, for a reason."`
	Difference compareSink    `cmd:"" name:"diff" help:"Ask the receiver what it lacks, and have exactly that delivered again."`
	Delete     deleteSink     `cmd:"" help:"Deliver to a receiver no more."`

	Operator sharedSinkCommands `cmd:"" help:"On the database: look after the sinks that 'postern serve' has for all workspaces."`
}

// sink finds one of the workspace's own by id or name.
func (c *apiClient) sink(ctx context.Context, given string) (api.Sink, error) {
	if id, err := core.ParseID(given); err == nil {
		return get[api.Sink](ctx, c, "/sinks/"+id.String(), nil)
	}
	all, err := found[api.Sink](c.pages(ctx, "/sinks", nil, 0))
	if err != nil {
		return api.Sink{}, err
	}
	var names []string
	for _, one := range all {
		if one.ID.IsZero() {
			continue // the operator's
		}
		if strings.EqualFold(one.Name, given) {
			return one, nil
		}
		names = append(names, one.Name)
	}
	return api.Sink{}, missing("sink", given, names, "'postern sink create'")
}

func (s sheet) sink(one api.Sink) {
	s.say("Sink %s (%s)", visible(one.Name), one.Kind)
	s.row("id", one.ID.String())
	s.row("state", visible(strings.TrimSuffix(one.State+": "+one.Reason, ": ")))
	s.row("enabled", strconv.FormatBool(one.Enabled))
	s.row("waiting", strconv.FormatInt(one.Lag, 10))
	s.row("delivered", strconv.FormatInt(one.Delivered, 10)+", last "+utc(one.DeliveredAt))
	s.row("can be asked", strconv.FormatBool(one.Asked))
	s.row("acknowledges", strconv.FormatBool(one.Keeps))
	s.row("dead letters", strconv.Itoa(one.DeadLetters))
	settings, _ := json.Marshal(one.Settings) // read from JSON, so it can be written
	s.row("settings", visible(string(settings)))
	s.row("credentials", strings.Join(one.Credentials, ", "))
	if one.Filter != nil {
		s.row("events", visible(filtered(*one.Filter)))
	}
	for _, field := range one.Redaction {
		s.row("redacted", visible(field.Field+" ("+field.How+")"))
	}
}

// filtered says in words which events are for a sink.
func filtered(filter sinks.Filter) string {
	words := []string{"all"}
	if len(filter.Types) > 0 {
		words[0] = strings.Join(filter.Types, ", ")
	}
	for _, outcome := range filter.Outcomes {
		words = append(words, string(outcome))
	}
	if filter.Severity != "" {
		words = append(words, "severity "+filter.Severity+" and above")
	}
	return strings.Join(words, "; ")
}

// oneSink is part of every command about one sink.
type oneSink struct {
	remote `embed:""`
	Sink   string `arg:"" help:"Name or id of the sink."`
}

// ask finds the sink and sends a request about it.
func (o oneSink) ask(ctx context.Context, method, under string, query url.Values, body any) (json.RawMessage, error) {
	c, err := o.connect()
	if err != nil {
		return nil, err
	}
	one, err := c.sink(ctx, o.Sink)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, method, "/sinks/"+one.ID.String()+under, query, body)
}

type listSinks struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l listSinks) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/sinks", nil, 0),
		column[api.Sink]{"NAME", func(one api.Sink) string { return one.Name }},
		column[api.Sink]{"KIND", func(one api.Sink) string {
			if one.ID.IsZero() {
				return "(operator's)"
			}
			return one.Kind
		}},
		column[api.Sink]{"STATE", func(one api.Sink) string { return one.State }},
		column[api.Sink]{"WAITING", func(one api.Sink) string { return strconv.FormatInt(one.Lag, 10) }},
		column[api.Sink]{"DEAD", func(one api.Sink) string { return strconv.Itoa(one.DeadLetters) }},
		column[api.Sink]{"LAST DELIVERED (UTC)", func(one api.Sink) string { return utc(one.DeliveredAt) }},
		column[api.Sink]{"REASON", func(one api.Sink) string { return one.Reason }})
}

type listSinkKinds struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l listSinkKinds) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	names := func(credential bool) func(api.SinkKind) string {
		return func(one api.SinkKind) string {
			var all []string
			for _, field := range one.Fields {
				if field.Credential == credential {
					all = append(all, field.Name)
				}
			}
			return strings.Join(all, " ")
		}
	}
	return rows(terminal, l.remote, c.pages(ctx, "/sink-kinds", nil, 0),
		column[api.SinkKind]{"KIND", func(one api.SinkKind) string { return one.Kind }},
		column[api.SinkKind]{"SETTINGS", names(false)}, column[api.SinkKind]{"CREDENTIALS", names(true)},
		column[api.SinkKind]{"CAN BE ASKED", func(one api.SinkKind) string { return ableOf(one.Abilities.Asked) }},
		column[api.SinkKind]{"ACKNOWLEDGES", func(one api.SinkKind) string { return ableOf(one.Abilities.Acknowledges) }})
}

// ableOf is an ability in a word or two.
func ableOf(ability sink.Ability) string {
	switch {
	case !ability.Able:
		return "no"
	case len(ability.Needs) > 0:
		return "with " + strings.Join(ability.Needs, " ")
	}
	return "yes"
}

type createSink struct {
	remote     `embed:""`
	configured `embed:""`
	Name       string `arg:"" help:"What administrators call it."`
	Kind       string `arg:"" help:"splunk, sumologic …: 'postern sink kinds' lists them."`
	Everything bool   `help:"Begin with the first event of the log instead of the next."`
}

// Help is shown by 'postern sink create --help'.
func (createSink) Help() string {
	return `  postern sink create SIEM splunk --set 'urls=["https://splunk.example.com:8088"]' --credential token=hec-token.txt
  postern sink create Archive sumologic --credential url=sumo-url.txt --type 'user.*' --hash src_endpoint.ip`
}

// Run asks the gateway.
func (c createSink) Run(ctx context.Context, terminal terminal) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	body, err := c.body(api.Sink{})
	if err != nil {
		return err
	}
	body["name"], body["kind"], body["everything"] = c.Name, c.Kind, c.Everything
	if body["settings"] == nil {
		body["settings"] = map[string]any{}
	}
	text, err := client.ask(ctx, http.MethodPost, "/sinks", nil, body)
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, made api.Sink) { sheet.sink(made) })
}

type showSink struct {
	oneSink `embed:""`
}

// Run asks the gateway.
func (c showSink) Run(ctx context.Context, terminal terminal) error {
	text, err := c.ask(ctx, http.MethodGet, "", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, one api.Sink) { sheet.sink(one) })
}

type pauseSink struct {
	oneSink `embed:""`
	Reason  string `help:"Why, for people to read." placeholder:"TEXT"`
}

// Run asks the gateway.
func (c pauseSink) Run(ctx context.Context, terminal terminal) error {
	text, err := c.ask(ctx, http.MethodPost, "/pause", nil, map[string]string{"reason": c.Reason})
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, one api.Sink) { sheet.sink(one) })
}

type resumeSink struct {
	oneSink `embed:""`
}

// Run asks the gateway.
func (c resumeSink) Run(ctx context.Context, terminal terminal) error {
	text, err := c.ask(ctx, http.MethodPost, "/resume", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, one api.Sink) { sheet.sink(one) })
}

type testSink struct {
	oneSink `embed:""`
}

// Run asks the gateway.
func (c testSink) Run(ctx context.Context, terminal terminal) error {
	text, err := c.ask(ctx, http.MethodPost, "/test", nil, nil)
	if err != nil {
		return err
	}
	var said api.SinkAnswer
	if err := thing(terminal, c.remote, text, func(sheet sheet, answer api.SinkAnswer) {
		said = answer
		sheet.row("answer", answer.Verdict)
		sheet.row("reason", visible(answer.Reason))
		sheet.row("event", answer.Event.String())
		sheet.row("took", (time.Duration(answer.Milliseconds) * time.Millisecond).String())
	}); err != nil || json.Unmarshal(text, &said) != nil || said.Verdict == "accepted" {
		return err
	}
	return &core.Error{Kind: core.KindInternal, Code: "not_accepted", Message: "the receiver did not take the test event"}
}

type deleteSink struct {
	oneSink `embed:""`
}

// Run asks the gateway.
func (c deleteSink) Run(ctx context.Context, terminal terminal) error {
	if _, err := c.ask(ctx, http.MethodDelete, "", nil, nil); err != nil {
		return err
	}
	sheet{terminal.out}.say("deleted; the log keeps every event")
	return nil
}

// sinkDiagnosis prints what was found.
func (s sheet) sinkDiagnosis(seen doctor.SinkDiagnosis) {
	s.say("%s (%s)\n", visible(seen.Name), seen.Kind)
	s.findings(seen.Findings, func(about string) string { return about })
}

// doctorSink examines a sink.
type doctorSink struct {
	oneSink `embed:""`
}

// Help is shown by 'postern doctor sink --help'.
func (doctorSink) Help() string {
	return `Asks a gateway: it looks at the receiver from where sinks do, at its certificate and its clock, sends a test event, and says how far the sink is behind and what was refused.

  postern doctor sink SIEM

The exit code is 0 when nothing is at fault, and 1 when something is.`
}

// Run asks the gateway.
func (c doctorSink) Run(ctx context.Context, terminal terminal) error {
	text, err := c.ask(ctx, http.MethodPost, "/diagnosis", nil, nil)
	if err != nil {
		return err
	}
	var seen doctor.SinkDiagnosis
	if err := json.Unmarshal(text, &seen); err != nil {
		return core.Internal(err)
	}
	if err := thing(terminal, c.remote, text, sheet.sinkDiagnosis); err != nil || seen.Healthy {
		return err
	}
	return &core.Error{Kind: core.KindInternal, Code: "not_healthy", Message: "the sink has faults"}
}
