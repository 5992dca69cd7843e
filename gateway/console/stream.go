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
	query, err := s.query(c, by)
	if err != nil {
		problem.Write(c, err)
		return
	}
	query.AfterSequence = lastSeen(c)
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
		records, err := audit.List(ctx, s.DB, by.workspace(), query)
		if err != nil {
			return // the browser comes back
		}
		for _, record := range records {
			message, err := s.message(record)
			if err != nil || out.send(message) != nil {
				return
			}
			query.AfterSequence = record.Sequence
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
			if !s.mayFollow(ctx, by, query) || out.send(": still here\n\n") != nil {
				return
			}
		}
	}
}

// mayFollow reports whether the reader's session still is and lets them see what they are being sent,
// without counting as their activity.
func (s *Service) mayFollow(ctx context.Context, by reader, query audit.Query) bool {
	sessions, err := s.Directory.Sessions(ctx, s.DB, by.workspace(), by.user.ID)
	if err != nil || !slices.ContainsFunc(sessions, func(session directory.Session) bool { return session.ID == by.session.ID }) {
		return false
	}
	user, err := s.Directory.User(ctx, s.DB, by.workspace(), by.user.ID)
	switch {
	case err != nil:
		return false
	case by.admin():
		return user.Role.Administers()
	}
	return s.narrow(ctx, by, &query) == nil
}

// message is one server-sent event. Its data may not hold a line break, so each line is its own.
func (s *Service) message(record audit.Record) (string, error) {
	var html bytes.Buffer
	if err := s.pages["activity"].ExecuteTemplate(&html, "line", lineOf(record)); err != nil {
		return "", err
	}
	var message bytes.Buffer
	fmt.Fprintf(&message, "id: %d\nevent: line\n", record.Sequence)
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
