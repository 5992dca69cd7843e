package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// column is one of a table: what it is called, and what stands in it.
type column[Row any] struct {
	Head string
	Cell func(Row) string
}

// tableRows is how many rows have their columns in line: a list of any length is printed as it comes.
const tableRows = 500

// rows prints a list in the form that was asked for. JSON is what the gateway said, with all its members.
func rows[Row any](out terminal, from remote, list iter.Seq2[json.RawMessage, error], columns ...column[Row]) error {
	switch from.Output {
	case "json":
		return jsonRows(out.out, list)
	case "jsonl":
		for row, err := range list {
			if err != nil {
				return err
			}
			if err := jsonLine(out.out, row); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out.out, 0, 0, 2, ' ', 0)
	number := 0
	for row, err := range list {
		var read Row
		if err == nil {
			err = json.Unmarshal(row, &read)
		}
		if err != nil {
			_ = table.Flush()
			return err
		}
		if number%tableRows == 0 {
			if err := heads(table, columns); err != nil {
				return err
			}
		}
		number++
		cells := make([]string, len(columns))
		for i, column := range columns {
			cells[i] = visible(column.Cell(read))
		}
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	if number == 0 {
		fmt.Fprintln(out.err, "none")
	}
	return table.Flush()
}

// heads ends the lines before, and begins new ones.
func heads[Row any](table *tabwriter.Writer, columns []column[Row]) error {
	if err := table.Flush(); err != nil {
		return err
	}
	var names []string
	for _, column := range columns {
		names = append(names, column.Head)
	}
	_, err := fmt.Fprintln(table, strings.Join(names, "\t"))
	return err
}

// jsonRows prints a list as one JSON array, a row at a time.
func jsonRows(out io.Writer, list iter.Seq2[json.RawMessage, error]) error {
	before := "["
	for row, err := range list {
		if err != nil {
			return err
		}
		var text bytes.Buffer
		text.WriteString(before + "\n  ")
		if err := json.Indent(&text, row, "  ", "  "); err != nil {
			return err
		}
		if _, err := text.WriteTo(out); err != nil {
			return err
		}
		before = ","
	}
	if before == "[" {
		_, err := fmt.Fprintln(out, "[]")
		return err
	}
	_, err := fmt.Fprintln(out, "\n]")
	return err
}

func jsonLine(out io.Writer, row json.RawMessage) error {
	var text bytes.Buffer
	if err := json.Compact(&text, row); err != nil {
		return err
	}
	text.WriteByte('\n')
	_, err := text.WriteTo(out)
	return err
}

// thing prints one thing: as the gateway's JSON, or in words.
func thing[Thing any](out terminal, from remote, text json.RawMessage, words func(sheet sheet, thing Thing)) error {
	switch {
	case from.Output == "jsonl" && text != nil:
		return jsonLine(out.out, text)
	case from.Output == "json" && text != nil:
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			return err
		}
		indented.WriteByte('\n')
		_, err := indented.WriteTo(out.out)
		return err
	case from.Output != "table":
		return nil
	}
	var read Thing
	if text != nil {
		if err := json.Unmarshal(text, &read); err != nil {
			return err
		}
	}
	words(sheet{out.out}, read)
	return nil
}

// visible is a text as it can be printed anywhere: names are other people's, and must neither move a
// terminal's cursor nor break a table.
func visible(text string) string {
	return strings.Map(func(one rune) rune {
		if one == unicode.ReplacementChar || !unicode.IsPrint(one) {
			return '·'
		}
		return one
	}, text)
}

// utc is a time in a table; "-" for none.
func utc(at *time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04")
}

// dash stands for an empty text in a table.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
