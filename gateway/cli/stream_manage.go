package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"postern/core"
	"postern/webhooks/ssf"
)

// streamRow is a stream as it is printed.
type streamRow struct {
	ID             core.ID    `json:"id"`
	Connection     core.ID    `json:"connection"`
	Issuer         string     `json:"issuer"`
	StreamID       string     `json:"stream_id,omitempty"`
	Profile        string     `json:"profile"`
	Delivery       string     `json:"delivery"`
	Status         string     `json:"status"`
	Reason         string     `json:"reason,omitempty"`
	Audiences      []string   `json:"audiences"`
	Requested      []string   `json:"events_requested"`
	Delivered      []string   `json:"events_delivered"`
	PushURL        string     `json:"push_url,omitempty"`
	PollURL        string     `json:"poll_url,omitempty"`
	Access         string     `json:"access_method"`
	Verified       *time.Time `json:"verified,omitempty"`
	LastEvent      *time.Time `json:"last_event,omitempty"`
	LastEventType  string     `json:"last_event_type,omitempty"`
	Failures       int        `json:"failures"`
	LastError      string     `json:"last_error,omitempty"`
	LastErrorStage string     `json:"last_error_stage,omitempty"`
	Authorization  string     `json:"authorization_header,omitempty"` // only where it was just made
}

func streamRowOf(receiver *ssf.Service, one ssf.Stream) streamRow {
	row := streamRow{
		ID: one.ID, Connection: one.Connection, Issuer: one.Issuer, StreamID: one.RemoteID, Profile: string(one.Profile), Delivery: string(one.Delivery),
		Status: string(one.Status), Reason: one.Reason, Audiences: append([]string{}, one.Audiences...), Requested: append([]string{}, one.Requested...),
		Delivered: append([]string{}, one.Delivered...), PollURL: one.PollURL, Access: string(one.Access.Method), Verified: one.Verified, LastEvent: one.LastEvent,
		LastEventType: one.LastEventType, Failures: one.Failures, LastError: one.LastError, LastErrorStage: one.LastErrorStage,
	}
	if one.Delivery == ssf.Push && receiver.PublicURL != "" {
		row.PushURL = receiver.PushURL(one.Connection, one.ID)
	}
	return row
}

// stream prints everything about one.
func (s sheet) stream(row streamRow) {
	when := func(at *time.Time) string {
		if at == nil {
			return "never"
		}
		return at.UTC().Format(time.DateTime) + " UTC"
	}
	s.row("stream", row.ID.String())
	s.row("transmitter", row.Issuer)
	s.row("it calls the stream", row.StreamID)
	s.row("profile, delivery", row.Profile+", "+row.Delivery)
	state := row.Status
	if row.Reason != "" {
		state += ": " + row.Reason
	}
	s.row("status", state)
	s.row("audience", strings.Join(row.Audiences, ", "))
	for _, address := range []string{row.PushURL, row.PollURL} {
		if address != "" {
			s.row("address", address)
		}
	}
	s.row("verified", when(row.Verified))
	s.row("last heard", strings.TrimSpace(when(row.LastEvent)+" "+ssf.ShortEvent(row.LastEventType)))
	if row.LastError != "" {
		s.row("fails at "+row.LastErrorStage, row.LastError)
	}
	for _, uri := range row.Delivered {
		s.row("event", ssf.ShortEvent(uri))
	}
}

// listStreams shows all of a workspace.
type listStreams struct {
	inWorkspace `embed:""`
}

