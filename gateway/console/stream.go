package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/gateway/problem"
)

const (
	maxStreams     = 128 // in this process
	maxUserStreams = 6   // of one person: browsers allow no more to one host anyway
	streamLife     = 10 * time.Minute
	streamPoll     = time.Second
	streamRecheck  = 5 * time.Second
	streamWrite    = 10 * time.Second
)

// streams counts the live streams.
type streams struct {
	mu    sync.Mutex
	all   int
	users map[core.ID]int
}

func (l *streams) enter(user core.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxStreams || l.users[user] >= maxUserStreams {
		return false
	}
	if l.users == nil {
		l.users = map[core.ID]int{}
	}
	l.all++
	l.users[user]++
	return true
}

func (l *streams) leave(user core.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.users[user]--; l.users[user] == 0 {
		delete(l.users, user)
	}
}

// stream sends new events as they are sequenced, as server-sent events whose data is the line of the
// page. It ends with the session, after a while, or when the process stops; browsers come back with
// the last sequence they saw.
func (s *Service) stream(c *gin.Context) {
	by := s.reader(c)
	query, _, err := s.query(c, by)
	if err != nil {
		problem.Write(c, err)
		return
	}
	query.AfterSequence = lastSeen(c)
	s.live(c, by, func(ctx context.Context) ([]string, error) {
		found, err := audit.Search(ctx, s.DB, by.workspace(), query)
		var messages []string
		for _, record := range found.Records {
			message, err := s.message("activity", "line", "line", strconv.FormatInt(record.Sequence, 10), lineOf(record))
			if err != nil {
				return nil, err
			}
			messages = append(messages, message)
		}
		if err == nil {
			query.AfterSequence = found.Next
		}
		return messages, err
	}, func(ctx context.Context) bool { return s.mayFollow(ctx, by, query) })
}

// live sends what each look finds, as long as the reader may have it.
func (s *Service) live(c *gin.Context, by reader, look func(ctx context.Context) ([]string, error), may func(ctx context.Context) bool) {
	if !s.streams.enter(by.user.ID) {
		problem.Write(c, &core.Error{Kind: core.KindRateLimited, RetryAfter: 10 * time.Second, Message: "too many pages are open at once"})
		return
	}
	defer s.streams.leave(by.user.ID)
	ctx, cancel := context.WithTimeout(c.Request.Context(), streamLife)
	defer cancel()
	c.Header("Content-Type", "text/event-stream")
	c.Header("Cache-Control", "no-store")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	out := sender{http.NewResponseController(c.Writer), c.Writer}
	if out.send("retry: 2000\n\n") != nil {
		return
	}
	tick := time.NewTicker(streamPoll)
	defer tick.Stop()
	checked := s.now()
	for {
		messages, err := look(ctx)
		if err != nil {
			return // the browser comes back
		}
		for _, message := range messages {
			if out.send(message) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case <-tick.C:
		}
		if s.now().Sub(checked) > streamRecheck {
			checked = s.now()
			if !may(ctx) || out.send(": still here\n\n") != nil {
				return
			}
		}
	}
}

// mayFollow reports whether the reader's session still is and lets them see what they are being sent.
func (s *Service) mayFollow(ctx context.Context, by reader, query audit.Query) bool {
	now, still := s.stillSignedIn(ctx, by)
	switch {
	case !still:
		return false
	case by.admin():
		return now.admin()
	}
	narrowed := query
	narrowed.Reader = nil
	if s.narrow(ctx, by, &narrowed) != nil {
		return false
	}
	// Whoever owns other accounts by now comes back, and sees those.
	return query.Reader == nil || slices.Equal(narrowed.Reader.Accounts, query.Reader.Accounts)
}

// stillSignedIn gives the reader as they are by now, without counting as their activity.
func (s *Service) stillSignedIn(ctx context.Context, by reader) (reader, bool) {
	sessions, err := s.Directory.Sessions(ctx, s.DB, by.workspace(), by.user.ID)
	if err != nil || !slices.ContainsFunc(sessions, func(session directory.Session) bool { return session.ID == by.session.ID }) {
		return reader{}, false
	}
	user, err := s.Directory.User(ctx, s.DB, by.workspace(), by.user.ID)
	return reader{by.session, user}, err == nil
}

// message is one server-sent event: a part of a page. Its data may not hold a line break, so each line is its own.
func (s *Service) message(page, part, event, id string, of any) (string, error) {
	var html bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&html, part, of); err != nil {
		return "", err
	}
	var message bytes.Buffer
	fmt.Fprintf(&message, "id: %s\nevent: %s\n", id, event)
	for part := range bytes.Lines(html.Bytes()) {
		fmt.Fprintf(&message, "data: %s\n", bytes.TrimRight(part, "\r\n"))
	}
	message.WriteByte('\n')
	return message.String(), nil
}

// lastSeen is where a stream begins: after what the browser has.
func lastSeen(c *gin.Context) int64 {
	for _, text := range []string{c.GetHeader("Last-Event-ID"), c.Query("after")} {
		if sequence, err := strconv.ParseInt(text, 10, 64); err == nil && sequence > 0 {
			return sequence
		}
	}
	return 0
}

// sender writes at once, and not to a browser that stopped reading.
type sender struct {
	control *http.ResponseController
	writer  http.ResponseWriter
}

func (o sender) send(text string) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer has deadlines
	if _, err := o.writer.Write([]byte(text)); err != nil {
		return err
	}
	return o.control.Flush()
}
