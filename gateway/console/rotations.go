package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/gateway/problem"
)

// ProgressRoute is the route of what rotations do while somebody looks, as gin knows it.
const ProgressRoute = "/rotations/stream"

// rotationRow is a rotation in a list, with its account.
type rotationRow struct {
	rotation.Rotation
	Of accounts.Account
}

// rotationsPage is what is under way in the workspace, and what was.
type rotationsPage struct {
	Open   []rotationRow
	More   string // what else is under way
	Past   []rotationRow
	Older  string
	Newest bool  // nothing was skipped
	Seen   int64 // what the page shows is of then, in microseconds
}

// listRotations shows administrators what is under way, and what was before, newest first.
func (s *Service) listRotations(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	page, err := s.loadRotations(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "rotations", "Rotations", "rotations", page)
}

func (s *Service) loadRotations(c *gin.Context) (rotationsPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page := rotationsPage{Seen: s.now().UnixMicro()}
	before, err := queryID(c, "before")
	if err != nil {
		return page, err
	}
	after, err := queryID(c, "open")
	if err != nil {
		return page, err
	}
	page.Newest = before.IsZero() && after.IsZero()
	var open, past []rotation.Rotation
	if before.IsZero() {
		if open, err = s.Rotations.Open(ctx, s.DB, workspace, after, pageSize); err != nil {
			return page, err
		}
		if len(open) == pageSize {
			page.More = "/rotations?open=" + open[pageSize-1].Account.String()
		}
		past, err = s.Rotations.List(ctx, s.DB, workspace, core.ID{}, pageSize)
	} else {
		var last rotation.Rotation
		if last, err = s.Rotations.Rotation(ctx, s.DB, workspace, before); err == nil {
			past, err = s.Rotations.Earlier(ctx, s.DB, workspace, last.Place(), pageSize)
		}
	}
	if err != nil {
		return page, err
	}
	if len(past) == pageSize {
		page.Older = "/rotations?before=" + past[pageSize-1].ID.String()
	}
	if page.Open, err = s.withAccounts(ctx, workspace, open); err != nil {
		return page, err
	}
	all, err := s.withAccounts(ctx, workspace, past)
	for _, one := range all {
		if one.Finished != nil {
			page.Past = append(page.Past, one)
		}
	}
	return page, err
}

// withAccounts finds the accounts of rotations.
func (s *Service) withAccounts(ctx context.Context, workspace core.ID, all []rotation.Rotation) ([]rotationRow, error) {
	ids := make([]core.ID, 0, len(all))
	for _, one := range all {
		ids = append(ids, one.Account)
	}
	known, err := s.Accounts.Some(ctx, s.DB, workspace, ids)
	rows := make([]rotationRow, 0, len(all))
	for _, one := range all {
		rows = append(rows, rotationRow{one, known[one.Account]})
	}
	return rows, err
}

// followRotations tells what changes: of one account to whoever may use it, of all to administrators.
func (s *Service) followRotations(c *gin.Context) {
	by := s.reader(c)
	account, err := queryID(c, "account")
	if err == nil {
		err = s.mayWatch(c.Request.Context(), by, account)
	}
	if err != nil {
		problem.Write(c, err)
		return
	}
	watch := watched{account: account, since: time.UnixMicro(lastSeen(c)), open: map[core.ID]time.Time{}}
	s.live(c, by, func(ctx context.Context) ([]string, error) {
		moved, err := s.moved(ctx, by.workspace(), &watch)
		if err != nil {
			return nil, err
		}
		rows, err := s.withAccounts(ctx, by.workspace(), moved)
		var messages []string
		for _, row := range rows {
			message, err := s.message("rotations", "rotation", "rotation", strconv.FormatInt(row.Updated.UnixMicro(), 10), row)
			if err != nil {
				return nil, err
			}
			messages = append(messages, message)
		}
		return messages, err
	}, func(ctx context.Context) bool {
		now, still := s.stillSignedIn(ctx, by)
		return still && s.mayWatch(ctx, now, account) == nil
	})
}

// mayWatch reports whether a reader may see how an account's rotations go; of all of them, if none is named.
func (s *Service) mayWatch(ctx context.Context, by reader, account core.ID) error {
	switch {
	case by.admin():
		return nil
	case account.IsZero():
		return core.Denied("only administrators see this")
	}
	_, err := s.may(ctx, by, account)
	return err
}

// watched is what a page was told of.
type watched struct {
	account core.ID
	since   time.Time
	open    map[core.ID]time.Time // what is under way, and when it moved last
}

// moved gives what moved since the last look, and remembers it. A look costs what is under way, up to a page.
func (s *Service) moved(ctx context.Context, workspace core.ID, watch *watched) ([]rotation.Rotation, error) {
	var found []rotation.Rotation
	var err error
	if watch.account.IsZero() {
		found, err = s.Rotations.Open(ctx, s.DB, workspace, core.ID{}, pageSize)
	} else {
		found, err = s.Rotations.List(ctx, s.DB, workspace, watch.account, 1)
	}
	if err != nil {
		return nil, err
	}
	there := map[core.ID]bool{}
	for _, one := range found {
		there[one.ID] = true
	}
	var ended []core.ID
	for id := range watch.open {
		if !there[id] {
			ended = append(ended, id)
		}
	}
	if len(ended) > 0 {
		last, err := s.Rotations.Some(ctx, s.DB, workspace, ended)
		if err != nil {
			return nil, err
		}
		found = append(found, last...)
	}
	var moved []rotation.Rotation
	for _, one := range found {
		before, known := watch.open[one.ID]
		if known && one.Updated.After(before) || !known && one.Updated.After(watch.since) {
			moved = append(moved, one)
		}
		if watch.open[one.ID] = one.Updated; one.Finished != nil && !there[one.ID] {
			delete(watch.open, one.ID)
		}
	}
	return moved, nil
}

// Said is what a person hears of a rotation that moved.
func (r rotationRow) Said() string {
	return strings.TrimSpace(r.Of.AppName+" "+r.Of.Username) + ": " + known(rotationStates, r.State).Word
}
