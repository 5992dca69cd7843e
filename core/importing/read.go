package importing

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"postern/core"
	"postern/core/seal"
)

// Format is who wrote a file.
type Format string

// The formats.
const (
	CSV           Format = "csv"           // any, by the names of its columns
	OnePassword   Format = "1password"     // 1pux
	OnePasswordC  Format = "1password_csv" // CSV of 1Password
	Bitwarden     Format = "bitwarden"     // JSON, not encrypted
	BitwardenCSV  Format = "bitwarden_csv" // CSV of Bitwarden
	LastPass      Format = "lastpass"      // CSV of LastPass
	MaxFile              = 32 << 20        // bytes of a file
	maxContent           = 64 << 20        // bytes of what a file holds once unpacked
	MaxEntries           = 100_000         // of a file
	exportData           = "export.data"   // the one file of a 1pux that is looked at
	exportFolder         = "files/"        // attachments in a 1pux
	encryptedHint        = "this export is encrypted: export it again without encryption (Bitwarden: JSON or CSV), and delete that file once it is imported"
)

// Formats lists all of them.
func Formats() []Format {
	return []Format{CSV, OnePassword, OnePasswordC, Bitwarden, BitwardenCSV, LastPass}
}

// Read gives the entries of a file. What is wrong is told without a word of what is in it.
func Read(format Format, file []byte) ([]Entry, error) {
	if len(file) > MaxFile {
		return nil, core.TooLarge("a file may have at most %d MiB", MaxFile>>20)
	}
	var entries []Entry
	var err error
	switch format {
	case OnePassword:
		entries, err = readOnePassword(file)
	case Bitwarden:
		entries, err = readBitwarden(file)
	case CSV, OnePasswordC, BitwardenCSV, LastPass:
		entries, err = readCSV(format, file)
	default:
		return nil, core.Invalid("format", "there is no format %q", core.Cut(string(format), 40))
	}
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, core.Invalid("file", "there is no entry in it")
	}
	for i := range entries {
		entries[i].Number = i + 1
	}
	return entries, nil
}

func tooMany() error {
	return core.TooLarge("a file may have at most %d entries; split it", MaxEntries)
}

// readJSON reads a whole document.
func readJSON(text []byte, into any) error {
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), into); err != nil {
		return noExport()
	}
	return nil
}

func noExport() error { return core.Invalid("file", "this is not the JSON of such an export") }

// maxParts is how much of one kind an entry may hold.
const maxParts = 1000

// each goes through a list one by one, so that none costs much more than its text: a list of a few bytes each would fill
// any memory otherwise. A list that is missing has nothing in it.
func each(list json.RawMessage, most int, do func(one json.RawMessage) error) error {
	if len(list) == 0 || string(list) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(list))
	if begins, err := decoder.Token(); err != nil || begins != json.Delim('[') {
		return errNoList
	}
	for number := 0; decoder.More(); number++ {
		if number == most {
			return errLong
		}
		var one json.RawMessage
		if err := decoder.Decode(&one); err != nil {
			return errNoList
		}
		if err := do(one); err != nil {
			return err
		}
	}
	return nil
}

var (
	errNoList = errors.New("importing: this is no list")
	errLong   = errors.New("importing: this list is too long")
)

// notUnderstood is what is told of an entry that is there and cannot be read.
const notUnderstood = "it cannot be understood"

// something is a value of which only this is of interest, whether it holds anything.
type something bool

// UnmarshalJSON implements json.Unmarshaler.
func (s *something) UnmarshalJSON(text []byte) error {
	text = bytes.TrimSpace(text)
	if len(text) > 1 && (text[0] == '[' || text[0] == '{') {
		text = bytes.TrimSpace(text[1 : len(text)-1])
	}
	*s = len(text) > 0 && string(text) != "null"
	return nil
}

type bitwardenFile struct {
	Encrypted         bool            `json:"encrypted"`
	PasswordProtected bool            `json:"passwordProtected"`
	Items             json.RawMessage `json:"items"`
}

type bitwardenItem struct {
	Type   int       `json:"type"`
	Name   string    `json:"name"`
	Notes  string    `json:"notes"`
	Fields something `json:"fields"`
	Login  *struct {
		URIs     json.RawMessage `json:"uris"`
		Username string          `json:"username"`
		Password string          `json:"password"`
		TOTP     string          `json:"totp"`
		Passkeys something       `json:"fido2Credentials"`
	} `json:"login"`
}

