package posture

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"postern/core"
	"postern/core/postgres"
)

// Format is how findings are written to a file.
type Format string

// The formats.
const (
	CSV   Format = "csv"   // RFC 4180, with a header; no cell begins like a formula
	JSONL Format = "jsonl" // one JSON object a line
)

// ContentType is the media type of the format.
func (f Format) ContentType() string {
	if f == CSV {
		return "text/csv; charset=utf-8"
	}
	return "application/jsonl"
}

// ParseFormat reads one; "" is CSV.
func ParseFormat(text string) (Format, error) {
	switch Format(text) {
	case "", CSV:
		return CSV, nil
	case JSONL:
		return JSONL, nil
	}
	return "", core.Invalid("format", "the formats are csv and jsonl")
}

// Check is nil for a filter that Export takes: what is wrong with one has to be told before a file begins.
func (f Filter) Check() error {
	_, err := f.checked()
	return err
}

// Export writes every finding a filter leaves, a page at a time, in the order of Findings: however many there are, it holds
// one page of them. What changes meanwhile may be in it or not.
func (p *Posture) Export(ctx context.Context, q postgres.Querier, workspace core.ID, filter Filter, format Format, out io.Writer) error {
	rows := csv.NewWriter(out)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	if format == CSV {
		if err := rows.Write(columns); err != nil {
			return err
		}
	}
	for after := ""; ; {
		found, next, err := p.Findings(ctx, q, workspace, Query{Filter: filter, Limit: 500, After: after})
		if err != nil {
			return err
		}
		for _, one := range found {
			if format == CSV {
				err = rows.Write(one.cells())
			} else {
				err = lines.Encode(one)
			}
			if err != nil {
				return err
			}
		}
		if rows.Flush(); rows.Error() != nil {
			return rows.Error()
		}
		if flusher, ok := out.(interface{ Flush() }); ok {
			flusher.Flush()
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

var columns = []string{"kind", "severity", "about", "id", "name", "account", "app", "app_name", "username", "tags", "owners", "state", "since", "why", "next"}

func (f Finding) cells() []string {
	since := ""
	if f.Since != nil {
		since = f.Since.Format(time.RFC3339)
	}
	cells := []string{
		string(f.Kind), string(f.Severity), f.About, f.ID.String(), f.Name, f.Account.String(), f.App.String(), f.AppName, f.Username,
		strings.Join(f.Tags, " "), strings.Join(f.Owners, "; "), f.State, since, f.Why, f.Next,
	}
	for i, cell := range cells {
		cells[i] = harmless(cell)
	}
	return cells
}

// harmless is a cell that no spreadsheet takes for a formula.
func harmless(cell string) string {
	if first, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + cell
	}
	return cell
}
