package importing

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"postern/core"
	"postern/core/seal"
)

// columnsOf are the names a column has in what different programs write, in lower case.
var columnsOf = map[string][]string{
	"title":    {"title", "name", "account", "item"},
	"address":  {"url", "urls", "website", "site", "login_uri", "uri", "web site", "login_url"},
	"username": {"username", "login_username", "user", "login", "user name", "email"},
	"password": {"password", "login_password"},
	"totp":     {"totp", "login_totp", "otpauth", "otp", "one-time password", "otpurl"},
	"notes":    {"notes", "note", "extra", "notesplain", "comment", "comments"},
	"fields":   {"fields"},
	"type":     {"type"},
	"archived": {"archived"},
}

// secureNote is what LastPass writes for the site of a note.
const secureNote = "http://sn"

// readCSV reads a list with a line of names, whatever its encoding and what stands between cells.
func readCSV(format Format, file []byte) ([]Entry, error) {
	text, err := decoded(file)
	if err != nil {
		return nil, err
	}
	comma := separator(text)
	if wide(text, byte(comma)) {
		return nil, core.Invalid("file", "a line has more than %d cells", maxColumns)
	}
	reader := csv.NewReader(bytes.NewReader(text))
	reader.Comma, reader.FieldsPerRecord, reader.ReuseRecord = comma, -1, false
	heads, err := reader.Read()
	if err != nil {
		return nil, unreadable(err)
	}
	at, err := places(heads)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if len(entries) == MaxEntries {
			return nil, tooMany()
		}
		entries = append(entries, entryOf(format, at, cells, len(heads)))
	}
}

// decoded is a file as UTF-8: spreadsheets write UTF-16 too, and marks in front.
func decoded(file []byte) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(transform.NewReader(bytes.NewReader(file), unicode.BOMOverride(transform.Nop)), maxContent+1))
	switch {
	case err != nil || len(text) > maxContent:
		return nil, core.Invalid("file", "this is no text")
	case !utf8.Valid(text):
		return nil, core.Invalid("file", "the text is not UTF-8, nor UTF-16 with its mark; save it as UTF-8")
	case bytes.HasPrefix(text, []byte("PK\x03\x04")):
		return nil, core.Invalid("file", "this is a zip, not a CSV; a 1pux is of the format %s", OnePassword)
	}
	return text, nil
}

// separator is what the line of names has most of.
func separator(text []byte) rune {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	best, most := ',', 0
	for _, one := range []rune{',', ';', '\t'} {
		if count := bytes.Count(first, []byte(string(one))); count > most {
			best, most = one, count
		}
	}
	return best
}

// maxColumns is how many cells a record may have.
const maxColumns = 1000

// wide reports whether a record has too many cells, which would cost many times its text to read. Where quotes stand that
// do not belong there the reader stops before it comes to that.
func wide(text []byte, comma byte) bool {
	cells, quoted := 1, false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n':
			cells = 1
		case c == comma:
			if cells++; cells > maxColumns {
				return true
			}
		}
	}
	return false
}

// unreadable says where, and nothing of what.
func unreadable(err error) error {
	if errors.Is(err, io.EOF) {
		return core.Invalid("file", "there is nothing in it")
	}
	if fault, ok := errors.AsType[*csv.ParseError](err); ok {
		return core.Invalid("file", "the quotes of line %d do not match", fault.StartLine)
	}
	return core.Invalid("file", "this is no CSV")
}

// places finds the columns by their names.
func places(heads []string) (map[string]int, error) {
	at := map[string]int{}
	for i, head := range heads {
		head = strings.ToLower(strings.TrimSpace(head))
		for what, names := range columnsOf {
			place, known := at[what]
			// Of several the name that comes first in the list is meant: username before email.
			if rank := slices.Index(names, head); rank >= 0 && (!known || rank < slices.Index(names, strings.ToLower(strings.TrimSpace(heads[place])))) {
				at[what] = i
			}
		}
	}
	for _, needed := range []string{"address", "username", "password"} {
		if _, known := at[needed]; !known {
			return nil, core.Invalid("file", "the first line names the columns, and none is %s", strings.Join(columnsOf[needed], " or "))
		}
	}
	return at, nil
}

func entryOf(format Format, at map[string]int, cells []string, wanted int) Entry {
	cell := func(what string) string {
		if place, known := at[what]; known && place < len(cells) {
			return cells[place]
		}
		return ""
	}
	entry := Entry{Title: cell("title"), Username: cell("username"), Password: seal.NewSecret(cell("password")), TOTP: seal.NewSecret(cell("totp"))}
	entry.add("notes", cell("notes") != "")
	entry.add("fields", cell("fields") != "")
	// Bitwarden writes several sites into one cell.
	for address := range strings.FieldsFuncSeq(cell("address"), func(one rune) bool { return one == ',' || one == '\n' || one == '\r' }) {
		if _, is := siteOf(address); is && entry.Address.IsZero() {
			entry.Address = seal.NewSecret(strings.TrimSpace(address))
			continue
		}
		entry.add("more_sites", strings.TrimSpace(address) != "")
	}
	switch kind := cell("type"); {
	case len(cells) != wanted:
		entry.Skip = "it has not as many cells as there are columns"
	case strings.TrimSpace(cell("address")) == secureNote, format == BitwardenCSV && kind != "" && kind != "login":
		entry.Skip = "it is no login"
	case strings.EqualFold(cell("archived"), "true"):
		entry.Skip = "it is archived"
	}
	return entry
}
