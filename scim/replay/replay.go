package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
	"postern/core/postgres"
)

// Options say what is to be played. Database, Workspace and Connection are needed.
type Options struct {
	Database   string // its URL; the user has to be allowed to create a schema
	Workspace  string // the slug
	Connection string // the name or the id
	From       time.Time
	To         time.Time // zero: now
	// Progress is told how many of the requests have been played, those before From among them.
	Progress func(done, total int)
}

// Run plays the requests received from From until To, and reports. Earlier ones that are still in the
// journal are played first, so that there is something to play on. The connection's settings are
// today's: a changed profile shows as other answers. The error is of the replay itself; that it came
// out otherwise is in the Report.
func Run(ctx context.Context, options Options) (Report, error) {
	if options.To.IsZero() {
		options.To = time.Now()
	}
	if options.To.Before(options.From) {
		return Report{}, core.Invalid("to", "the stretch ends before it begins")
	}
	live, err := postgres.Open(ctx, options.Database, postgres.Options{MaxConnections: 2, Name: "postern replay"})
	if err != nil {
		return Report{}, err
	}
	defer live.Close()
	p := &player{Options: options, live: live, scratchOf: map[string]string{}, liveOf: map[string]string{}}
	if err := p.find(ctx); err != nil {
		return Report{}, err
	}
	if err := p.survey(ctx); err != nil {
		return Report{}, err
	}
	if p.scratch, err = openScratch(ctx, options.Database, options.Workspace, p.connection); err != nil {
		return Report{}, err
	}
	defer p.scratch.remove()
	p.report = Report{
		Workspace: options.Workspace, Connection: p.connection.Name, From: options.From, To: options.To, Statuses: map[string]int{},
		Skipped: []Skipped{}, Seeded: []Seeded{}, Answers: []Answer{}, Differences: []Difference{},
	}
	for _, step := range []func(context.Context) error{p.seed, p.prepare, p.play, p.compare} {
		if err := step(ctx); err != nil {
			return Report{}, err
		}
	}
	return p.report, nil
}

// player is a replay on its way.
type player struct {
	Options
	live       *postgres.DB
	workspace  core.ID
	connection directory.Connection
	scratch    *scratch
	report     Report

	total    int              // entries to play
	first    time.Time        // when the first was received
	last     core.ID          // the last of them
	made     map[core.ID]bool // what they make
	mentions map[core.ID]bool // whatever else they refer to
	absent   map[core.ID]bool // what was not found when it was first addressed
	asked    map[asked]bool   // who is given or refused what by the entries themselves
	steps    []step           // what happens between them, in order

	scratchOf map[string]string // live ids to scratch ids
	liveOf    map[string]string // and back; what only the replay made, to the entry that made it
}

// find reads which workspace and connection are meant.
func (p *player) find(ctx context.Context) error {
	people := &directory.Directory{DB: p.live}
	workspace, err := people.WorkspaceBySlug(ctx, p.live, p.Workspace)
	if err != nil {
		return err
	}
	connections, err := people.Connections(ctx, p.live, workspace.ID)
	if err != nil {
		return err
	}
	for _, one := range connections {
		if one.Name == p.Connection || one.ID.String() == p.Connection {
			p.workspace, p.connection = workspace.ID, one
			return nil
		}
	}
	return core.NotFound("connection")
}

// entries visits what is to be played, in the order in which it took effect: readings changed nothing.
func (p *player) entries(ctx context.Context, visit func(journal.Entry) error) error {
	query := journal.Query{Connection: p.connection.ID, To: p.To, Changes: true, Limit: journal.MaxLimit}
	for {
		page, err := journal.List(ctx, p.live, p.workspace, query)
		if err != nil {
			return err
		}
		for _, entry := range page {
			if !p.last.IsZero() && bytes.Compare(entry.ID[:], p.last[:]) > 0 {
				return nil
			}
			if err := visit(entry); err != nil {
				return err
			}
			query.After = entry.ID
		}
		if len(page) < query.Limit {
			return nil
		}
	}
}