func (l listStreams) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	receiver := &ssf.Service{DB: s.db}
	found, err := receiver.Streams(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	rows := make([]streamRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, streamRowOf(receiver, one))
	}
	return l.show(terminal, map[string]any{"streams": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("no streams; make one with 'postern stream create'")
			return
		}
		sheet.say("%-36s  %-8s  %-8s  %-16s  %s", "STREAM", "DELIVERY", "STATUS", "LAST HEARD (UTC)", "TRANSMITTER")
		for _, one := range rows {
			heard := "never"
			if one.LastEvent != nil {
				heard = one.LastEvent.UTC().Format("2006-01-02 15:04")
			}
			sheet.say("%s  %-8s  %-8s  %-16s  %s", one.ID, one.Delivery, one.Status, heard, one.Issuer)
			if one.LastError != "" {
				sheet.say("  fails at %s: %s", one.LastErrorStage, one.LastError)
			}
		}
	})
}

// oneStream is part of every command about one stream.
type oneStream struct {
	inWorkspace   `embed:""`
	atTransmitter `embed:""`
	Stream        string `arg:"" optional:"" help:"Id of the stream; the only one when left out."`
}

// find gives the stream that is meant and what manages it; close the setup.
func (o oneStream) find(ctx context.Context) (*setup, *ssf.Service, ssf.Stream, error) {
	s, err := o.open(ctx)
	if err != nil {
		return nil, nil, ssf.Stream{}, err
	}
	receiver, err := o.receiver(s)
	var all []ssf.Stream
	if err == nil {
		all, err = receiver.Streams(ctx, s.db, s.workspace.ID)
	}
	if err != nil {
		s.close()
		return nil, nil, ssf.Stream{}, err
	}
	var ids []string
	for _, one := range all {
		if one.ID.String() == o.Stream || o.Stream == "" && len(all) == 1 {
			return s, receiver, one, nil
		}
		ids = append(ids, one.ID.String())
	}
	s.close()
	if o.Stream == "" && len(all) > 1 {
		return nil, nil, ssf.Stream{}, core.Invalid("stream", "there are %d streams: say which ('postern stream list' shows their ids)", len(all))
	}
	return nil, nil, ssf.Stream{}, missing("stream", o.Stream, ids, "postern stream create")
}

// do runs a command about one stream and prints the stream after it.
func (o oneStream) do(ctx context.Context, terminal terminal, work func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error)) error {
	s, receiver, stream, err := o.find(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if stream, err = work(s, receiver, stream); err != nil {
		return err
	}
	row := streamRowOf(receiver, stream)
	return o.show(terminal, row, func(sheet sheet) { sheet.stream(row) })
}

// showStream prints one, on request as the transmitter has it now.
type showStream struct {
	oneStream `embed:""`
	Refresh   bool `help:"Ask the transmitter what it has of the stream now."`
}

func (c showStream) Run(ctx context.Context, terminal terminal) error {
	return c.do(ctx, terminal, func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error) {
		if !c.Refresh {
			return stream, nil
		}
		return receiver.Refresh(ctx, s.cause, s.workspace.ID, stream.ID)
	})
}

// verifyStream proves that a stream works, all the way.
type verifyStream struct {
	oneStream `embed:""`
	Wait      time.Duration `help:"How long to wait for the event." default:"60s"`
}

// Help is shown by 'postern stream verify --help'.
func (verifyStream) Help() string {
	return `The transmitter is asked to send a verification event with a random state. 'postern serve' receives it in the stream, by push or by poll, and checks signature, audience and state: when it has come, the whole way works.

When it does not come: 'postern stream show' says what fails and at what stage.`
}

func (c verifyStream) Run(ctx context.Context, terminal terminal) error {
	return c.do(ctx, terminal, func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error) {
		if err := receiver.Verify(ctx, s.workspace.ID, stream.ID); err != nil {
			return stream, err
		}
		if c.Wait <= 0 {
			return receiver.Stream(ctx, s.db, s.workspace.ID, stream.ID)
		}
		waiting, cancel := context.WithTimeout(ctx, c.Wait)
		defer cancel()
		return receiver.Wait(waiting, s.workspace.ID, stream.ID)
	})
}

// pauseStream pauses.
type pauseStream struct {
	oneStream `embed:""`
	Reason    string `help:"For the transmitter's administrators." placeholder:"TEXT"`
}

