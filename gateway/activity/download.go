package activity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/gateway/problem"
)

// Format is one of the forms of a download.
type Format string

// The formats.
const (
	CSV   Format = "csv"   // RFC 4180, a line of names first
	JSONL Format = "jsonl" // an Entry a line
)

// ContentType is the media type of a format.
func (f Format) ContentType() string {
	if f == CSV {
		return "text/csv; charset=utf-8"
	}
	return "application/jsonl"
}

// downloadPage is how many records are in memory at once.
const downloadPage = 500

// Download sends a part of the log as a file.
type Download struct {
	DB        *postgres.DB
	Workspace core.ID
	Query     audit.Query // oldest first, whatever it says of the order
	Format    Format
	Now       time.Time
	Closing   <-chan struct{} // breaks it off
}

// Hand answers a request with the file. What goes wrong before its first byte is a problem; after that the
// connection is dropped, and nobody takes a part for the whole.
func Hand(c *gin.Context, file Download) {
	began, err := file.serve(c.Request.Context(), c.Writer)
	switch {
	case err != nil && began:
		_ = c.Error(err)
		panic(http.ErrAbortHandler)
	case err != nil:
		problem.Write(c, err)
	}
}

// serve sends page after page. began is whether the first byte went.
func (d Download) serve(ctx context.Context, writer http.ResponseWriter) (began bool, err error) {
	head, err := audit.Head(ctx, d.DB, d.Workspace)
	if err != nil {
		return false, err
	}
	query := d.Query
	query.Descending, query.Limit, query.AfterSequence, query.BeforeSequence = false, downloadPage, 0, head+1
	out := sender{http.NewResponseController(writer), writer}
	for number := 0; ; number++ {
		found, err := audit.Search(ctx, d.DB, d.Workspace, query)
		if err != nil {
			return number > 0, err
		}
		page, err := d.page(found.Records, number == 0)
		if err != nil {
			return number > 0, err
		}
		if number == 0 {
			d.head(writer.Header())
			writer.WriteHeader(http.StatusOK)
		}
		if err := out.send(page); err != nil {
			return true, err
		}
		if !found.More {
			return true, nil
		}
		query.AfterSequence = found.Next
		select {
		case <-d.Closing:
			return true, errors.New("the process stops")
		default:
		}
	}
}

// head says what the file is, and that it is one: no browser shows it.
func (d Download) head(header http.Header) {
	header.Set("Content-Type", d.Format.ContentType())
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="activity-%s.%s"`, d.Now.UTC().Format("20060102T150405Z"), d.Format))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
}

func (d Download) page(records []audit.Record, first bool) (string, error) {
	var text bytes.Buffer
	if d.Format == CSV && first {
		line(&text, columns...)
	}
	for _, record := range records {
		if d.Format == CSV {
			line(&text, cells(record)...)
			continue
		}
		entry, err := json.Marshal(EntryOf(record))
		if err != nil {
			return "", core.Internal(err)
		}
		text.Write(append(entry, '\n'))
	}
	return text.String(), nil
}

// columns are what a CSV tells of an event.
var columns = []string{
	"sequence", "recorded", "occurred", "type", "outcome", "reason", "actor_kind", "actor_id", "actor", "targets", "target_ids",
	"correlation", "address", "user_agent", "data", "event_id", "hash",
}

func cells(record audit.Record) []string {
	event := record.Event
	var names, ids []string
	for _, target := range event.Targets {
		names = append(names, strings.TrimSpace(target.Kind+" "+target.Name))
		ids = append(ids, target.ID.String())
	}
	data := ""
	if len(event.Data) > 0 {
		text, _ := json.Marshal(event.Data) // of texts, which never fails
		data = string(text)
	}
	return []string{
		strconv.FormatInt(record.Sequence, 10), record.Sequenced.UTC().Format(time.RFC3339Nano), event.Occurred.UTC().Format(time.RFC3339Nano),
		string(event.Type), string(event.Outcome), event.Reason, string(event.Actor.Kind), event.Actor.ID.String(), event.Actor.Name,
		strings.Join(names, "; "), strings.Join(ids, "; "), event.Correlation.String(), event.Origin.Address, event.Origin.UserAgent,
		data, event.ID.String(), fmt.Sprintf("%x", record.Hash),
	}
}

// line writes cells, every one in quotes: what a spreadsheet takes for the end of one differs by country.
func line(to *bytes.Buffer, cells ...string) {
	for i, cell := range cells {
		if i > 0 {
			to.WriteByte(',')
		}
		to.WriteString(`"` + strings.ReplaceAll(harmless(cell), `"`, `""`) + `"`)
	}
	to.WriteString("\r\n")
}

// harmless keeps a spreadsheet from taking somebody's name for a formula (OWASP, CSV Injection): a cell that
// begins like one begins with an apostrophe instead.
func harmless(cell string) string {
	trimmed := strings.TrimLeft(cell, " \u00a0\ufeff")
	if trimmed != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠|", []rune(trimmed)[0]) {
		return "'" + cell
	}
	return cell
}