// survey finds out what the entries make and what else they refer to.
func (p *player) survey(ctx context.Context) error {
	p.made, p.mentions, p.absent, p.asked = map[core.ID]bool{}, map[core.ID]bool{}, map[core.ID]bool{}, map[asked]bool{}
	var last core.ID
	err := p.entries(ctx, func(entry journal.Entry) error {
		if p.total == 0 {
			p.first = entry.Received
		}
		p.total++
		last = entry.ID
		if entry.Method == http.MethodPost && entry.Status == http.StatusCreated {
			p.made[entry.Resource] = true
		}
		if !p.made[entry.Resource] && !p.mentions[entry.Resource] && entry.Status == http.StatusNotFound {
			p.absent[entry.Resource] = true
		}
		p.mention(entry.Resource.String())
		p.mention(entry.Address)
		if entry.Body != nil {
			for _, id := range p.mention(*entry.Body) {
				p.asked[asked{entry.Resource, id}] = true
			}
		}
		return nil
	})
	for id := range p.made {
		delete(p.mentions, id)
	}
	p.last = last
	return err
}

var ids = regexp.MustCompile(`[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)

// mention notes the ids in a text.
func (p *player) mention(text string) (mentioned []core.ID) {
	for _, found := range ids.FindAllString(text, -1) {
		if id, err := core.ParseID(found); err == nil {
			p.mentions[id] = true
			mentioned = append(mentioned, id)
		}
	}
	return mentioned
}

// translate replaces the ids in a text that are known by another name on the other side.
func translate(text string, names map[string]string) string {
	return ids.ReplaceAllStringFunc(text, func(id string) string {
		if other, known := names[strings.ToLower(id)]; known {
			return other
		}
		return id
	})
}

// play sends the entries.
func (p *player) play(ctx context.Context) error {
	done := 0
	err := p.entries(ctx, func(entry journal.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		done++
		if p.Progress != nil {
			p.Progress(done, p.total)
		}
		if err := p.catchUp(ctx, entry.Received); err != nil {
			return err
		}
		return p.playOne(ctx, entry, entry.Received.Before(p.From))
	})
	if err != nil {
		return err
	}
	return p.catchUp(ctx, time.Now()) // as far as the live state has gone
}

func (p *player) playOne(ctx context.Context, entry journal.Entry, baseline bool) error {
	if reason := unplayable(entry); reason != "" {
		if !baseline {
			p.report.Skipped = append(p.report.Skipped, Skipped{entry.ID, entry.Method, entry.Address, entry.Status, reason})
		}
		return nil
	}
	body := ""
	if entry.Body != nil {
		body = translate(*entry.Body, p.scratchOf)
	}
	agent, query := sender(entry)
	answered, err := p.scratch.play(ctx, entry.Received, entry.Method, translate(entry.Address, p.scratchOf), query, body, agent)
	if err != nil {
		return err
	}
	if answered.status == http.StatusCreated {
		location := answered.header.Get("Location")
		made := location[strings.LastIndexByte(location, '/')+1:]
		if entry.Status == http.StatusCreated {
			p.scratchOf[entry.Resource.String()], p.liveOf[made] = made, entry.Resource.String()
		} else {
			p.liveOf[made] = entry.ID.String()
		}
	}
	differs := answered.status != entry.Status
	if baseline {
		p.report.Baseline++
		if differs {
			p.report.BaselineDiffers++
		}
		return nil
	}
	p.report.Played++
	p.report.Statuses[strconv.Itoa(answered.status)]++
	if differs {
		p.report.Answers = append(p.report.Answers, Answer{
			Entry: entry.ID, Received: entry.Received, Method: entry.Method, Address: entry.Address, Then: entry.Status, Now: answered.status,
			Detail: translate(detail(answered), p.liveOf),
		})
	}
	return nil
}

// unplayable says why an entry cannot be played; empty if it can.
func unplayable(entry journal.Entry) string {
	switch {
	case entry.Status == http.StatusPreconditionFailed:
		return "it was refused by a condition (If-Match, If-None-Match), which the journal does not keep"
	case entry.Body == nil && entry.Method != http.MethodDelete:
		return "its body was not kept: it could not be read then, or was no request by itself"
	}
	return ""
}

// sender makes an entry's request look as if it came from whom its profile was guessed by. Where a
// profile was chosen, this means nothing.
func sender(entry journal.Entry) (agent, query string) {
	switch entry.Profile {
	case "okta":
		return "Okta SCIM Client 1.0.0", entry.Query
	case "entra":
		return "", strings.TrimPrefix(entry.Query+"&aadOptscim062020", "&")
	}
	return "", entry.Query
}

func detail(answered *recorder) string {
	var shown struct{ Detail string }
	if answered.status < http.StatusBadRequest || json.Unmarshal([]byte(answered.body.String()), &shown) != nil {
		return ""
	}
	return shown.Detail
}