func (c pauseStream) Run(ctx context.Context, terminal terminal) error {
	return c.do(ctx, terminal, func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error) {
		return receiver.SetStatus(ctx, s.cause, s.workspace.ID, stream.ID, ssf.Paused, c.Reason)
	})
}

// resumeStream enables again.
type resumeStream struct {
	oneStream `embed:""`
}

func (c resumeStream) Run(ctx context.Context, terminal terminal) error {
	return c.do(ctx, terminal, func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error) {
		return receiver.SetStatus(ctx, s.cause, s.workspace.ID, stream.ID, ssf.Enabled, "")
	})
}

// updateStream changes one.
type updateStream struct {
	oneStream   `embed:""`
	Event       []string `help:"Event types to ask for from now on." placeholder:"TYPE"`
	Description *string  `help:"What the transmitter's administrators read." placeholder:"TEXT"`
	Renew       bool     `name:"new-authorization" help:"Have the transmitter send a new Authorization header."`
}

func (c updateStream) Run(ctx context.Context, terminal terminal) error {
	events, err := eventsOf(c.Event)
	if err != nil {
		return err
	}
	return c.do(ctx, terminal, func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error) {
		return receiver.Update(ctx, s.cause, s.workspace.ID, stream.ID, ssf.Change{Events: events, Description: c.Description, Authorization: c.Renew})
	})
}

// streamSubject adds or removes somebody at the transmitter.
type streamSubject struct {
	oneStream `embed:""`
	Remove    bool   `help:"Tell about them no longer."`
	Email     string `help:"Their e-mail address." xor:"who" placeholder:"ADDRESS"`
	Sub       string `help:"What the transmitter calls them (sub)." xor:"who" placeholder:"SUB"`
	People    bool   `help:"Everybody of the connection who was not told of yet." xor:"who"`
}

// Help is shown by 'postern stream subject --help'.
func (streamSubject) Help() string {
	return `A transmitter with default_subjects NONE, as Keycloak is by default, tells of nobody it was not asked about. 'postern serve' asks about the active people of the connection by itself, within a minute or two; this does it now, or for one person.

  postern stream subject --workspace acme --people
  postern stream subject --workspace acme --email dana@acme.example --remove`
}

func (c streamSubject) Run(ctx context.Context, terminal terminal) error {
	return c.do(ctx, terminal, func(s *setup, receiver *ssf.Service, stream ssf.Stream) (ssf.Stream, error) {
		subject := map[string]string{"format": "email", "email": c.Email}
		switch {
		case c.People:
			told, err := receiver.AddPeople(ctx, s.workspace.ID, stream.ID)
			if err == nil && !c.JSON {
				fmt.Fprintf(terminal.out, "%d people were told of\n", told)
			}
			return stream, err
		case c.Sub != "":
			subject = map[string]string{"format": "iss_sub", "iss": stream.Issuer, "sub": c.Sub}
		case c.Email == "":
			return stream, core.Invalid("--email", "say who: --email, --sub or --people")
		}
		text, err := json.Marshal(subject)
		if err != nil {
			return stream, err
		}
		return stream, receiver.Subject(ctx, s.workspace.ID, stream.ID, !c.Remove, text)
	})
}

// deleteStream ends one.
type deleteStream struct {
	oneStream `embed:""`
	Force     bool `help:"Forget it even if the transmitter cannot be asked. It may go on sending, and is not listened to."`
}

func (c deleteStream) Run(ctx context.Context, terminal terminal) error {
	s, receiver, stream, err := c.find(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := receiver.Delete(ctx, s.cause, s.workspace.ID, stream.ID, c.Force); err != nil {
		return err
	}
	return c.show(terminal, map[string]any{"deleted": stream.ID}, func(sheet sheet) { sheet.say("The stream of %s is ended.", stream.Issuer) })
}