// readBitwarden reads a JSON export of a person or an organisation.
func readBitwarden(file []byte) ([]Entry, error) {
	var read bitwardenFile
	if err := readJSON(file, &read); err != nil {
		return nil, err
	}
	if read.Encrypted || read.PasswordProtected {
		return nil, core.Invalid("file", encryptedHint).WithCode("encrypted_export")
	}
	var entries []Entry
	err := each(read.Items, MaxEntries, func(one json.RawMessage) error {
		var item bitwardenItem
		if err := readJSON(one, &item); err != nil {
			return err
		}
		entries = append(entries, item.entry())
		return nil
	})
	return entries, listFault(err)
}

// listFault says what is wrong with the list of all entries.
func listFault(err error) error {
	switch {
	case errors.Is(err, errLong):
		return tooMany()
	case errors.Is(err, errNoList):
		return noExport()
	}
	return err
}

func (i bitwardenItem) entry() Entry {
	entry := Entry{Title: i.Name}
	entry.add("notes", i.Notes != "")
	entry.add("fields", bool(i.Fields))
	if i.Type != 1 || i.Login == nil {
		entry.Skip = "it is no login"
		return entry
	}
	entry.Username, entry.Password = i.Login.Username, seal.NewSecret(i.Login.Password)
	entry.TOTP = seal.NewSecret(i.Login.TOTP)
	entry.add("passkeys", bool(i.Login.Passkeys))
	err := each(i.Login.URIs, maxParts, func(one json.RawMessage) error {
		var address struct {
			URI string `json:"uri"`
		}
		if err := readJSON(one, &address); err != nil {
			return err
		}
		if _, is := siteOf(address.URI); is && entry.Address.IsZero() {
			entry.Address = seal.NewSecret(address.URI)
			return nil
		}
		entry.add("more_sites", address.URI != "")
		return nil
	})
	if err != nil {
		entry.Skip = notUnderstood
	}
	return entry
}

type onePasswordItem struct {
	Item     *onePasswordItem `json:"item"` // some versions put it one level deeper
	State    string           `json:"state"`
	Category string           `json:"categoryUuid"`
	Overview struct {
		Title string          `json:"title"`
		URL   string          `json:"url"`
		URLs  json.RawMessage `json:"urls"`
	} `json:"overview"`
	Details struct {
		Login    json.RawMessage `json:"loginFields"`
		Notes    string          `json:"notesPlain"`
		Password string          `json:"password"`
		Document something       `json:"documentAttributes"`
		Sections json.RawMessage `json:"sections"`
	} `json:"details"`
}

// Categories of 1Password that are logins.
const (
	onePasswordLogin    = "001"
	onePasswordPassword = "005"
)

// readOnePassword reads a 1pux: a zip of which one member is looked at, as far as it may be large.
func readOnePassword(file []byte) ([]Entry, error) {
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, core.Invalid("file", "this is no 1pux file")
	}
	var text []byte
	attachments := 0
	for _, member := range archive.File {
		if strings.HasPrefix(member.Name, exportFolder) {
			attachments++
		}
		if member.Name != exportData {
			continue
		}
		if text != nil {
			return nil, core.Invalid("file", "this is no 1pux file: it holds %s twice", exportData)
		}
		if text, err = unpack(member); err != nil {
			return nil, err
		}
	}
	if text == nil {
		return nil, core.Invalid("file", "this is no 1pux file: it holds no %s", exportData)
	}
	var read struct {
		Accounts json.RawMessage `json:"accounts"`
	}
	if err := readJSON(text, &read); err != nil {
		return nil, err
	}
	var entries []Entry
	add := func(raw json.RawMessage) error {
		if len(entries) == MaxEntries {
			return errLong
		}
		var item onePasswordItem
		entry := Entry{Skip: notUnderstood}
		if readJSON(raw, &item) == nil {
			if item.Item != nil {
				item = *item.Item
			}
			entry = item.entry()
		}
		entries = append(entries, entry)
		return nil
	}
	err = each(read.Accounts, maxParts, func(account json.RawMessage) error {
		var in struct {
			Vaults json.RawMessage `json:"vaults"`
		}
		if err := readJSON(account, &in); err != nil {
			return err
		}
		return each(in.Vaults, maxParts, func(vault json.RawMessage) error {
			var in struct {
				Items json.RawMessage `json:"items"`
			}
			if err := readJSON(vault, &in); err != nil {
				return err
			}
			return each(in.Items, MaxEntries, add)
		})
	})
	return entries, listFault(err)
}

