package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"postern/core"
	"postern/gateway/api"
	"postern/siem/sink"
)

type replaySink struct {
	oneSink `embed:""`
	Since   time.Duration `help:"Everything of as long ago as this." placeholder:"TIME" xor:"what"`
	From    int64         `help:"From this sequence." placeholder:"N" xor:"what"`
	To      int64         `help:"With --from: up to this sequence." placeholder:"N"`
	Cancel  bool          `help:"Stop what is being replayed." xor:"what"`
}

// Run asks the gateway.
func (c replaySink) Run(ctx context.Context, terminal terminal) error {
	if c.Cancel {
		if _, err := c.ask(ctx, http.MethodPost, "/replays/cancel", nil, nil); err != nil {
			return err
		}
		sheet{terminal.out}.say("nothing is replayed any more")
		return nil
	}
	body := map[string]any{}
	switch {
	case c.Since > 0:
		body["since"] = time.Now().Add(-c.Since).UTC()
	case c.From > 0 && c.To >= c.From:
		body["ranges"] = []sink.Range{{From: c.From, To: c.To}}
	default:
		return core.Invalid("--since", "say since when, such as --since 24h, or --from and --to")
	}
	text, err := c.ask(ctx, http.MethodPost, "/replays", nil, body)
	if err != nil {
		return err
	}
	return c.made(terminal, text)
}

func (o oneSink) made(terminal terminal, text json.RawMessage) error {
	return thing(terminal, o.remote, text, func(sheet sheet, made struct{ Items []api.SinkReplay }) {
		for _, one := range made.Items {
			sheet.say("events %d to %d are delivered once more, each under its id", one.From, one.To)
		}
	})
}

type listReplays struct {
	oneSink `embed:""`
}

// Run asks the gateway.
func (c listReplays) Run(ctx context.Context, terminal terminal) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	one, err := client.sink(ctx, c.Sink)
	if err != nil {
		return err
	}
	return rows(terminal, c.remote, client.pages(ctx, "/sinks/"+one.ID.String()+"/replays", nil, 0),
		column[api.SinkReplay]{"FROM", func(one api.SinkReplay) string { return strconv.FormatInt(one.From, 10) }},
		column[api.SinkReplay]{"TO", func(one api.SinkReplay) string { return strconv.FormatInt(one.To, 10) }},
		column[api.SinkReplay]{"NEXT", func(one api.SinkReplay) string { return strconv.FormatInt(one.Next, 10) }},
		column[api.SinkReplay]{"STATE", func(one api.SinkReplay) string { return one.State }})
}

type listLetters struct {
	oneSink `embed:""`
}

// Run asks the gateway.
func (c listLetters) Run(ctx context.Context, terminal terminal) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	one, err := client.sink(ctx, c.Sink)
	if err != nil {
		return err
	}
	return rows(terminal, c.remote, client.pages(ctx, "/sinks/"+one.ID.String()+"/dead-letters", url.Values{"limit": {"500"}}, 0),
		column[api.SinkDeadLetter]{"ID", func(one api.SinkDeadLetter) string { return one.ID.String() }},
		column[api.SinkDeadLetter]{"SEQUENCE", func(one api.SinkDeadLetter) string { return strconv.FormatInt(one.Sequence, 10) }},
		column[api.SinkDeadLetter]{"TYPE", func(one api.SinkDeadLetter) string { return one.Type }},
		column[api.SinkDeadLetter]{"ANSWER", func(one api.SinkDeadLetter) string { return one.Answer }})
}

type retryLetters struct {
	oneSink `embed:""`
	Letter  string `help:"Only this one, by its id." placeholder:"ID"`
}

// Run asks the gateway.
func (c retryLetters) Run(ctx context.Context, terminal terminal) error {
	query := url.Values{}
	if c.Letter != "" {
		query.Set("letter", c.Letter)
	}
	text, err := c.ask(ctx, http.MethodPost, "/dead-letters/retry", query, nil)
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, done api.SinkRetried) {
		sheet.say("delivered %d, refused again %d, left %d", done.Delivered, done.Refused, done.Left)
		if done.Answer != "" {
			sheet.row("last answer", visible(done.Answer))
		}
	})
}

type discardLetters struct {
	oneSink `embed:""`
	Letter  string `help:"Only this one, by its id." placeholder:"ID"`
	Reason  string `help:"Why; kept in the activity." required:"" placeholder:"TEXT"`
}

// Run asks the gateway.
func (c discardLetters) Run(ctx context.Context, terminal terminal) error {
	body := map[string]string{"reason": c.Reason}
	if c.Letter != "" {
		body["letter"] = c.Letter
	}
	text, err := c.ask(ctx, http.MethodPost, "/dead-letters/discard", nil, body)
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, done api.SinkDiscarded) {
		sheet.say("%d given up; the log keeps the events", done.Discarded)
	})
}

type compareSink struct {
	oneSink `embed:""`
	From    int64 `help:"From this sequence; the first that was for the sink when left out." placeholder:"N"`
	To      int64 `help:"To this sequence; the last that was delivered when left out." placeholder:"N"`
	Replay  bool  `help:"Have exactly what is missing delivered again."`
}

// Run asks the gateway.
func (c compareSink) Run(ctx context.Context, terminal terminal) error {
	query := url.Values{}
	for name, value := range map[string]int64{"from": c.From, "to": c.To} {
		if value > 0 {
			query.Set(name, strconv.FormatInt(value, 10))
		}
	}
	text, err := c.ask(ctx, http.MethodGet, "/difference", query, nil)
	if err != nil {
		return err
	}
	var told api.SinkDifference
	if err := json.Unmarshal(text, &told); err != nil {
		return core.Internal(err)
	}
	if !c.Replay || told.Events == 0 {
		return thing(terminal, c.remote, text, func(sheet sheet, told api.SinkDifference) {
			sheet.say("of events %d to %d the receiver lacks %d; %d are dead letters", told.From, told.To, told.Events, told.DeadLetters)
			for _, part := range told.Missing {
				sheet.say("  %d to %d", part.From, part.To)
			}
			if told.Events > 0 {
				sheet.say("'postern sink diff %s --replay' has exactly these delivered again", visible(c.Sink))
			}
		})
	}
	made, err := c.ask(ctx, http.MethodPost, "/replays", nil, map[string]any{"ranges": told.Missing})
	if err != nil {
		return err
	}
	return c.made(terminal, made)
}
