package cli

import (
	"context"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/gateway"
	"postern/gateway/doctor"
	"postern/siem/sink"
	"postern/siem/stream"
)

type sharedSinkCommands struct {
	List    listShared    `cmd:"" help:"List the sinks for all workspaces, and how they go."`
	Pause   pauseShared   `cmd:"" help:"Pause a sink: what happens waits in the log. Every workspace is told."`
	Resume  resumeShared  `cmd:"" help:"Let a sink go on where it stopped, or ask its receiver again now."`
	Test    testShared    `cmd:"" help:"Send a test event from this machine now, and print what the receiver says."`
	Doctor  doctorShared  `cmd:"" help:"Say what is wrong with a sink, and what to do about it."`
	Replay  replayShared  `cmd:"" help:"Deliver a part of the log once more, each event under its id."`
	Letters sharedLetters `cmd:"" name:"dead-letters" help:"List events the receiver refused for what they are; of the relay: records that could not be read."`
	Retry   retryShared   `cmd:"" help:"Send one dead letter again from this machine, or all."`
	Discard discardShared `cmd:"" help:"Give up one dead letter, or all, for a reason."`
	Forget  forgetShared  `cmd:"" help:"Forget a sink that was taken out of the flags, so that retention waits for it no more."`
}

type listShared struct {
	onDatabase `embed:""`
}

// sharedRow is a sink in a list.
type sharedRow struct {
	Name        string     `json:"name"`
	Kind        string     `json:"kind"`
	State       string     `json:"state"`
	Reason      string     `json:"reason,omitempty"`
	Held        bool       `json:"held"`
	Replaying   bool       `json:"replaying"`
	Waiting     int64      `json:"waiting"`
	DeadLetters int64      `json:"dead_letters"`
	Served      *time.Time `json:"served"`
	Silent      bool       `json:"silent"` // no process delivers
}

func (c listShared) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := sink.ReadShared(ctx, s.db, core.ID{}, stream.DefaultPartitions)
	if err != nil {
		return err
	}
	all := []sharedRow{}
	for _, one := range found {
		all = append(all, sharedRow{one.Name, one.Kind, string(one.State), one.Reason, one.Held, one.Replaying, one.Lag, one.Dead, one.Served, one.Silent(time.Now())})
	}
	return c.show(terminal, all, func(sheet sheet) {
		if len(all) == 0 {
			sheet.say("there is no sink for all workspaces: 'postern serve --sink' makes one")
			return
		}
		sheet.say("%-20s  %-14s  %-9s  %9s  %6s  %s", "NAME", "KIND", "STATE", "WAITING", "DEAD", "REASON")
		for _, one := range all {
			reason := one.Reason
			if one.Replaying {
				reason = "replaying; " + reason
			}
			if one.Silent {
				reason = "no process delivers; " + reason
			}
			sheet.say("%-20s  %-14s  %-9s  %9d  %6d  %s", one.Name, one.Kind, one.State, one.Waiting, one.DeadLetters, visible(reason))
		}
	})
}

// oneShared is part of every command about one sink.
type oneShared struct {
	onDatabase `embed:""`
	Sink       string `arg:"" help:"Name of the sink."`
}

// known opens the database, and says which sinks there are if there is none of that name.
func (o oneShared) known(ctx context.Context) (*setup, error) {
	s, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	states, err := audit.SinkStates(ctx, s.db)
	names := []string{}
	for _, one := range states {
		if one.Name == o.Sink {
			return s, nil
		}
		names = append(names, one.Name)
	}
	s.close()
	if err != nil {
		return nil, err
	}
	return nil, missing("sink for all workspaces", o.Sink, names, "postern serve --sink")
}

type pauseShared struct {
	oneShared `embed:""`
	Reason    string `help:"Why, for other operators to read." placeholder:"TEXT"`
}