// unpack reads a member of a zip, and stops where it is larger than it may be, whatever it says of itself.
func unpack(member *zip.File) ([]byte, error) {
	if member.UncompressedSize64 > maxContent {
		return nil, core.TooLarge("the file holds more than %d MiB", maxContent>>20)
	}
	if member.Flags&1 != 0 {
		return nil, core.Invalid("file", encryptedHint).WithCode("encrypted_export")
	}
	from, err := member.Open()
	if err != nil {
		return nil, core.Invalid("file", "this is no 1pux file")
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, maxContent+1))
	switch {
	case len(text) > maxContent:
		return nil, core.TooLarge("the file holds more than %d MiB", maxContent>>20)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, core.Invalid("file", "this is no 1pux file, or not the whole of it")
	}
	return text, nil
}

func (i onePasswordItem) entry() Entry {
	entry := Entry{Title: i.Overview.Title}
	entry.add("notes", i.Details.Notes != "")
	entry.add("files", bool(i.Details.Document))
	understood := i.sections(&entry) == nil
	switch {
	case i.Category != onePasswordLogin && i.Category != onePasswordPassword:
		entry.Skip = "it is no login"
		return entry
	case i.State == "archived":
		entry.Skip = "it is archived"
		return entry
	}
	entry.Password = seal.NewSecret(i.Details.Password)
	if i.login(&entry) != nil || i.addresses(&entry) != nil || !understood {
		entry.Skip = notUnderstood
	}
	return entry
}

// sections are what an item holds besides its login: one-time codes among them.
func (i onePasswordItem) sections(entry *Entry) error {
	return each(i.Details.Sections, maxParts, func(one json.RawMessage) error {
		var section struct {
			Fields json.RawMessage `json:"fields"`
		}
		if err := readJSON(one, &section); err != nil {
			return err
		}
		return each(section.Fields, maxParts, func(one json.RawMessage) error {
			var field struct {
				Value json.RawMessage `json:"value"`
			}
			var held something
			var value struct {
				TOTP json.RawMessage `json:"totp"`
				File json.RawMessage `json:"file"`
			}
			if err := readJSON(one, &field); err != nil || len(field.Value) == 0 {
				return err
			}
			if err := errors.Join(readJSON(field.Value, &held), readJSON(field.Value, &value)); err != nil {
				return err
			}
			if totp := ""; entry.TOTP.IsZero() && json.Unmarshal(value.TOTP, &totp) == nil {
				entry.TOTP = seal.NewSecret(totp)
			}
			entry.add("files", value.File != nil)
			entry.add("fields", value.TOTP == nil && value.File == nil && bool(held))
			return nil
		})
	})
}

func (i onePasswordItem) login(entry *Entry) error {
	return each(i.Details.Login, maxParts, func(one json.RawMessage) error {
		var field struct {
			Value       string `json:"value"`
			Designation string `json:"designation"`
		}
		if err := readJSON(one, &field); err != nil {
			return err
		}
		switch field.Designation {
		case "username":
			entry.Username = field.Value
		case "password":
			entry.Password = seal.NewSecret(field.Value)
		default:
			entry.add("fields", field.Value != "")
		}
		return nil
	})
}

func (i onePasswordItem) addresses(entry *Entry) error {
	add := func(address string) {
		if _, is := siteOf(address); is && entry.Address.IsZero() {
			entry.Address = seal.NewSecret(address)
			return
		}
		entry.add("more_sites", address != "" && address != entry.Address.Reveal())
	}
	add(i.Overview.URL)
	return each(i.Overview.URLs, maxParts, func(one json.RawMessage) error {
		var address struct {
			URL string `json:"url"`
		}
		err := readJSON(one, &address)
		add(address.URL)
		return err
	})
}
