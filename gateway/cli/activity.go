package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
)

type activityCommands struct {
	List     listActivity     `cmd:"" help:"List what happened, newest first."`
	Tail     tailActivity     `cmd:"" help:"Print events as they happen, until it is stopped."`
	Download downloadActivity `cmd:"" help:"Save all of it, or a part, as CSV or JSON lines."`
}

// activityFilter says which events are meant.
type activityFilter struct {
	Target      string   `help:"Only events that tell of this account, user, team, connection …, by its id." placeholder:"ID" group:"events"`
	User        string   `help:"Only events that tell of this user, by userName or id." placeholder:"NAME" xor:"target" group:"events"`
	Actor       string   `help:"Only what this user did, by userName or id; or a service account or connection, by its id." placeholder:"NAME" group:"events"`
	Type        []string `help:"Only these types: account.shared, account.* …" placeholder:"TYPE" group:"events"`
	Outcome     string   `help:"success or failure." enum:",success,failure" default:"" placeholder:"OUTCOME" group:"events"`
	Correlation string   `help:"Only one story." placeholder:"ID" group:"events"`
	Text        string   `help:"Part of the name of who did it or what it happened to." placeholder:"TEXT" group:"events"`
	Since       string   `help:"A time, as 2026-11-21T14:30:00Z, or how long ago, as 90m, 36h or 7d." placeholder:"WHEN" group:"events"`
	Until       string   `help:"Likewise." placeholder:"WHEN" group:"events"`
}

func (f activityFilter) query(ctx context.Context, c *apiClient) (url.Values, error) {
	query := url.Values{}
	for name, value := range map[string]string{"target": f.Target, "outcome": f.Outcome, "correlation": f.Correlation, "text": f.Text, "type": strings.Join(f.Type, ",")} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, given := range map[string]string{"target": f.User, "actor": f.Actor} {
		if given == "" {
			continue
		}
		id, err := core.ParseID(given)
		if err != nil {
			user, err := c.user(ctx, given)
			if err != nil {
				return nil, err
			}
			id = user.ID
		}
		query.Set(name, id.String())
	}
	for name, given := range map[string]string{"since": f.Since, "until": f.Until} {
		if given == "" {
			continue
		}
		at, err := whenOf("--"+name, given)
		if err != nil {
			return nil, err
		}
		query.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	return query, nil
}

// whenOf reads a time, or how long ago one was.
func whenOf(flag, given string) (time.Time, error) {
	if days, ok := strings.CutSuffix(given, "d"); ok {
		if number, err := strconv.Atoi(days); err == nil && number >= 0 && number < 100_000 {
			return time.Now().AddDate(0, 0, -number), nil
		}
	}
	if ago, err := time.ParseDuration(given); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, given); err == nil {
			return at, nil
		}
	}
	return time.Time{}, core.Invalid(flag, "%q is neither a time such as 2026-11-21T14:30:00Z nor how long ago it was, such as 36h or 7d", given)
}

// connected gives the gateway, and the filter as it takes it.
func (f activityFilter) connected(ctx context.Context, from reach) (*apiClient, url.Values, error) {
	c, err := from.connect()
	if err != nil {
		return nil, nil, err
	}
	query, err := f.query(ctx, c)
	return c, query, err
}

func eventColumns() []column[api.Entry] {
	return []column[api.Entry]{
		{"SEQUENCE", func(one api.Entry) string { return strconv.FormatInt(one.Sequence, 10) }},
		{"WHEN (UTC)", func(one api.Entry) string { return one.Event.Occurred.UTC().Format(time.DateTime) }},
		{"WHO", func(one api.Entry) string { return dash(one.Event.Actor.Name) }},
		{"WHAT", func(one api.Entry) string { return string(one.Event.Type) }},
		{"OUTCOME", func(one api.Entry) string { return string(one.Event.Outcome) }},
		{"ABOUT", about},
		{"WHY", func(one api.Entry) string { return dash(one.Event.Reason) }},
	}
}

// about names what an event tells of.
func about(one api.Entry) string {
	var names []string
	for _, target := range one.Event.Targets {
		names = append(names, strings.TrimSpace(target.Kind+" "+target.Name))
	}
	return dash(strings.Join(names, ", "))
}

type listActivity struct {
	remote         `embed:""`
	activityFilter `embed:""`
	Limit          int  `help:"At most so many events; 0 is all." default:"100" placeholder:"N"`
	OldestFirst    bool `help:"The other way round."`
}

// Help is shown by 'postern activity list --help'.
func (listActivity) Help() string {
	return `  postern activity list --since 24h --outcome failure
  postern activity list --user dana@acme.example --type 'account.*'
  postern activity list --correlation 0198c7e2-… --oldest-first -o json     one story, from what began it to the last proof`
}

// Run asks the gateway.
func (l listActivity) Run(ctx context.Context, terminal terminal) error {
	c, query, err := l.connected(ctx, l.reach)
	if err != nil {
		return err
	}
	if !l.OldestFirst {
		query.Set("order", "desc")
		return rows(terminal, l.remote, c.pages(ctx, "/events", query, l.Limit), eventColumns()...)
	}
	// Forwards there is always a next, for the log goes on growing: it ends where it is now.
	if query.Get("until") == "" {
		query.Set("until", time.Now().UTC().Format(time.RFC3339Nano))
	}
	return rows(terminal, l.remote, c.forwards(ctx, query, l.Limit), eventColumns()...)
}

