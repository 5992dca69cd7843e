package importing

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
		return core.Invalid("file", "this is not the JSON of such an export")
	}
	return nil
}

type bitwardenFile struct {
	Encrypted         bool            `json:"encrypted"`
	PasswordProtected bool            `json:"passwordProtected"`
	Items             []bitwardenItem `json:"items"`
}

type bitwardenItem struct {
	Type   int               `json:"type"`
	Name   string            `json:"name"`
	Notes  string            `json:"notes"`
	Fields []json.RawMessage `json:"fields"`
	Login  *struct {
		URIs []struct {
			URI string `json:"uri"`
		} `json:"uris"`
		Username string            `json:"username"`
		Password string            `json:"password"`
		TOTP     string            `json:"totp"`
		Passkeys []json.RawMessage `json:"fido2Credentials"`
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
	if len(read.Items) > MaxEntries {
		return nil, tooMany()
	}
	var entries []Entry
	for _, item := range read.Items {
		entry := Entry{Title: item.Name}
		entry.add("notes", item.Notes != "")
		entry.add("fields", len(item.Fields) > 0)
		if item.Type != 1 || item.Login == nil {
			entry.Skip = "it is no login"
			entries = append(entries, entry)
			continue
		}
		entry.Username, entry.Password = item.Login.Username, seal.NewSecret(item.Login.Password)
		entry.TOTP = seal.NewSecret(item.Login.TOTP)
		entry.add("passkeys", len(item.Login.Passkeys) > 0)
		for _, one := range item.Login.URIs {
			if _, is := siteOf(one.URI); is && entry.Address.IsZero() {
				entry.Address = seal.NewSecret(one.URI)
				continue
			}
			entry.add("more_sites", one.URI != "")
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

type onePasswordFile struct {
	Accounts []struct {
		Vaults []struct {
			Items []json.RawMessage `json:"items"`
		} `json:"vaults"`
	} `json:"accounts"`
}

type onePasswordItem struct {
	Item     *onePasswordItem `json:"item"` // some versions put it one level deeper
	State    string           `json:"state"`
	Category string           `json:"categoryUuid"`
	Overview struct {
		Title string `json:"title"`
		URL   string `json:"url"`
		URLs  []struct {
			URL string `json:"url"`
		} `json:"urls"`
	} `json:"overview"`
	Details struct {
		Login []struct {
			Value       string `json:"value"`
			Designation string `json:"designation"`
		} `json:"loginFields"`
		Notes    string `json:"notesPlain"`
		Password string `json:"password"`
		Document any    `json:"documentAttributes"`
		Sections []struct {
			Fields []struct {
				Value map[string]any `json:"value"`
			} `json:"fields"`
		} `json:"sections"`
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
	var read onePasswordFile
	if err := readJSON(text, &read); err != nil {
		return nil, err
	}
	var entries []Entry
	for _, account := range read.Accounts {
		for _, vault := range account.Vaults {
			for _, raw := range vault.Items {
				if len(entries) == MaxEntries {
					return nil, tooMany()
				}
				var item onePasswordItem
				if err := readJSON(raw, &item); err != nil {
					entries = append(entries, Entry{Skip: "it cannot be understood"})
					continue
				}
				if item.Item != nil {
					item = *item.Item
				}
				entries = append(entries, item.entry())
			}
		}
	}
	return entries, nil
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
	entry.add("files", i.Details.Document != nil)
	for _, section := range i.Details.Sections {
		for _, field := range section.Fields {
			_, totp := field.Value["totp"]
			_, file := field.Value["file"]
			if totp && entry.TOTP.IsZero() {
				entry.TOTP = seal.NewSecret(fmt.Sprint(field.Value["totp"]))
			}
			entry.add("files", file)
			entry.add("fields", !totp && !file && len(field.Value) > 0)
		}
	}
	switch {
	case i.Category != onePasswordLogin && i.Category != onePasswordPassword:
		entry.Skip = "it is no login"
		return entry
	case i.State == "archived":
		entry.Skip = "it is archived"
		return entry
	}
	entry.Password = seal.NewSecret(i.Details.Password)
	for _, field := range i.Details.Login {
		switch field.Designation {
		case "username":
			entry.Username = field.Value
		case "password":
			entry.Password = seal.NewSecret(field.Value)
		default:
			entry.add("fields", field.Value != "")
		}
	}
	addresses := []string{i.Overview.URL}
	for _, one := range i.Overview.URLs {
		addresses = append(addresses, one.URL)
	}
	for _, address := range addresses {
		if _, is := siteOf(address); is && entry.Address.IsZero() {
			entry.Address = seal.NewSecret(address)
			continue
		}
		entry.add("more_sites", address != "" && address != entry.Address.Reveal())
	}
	return entry
}