func (c pauseShared) Run(ctx context.Context, terminal terminal) error {
	s, err := c.known(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := audit.HoldSink(ctx, s.db, s.cause, c.Sink, c.Reason, time.Now()); err != nil {
		return err
	}
	sheet{terminal.out}.say("%s is paused; its processes finish what is under way within seconds", c.Sink)
	return nil
}

type resumeShared struct {
	oneShared `embed:""`
}

func (c resumeShared) Run(ctx context.Context, terminal terminal) error {
	s, err := c.known(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := audit.ReleaseSink(ctx, s.db, s.cause, c.Sink, time.Now()); err != nil {
		return err
	}
	sheet{terminal.out}.say("%s goes on where it stopped", c.Sink)
	return nil
}

type replayShared struct {
	oneShared `embed:""`
	Since     time.Duration `help:"Everything that was recorded as long ago as this, or later." placeholder:"TIME" xor:"what"`
	From      int64         `help:"Everything from this position (ce_position in Kafka) on; 1 is the whole log." placeholder:"N" xor:"what"`
	Cancel    bool          `help:"Stop what is being replayed." xor:"what"`
}

func (c replayShared) Run(ctx context.Context, terminal terminal) error {
	if c.Since <= 0 && c.From <= 0 && !c.Cancel {
		return core.Invalid("--since", "say since when, such as --since 24h, or --from")
	}
	s, err := c.known(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	after, partitions := c.From-1, stream.DefaultPartitions
	if c.Since > 0 {
		if after, err = audit.PositionBefore(ctx, s.db, time.Now().Add(-c.Since)); err != nil {
			return err
		}
	}
	if c.Cancel {
		after, partitions = 0, 0
	}
	last, err := audit.ReplaySink(ctx, s.db, s.cause, c.Sink, after, partitions, time.Now())
	if err != nil {
		return err
	}
	if c.Cancel {
		sheet{terminal.out}.say("nothing is replayed any more")
		return nil
	}
	sheet{terminal.out}.say("positions %d to %d are delivered once more, each event under its id; what is new waits until then", after+1, last)
	return nil
}

type forgetShared struct {
	oneShared `embed:""`
}

func (c forgetShared) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx) // what is left of it may be cursors alone
	if err != nil {
		return err
	}
	defer s.close()
	if err := audit.ForgetSink(ctx, s.db, s.cause, c.Sink, time.Now()); err != nil {
		return err
	}
	sheet{terminal.out}.say("%s is forgotten; its dead letters stay until they are discarded", c.Sink)
	return nil
}

// asking is part of every command that talks to a receiver itself, and needs the flags of 'postern serve' for that.
type asking struct {
	oneShared            `embed:""`
	gateway.Destinations `embed:""`
	AllowPrivate         bool `help:"Reach private and loopback addresses." env:"POSTERN_ALLOW_PRIVATE"`
}

// receiver makes the sink's.
func (a asking) receiver() (sink.Receiver, error) {
	all, err := a.SharedSinks(a.AllowPrivate)
	if err != nil {
		return nil, err
	}
	one, there := all[a.Sink]
	if !there {
		return nil, core.Invalid("--sink", "give the flags or variables that 'postern serve' has for the sink %s: it is asked from this machine", a.Sink)
	}
	return one.Open(a.AllowPrivate)
}

type testShared struct {
	asking `embed:""`
}

func (c testShared) Run(ctx context.Context, terminal terminal) error {
	receiver, err := c.receiver()
	if err != nil {
		return err
	}
	defer func() { _ = receiver.Close() }()
	began := time.Now()
	event, answer, err := sink.Test(ctx, receiver, c.Mapper(), core.NewCause(operator(), began), c.Sink)
	if err != nil {
		return err
	}
	told := struct {
		Verdict string  `json:"verdict"`
		Reason  string  `json:"reason,omitempty"`
		Event   core.ID `json:"event"`
	}{answer.Verdict.String(), answer.Reason, event}
	if err := c.show(terminal, told, func(sheet sheet) {
		sheet.row("answer", told.Verdict)
		sheet.row("reason", visible(told.Reason))
		sheet.row("event", event.String())
		sheet.row("took", time.Since(began).Round(time.Millisecond).String())
	}); err != nil || answer.Verdict == sink.Accepted {
		return err
	}
	return &core.Error{Kind: core.KindInternal, Code: "not_accepted", Message: "the receiver did not take the test event"}
}

type doctorShared struct {
	asking `embed:""`
}

// Help is shown by 'postern sink operator doctor --help'.
func (doctorShared) Help() string {
	return `Takes the flags and variables of 'postern serve': from this machine it looks at the receiver, its certificate and its clock, and sends a test event. The exit code is 0 when nothing is at fault, and 1 when something is.`
}

func (c doctorShared) Run(ctx context.Context, terminal terminal) error {
	receiver, err := c.receiver()
	if err != nil {
		return err
	}
	defer func() { _ = receiver.Close() }()
	s, err := c.known(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	all, err := sink.ReadShared(ctx, s.db, core.ID{}, stream.DefaultPartitions)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.Name != c.Sink {
			continue
		}
		seen, err := (&doctor.Sinks{DB: s.db}).DiagnoseShared(ctx, s.cause, one, receiver, c.Mapper())
		if err != nil {
			return err
		}
		if err := c.show(terminal, seen, func(sheet sheet) { sheet.sinkDiagnosis(seen) }); err != nil || seen.Healthy {
			return err
		}
		return &core.Error{Kind: core.KindInternal, Code: "not_healthy", Message: "the sink has faults"}
	}
	return core.NotFound("sink")
}

type sharedLetters struct {
	oneShared `embed:""`
	Limit     int `help:"How many, the oldest first." default:"500" placeholder:"N"`
}

func (c sharedLetters) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx) // also those of a sink that is forgotten
	if err != nil {
		return err
	}
	defer s.close()
	found, err := audit.SharedLetters(ctx, s.db, c.Sink, core.ID{}, core.ID{}, c.Limit)
	if err != nil {
		return err
	}
	type row struct {
		ID        core.ID        `json:"id"`
		Workspace core.ID        `json:"workspace,omitzero"`
		Event     core.ID        `json:"event,omitzero"`
		Type      core.EventType `json:"type"`
		Sequence  int64          `json:"sequence"`
		Answer    string         `json:"answer"`
		Record    string         `json:"record"`
		Created   time.Time      `json:"created"`
	}
	all := []row{}
	for _, one := range found {
		all = append(all, row{one.ID, one.Workspace, one.Event, one.Type, one.Sequence, one.Answer, one.Record, one.Created})
	}
	return c.show(terminal, all, func(sheet sheet) {
		if len(all) == 0 {
			sheet.say("no dead letters")
			return
		}
		sheet.say("%-36s  %-36s  %9s  %-28s  %s", "ID", "WORKSPACE", "SEQUENCE", "TYPE", "ANSWER")
		for _, one := range all {
			sheet.say("%-36s  %-36s  %9d  %-28s  %s", one.ID, one.Workspace, one.Sequence, one.Type, visible(one.Answer))
		}
	})
}