// forwards walks events oldest first until it comes no further.
func (c *apiClient) forwards(ctx context.Context, query url.Values, limit int) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for number := 0; ; {
			answer, err := get[struct {
				Items []json.RawMessage `json:"items"`
				Next  string            `json:"next"`
			}](ctx, c, "/events", query)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range answer.Items {
				if limit > 0 && number == limit || !yield(item, nil) {
					return
				}
				number++
			}
			if answer.Next == query.Get("cursor") || answer.Next == "" || limit > 0 && number == limit {
				return
			}
			query.Set("cursor", answer.Next)
		}
	}
}

type tailActivity struct {
	remote         `embed:""`
	activityFilter `embed:""`
	After          int64 `help:"Begin behind this sequence instead of now." default:"-1" placeholder:"SEQUENCE"`
}

// Help is shown by 'postern activity tail --help'.
func (tailActivity) Help() string {
	return `Each event once and in order, also when the connection breaks off and comes back.

  postern activity tail
  postern activity tail --type 'account.*' -o jsonl | jq .event.reason
  postern activity tail --after 4711 -o jsonl     go on behind the last sequence you have`
}

const (
	tailIdle  = 30 * time.Second // a gateway says every few seconds that it is there
	tailPause = time.Second
	maxLine   = 4 << 20
)

// Run follows the gateway until it is stopped, or may not any more.
func (t tailActivity) Run(ctx context.Context, terminal terminal) error {
	c, query, err := t.connected(ctx, t.reach)
	if err != nil {
		return err
	}
	last := ""
	if t.After >= 0 {
		last = strconv.FormatInt(t.After, 10)
	}
	for ctx.Err() == nil {
		err := t.follow(ctx, terminal, c, query, &last)
		if kind := core.KindOf(err); ctx.Err() == nil && kind != core.KindUnavailable && kind != core.KindRateLimited {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(tailPause):
		}
	}
	return nil
}

// follow reads one connection to its end. last is the last id it told.
func (t tailActivity) follow(ctx context.Context, terminal terminal, c *apiClient, query url.Values, last *string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	headers := []string{"Accept", "text/event-stream"}
	if *last != "" {
		headers = append(headers, "Last-Event-ID", *last)
	}
	response, err := c.send(ctx, http.MethodGet, "/activity/tail", query, nil, headers...)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	silent := time.AfterFunc(tailIdle, cancel)
	defer silent.Stop()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	var id, data string
	for lines.Scan() {
		silent.Reset(tailIdle)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() != "" && name == "id":
			id = value
		case lines.Text() != "" && name == "data":
			data += value
		case lines.Text() == "":
			if data != "" {
				if err := t.print(terminal, data); err != nil {
					return err
				}
			}
			if id != "" {
				*last = id
			}
			data = ""
		}
	}
	return core.Unavailable(0, "the connection to %s broke off", c.base).Because(lines.Err())
}

func (t tailActivity) print(terminal terminal, data string) error {
	if t.Output != "table" {
		return jsonLine(terminal.out, json.RawMessage(data))
	}
	var one api.Entry
	if err := json.Unmarshal([]byte(data), &one); err != nil {
		return core.Invalid("--url", "this is not an event of Postern").Because(err)
	}
	line := fmt.Sprintf("%d  %s  %s  %s  %s", one.Sequence, one.Event.Occurred.UTC().Format(time.DateTime), dash(one.Event.Actor.Name), one.Event.Type, about(one))
	if one.Event.Outcome != core.Success {
		line += "  " + string(one.Event.Outcome)
	}
	if one.Event.Reason != "" {
		line += ": " + one.Event.Reason
	}
	_, err := fmt.Fprintln(terminal.out, visible(line))
	return err
}

type downloadActivity struct {
	reach          `embed:""`
	activityFilter `embed:""`
	Format         string `help:"csv or jsonl." enum:"csv,jsonl" default:"csv"`
	Out            string `help:"File to write; - is standard output." short:"O" default:"-" placeholder:"PATH"`
}

// Help is shown by 'postern activity download --help'.
func (downloadActivity) Help() string {
	return `All that is meant and in the log now, however many. The file is there only once it is whole.

  postern activity download --since 2026-10-01 --until 2026-11-01 --out october.csv
  postern activity download --format jsonl --target 0198c7e2-… | gzip > account.jsonl.gz`
}

// Run asks the gateway.
func (d downloadActivity) Run(ctx context.Context, terminal terminal) error {
	c, query, err := d.connected(ctx, d.reach)
	if err != nil {
		return err
	}
	query.Set("format", d.Format)
	response, err := c.send(ctx, http.MethodGet, "/activity/download", query, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if d.Out == "-" {
		return c.save(terminal.out, response.Body)
	}
	return writeWhole("--out", d.Out, func(file io.Writer) error { return c.save(file, response.Body) })
}

// save writes an answer down as it comes. One that is not whole breaks off.
func (c *apiClient) save(to io.Writer, from io.Reader) error {
	if _, err := io.Copy(to, from); err != nil {
		return core.Unavailable(0, "the file of %s broke off", c.base).Because(plainly(err))
	}
	return nil
}