type retryShared struct {
	asking              `embed:""`
	gateway.AuditStream `embed:""`
	Letter              string `help:"Only this one, by its id." placeholder:"ID"`
}

// Help is shown by 'postern sink operator retry --help'.
func (retryShared) Help() string {
	return `Takes the flags and variables of 'postern serve': the receiver is asked from this machine. Of the relay (postern sink operator retry relay --kafka …), records that can be read again are published.`
}

func (c retryShared) Run(ctx context.Context, terminal terminal) error {
	letter, err := letterOf(c.Letter)
	if err != nil {
		return err
	}
	var receiver sink.Receiver
	if c.Sink == audit.Relayed {
		cluster, err := c.Cluster()
		if err != nil {
			return err
		}
		if len(cluster.Brokers) == 0 {
			return core.Invalid("--kafka", "at least one broker is needed: the record is published")
		}
		producer, err := stream.NewProducer(cluster)
		if err != nil {
			return err
		}
		receiver = sink.Published{Producer: producer}
	} else if receiver, err = c.receiver(); err != nil {
		return err
	}
	defer func() { _ = receiver.Close() }()
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	done, err := sink.Letters{DB: s.db, Mapper: c.Mapper()}.Retry(ctx, s.cause, c.Sink, letter, receiver)
	if err != nil {
		return err
	}
	return c.show(terminal, done, func(sheet sheet) {
		sheet.say("delivered %d, refused again %d, left %d", done.Delivered, done.Refused, done.Left)
		if done.Answer != "" {
			sheet.row("last answer", visible(done.Answer))
		}
	})
}

type discardShared struct {
	oneShared `embed:""`
	Letter    string `help:"Only this one, by its id." placeholder:"ID"`
	Reason    string `help:"Why; kept in the activity of the workspaces whose events they are." required:"" placeholder:"TEXT"`
}

func (c discardShared) Run(ctx context.Context, terminal terminal) error {
	letter, err := letterOf(c.Letter)
	if err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	count, err := sink.Letters{DB: s.db}.Discard(ctx, s.cause, c.Sink, letter, c.Reason)
	if err != nil {
		return err
	}
	return c.show(terminal, map[string]int{"discarded": count}, func(sheet sheet) { sheet.say("%d given up; the log keeps the events", count) })
}

// letterOf reads the id of a dead letter; none is all of them.
func letterOf(text string) (core.ID, error) {
	if text == "" {
		return core.ID{}, nil
	}
	id, err := core.ParseID(text)
	if err != nil {
		return id, core.Invalid("--letter", "this is not an id")
	}
	return id, nil
}
