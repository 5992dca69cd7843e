package importing_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/importing"
)

const canary = "canary-Pa55word!"

// shape is an entry with its secrets in the clear.
func shape(entry importing.Entry) string {
	password := entry.Password.Reveal()
	if !entry.TOTP.IsZero() {
		password += " and " + entry.TOTP.Reveal()
	}
	return fmt.Sprintf("%d %s | %s | %s | %s | %s | %s", entry.Number, entry.Title, entry.Address.Reveal(), entry.Username, password, strings.Join(entry.LeftOut, " "), entry.Skip)
}

func shapes(t *testing.T, format importing.Format, file []byte) []string {
	t.Helper()
	entries, err := importing.Read(format, file)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, shape(entry))
	}
	return all
}

// pux is a 1pux of some members.
func pux(t testing.TB, members ...[2]string) []byte {
	t.Helper()
	var file bytes.Buffer
	writer := zip.NewWriter(&file)
	for _, member := range members {
		to, err := writer.Create(member[0])
		if err == nil {
			_, err = to.Write([]byte(member[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

const puxData = `{"accounts":[{"attrs":{"accountName":"A"},"vaults":[{"attrs":{"name":"Personal"},"items":[
 {"uuid":"a","state":"active","categoryUuid":"001","details":{"loginFields":[{"value":"dana","designation":"username","fieldType":"T"},{"value":"` + canary + `","designation":"password","fieldType":"P"}],
  "notesPlain":"n","sections":[{"title":"","fields":[{"title":"one-time password","value":{"totp":"otpauth://totp/x?secret=ABC"}}]}]},
  "overview":{"title":"Wiki","url":"https://wiki.example.com/login","urls":[{"url":"https://wiki.example.com/login"},{"url":"https://other.example.com"}]}},
 {"item":{"state":"active","categoryUuid":"001","details":{"loginFields":[{"value":"x","designation":"username"},{"value":"y","designation":"password"}]},"overview":{"title":"Nested","urls":[{"url":"nested.example.com"}]}}},
 {"state":"archived","categoryUuid":"001","overview":{"title":"Old","url":"https://old.example.com"},"details":{}},
 {"state":"active","categoryUuid":"003","overview":{"title":"Note"},"details":{"notesPlain":"secret"}},
 {"state":7}
]}]}]}`

func utf16Of(text string, little bool) []byte {
	mark := []byte{0xfe, 0xff}
	if little {
		mark = []byte{0xff, 0xfe}
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		if little {
			mark = append(mark, byte(unit), byte(unit>>8))
		} else {
			mark = append(mark, byte(unit>>8), byte(unit))
		}
	}
	return mark
}

func TestRead(t *testing.T) {
	plain := "Name,URL,Username,Password\nWíki,https://wiki.example.com,dana," + canary + "\n"
	want := []string{"1 Wíki | https://wiki.example.com | dana | " + canary + " |  | "}
	for name, test := range map[string]struct {
		format importing.Format
		file   []byte
		want   []string
	}{
		"a CSV":                   {importing.CSV, []byte(plain), want},
		"with a mark":             {importing.CSV, []byte("\xef\xbb\xbf" + plain), want},
		"UTF-16, little":          {importing.CSV, utf16Of(plain, true), want},
		"UTF-16, big":             {importing.CSV, utf16Of(plain, false), want},
		"semicolons, line feeds":  {importing.CSV, []byte(strings.ReplaceAll(strings.ReplaceAll(plain, ",", ";"), "\n", "\r\n")), want},
		"tabs":                    {importing.CSV, []byte(strings.ReplaceAll(plain, ",", "\t")), want},
		"quotes and a line break": {importing.CSV, []byte("url,login,password,name,notes\nhttps://a.example.com,d,\"p\"\"q, r\",\"two\nlines\",n\n"), []string{"1 two\nlines | https://a.example.com | d | p\"q, r | notes | "}},
		"LastPass": {importing.LastPass, []byte("url,username,password,totp,extra,name,grouping,fav\nhttps://wiki.example.com/,dana,p,ABC,,Wiki,Work,0\nhttp://sn,,,,secret note,Note,,0\n"), []string{
			"1 Wiki | https://wiki.example.com/ | dana | p and ABC |  | ", "2 Note | http://sn |  |  | notes | it is no login",
		}},
		"1Password as CSV": {importing.OnePasswordC, []byte("Title,Url,Username,Password,OTPAuth,Favorite,Archived,Tags,Notes\nWiki,wiki.example.com,dana,p,otpauth://x,false,false,,\nOld,old.example.com,d,p,,false,true,,\n"), []string{
			"1 Wiki | wiki.example.com | dana | p and otpauth://x |  | ", "2 Old | old.example.com | d | p |  | it is archived",
		}},
		"Bitwarden as CSV": {importing.BitwardenCSV, []byte("folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,login_totp\n,,login,Wiki,,a: b,0,\"https://wiki.example.com,https://b.example.com\",dana,p,\n,,note,N,x,,0,,,,\nshort\n"), []string{
			"1 Wiki | https://wiki.example.com | dana | p | fields more_sites | ", "2 N |  |  |  | notes | it is no login", "3  |  |  |  |  | it has not as many cells as there are columns",
		}},
		"Bitwarden": {importing.Bitwarden, []byte(`{"encrypted":false,"folders":[],"items":[
			{"type":1,"name":"Wiki","notes":null,"fields":[{"name":"a"}],"login":{"uris":[{"match":null,"uri":"androidapp://x"},{"uri":"https://wiki.example.com"}],"username":"dana","password":"` + canary + `","totp":"ABC"}},
			{"type":2,"name":"Note","notes":"x"},{"type":1,"name":"Bare","login":{"username":null,"password":null}}]}`), []string{
			"1 Wiki | https://wiki.example.com | dana | " + canary + " and ABC | fields more_sites | ", "2 Note |  |  |  | notes | it is no login", "3 Bare |  |  |  |  | ",
		}},
		"1Password": {importing.OnePassword, pux(t, [2]string{"export.attributes", "{}"}, [2]string{"files/a", "x"}, [2]string{"export.data", puxData}), []string{
			"1 Wiki | https://wiki.example.com/login | dana | " + canary + " and otpauth://totp/x?secret=ABC | notes more_sites | ", "2 Nested | nested.example.com | x | y |  | ",
			"3 Old |  |  |  |  | it is archived", "4 Note |  |  |  | notes | it is no login", "5  |  |  |  |  | it cannot be understood",
		}},
	} {
		if diff := cmp.Diff(test.want, shapes(t, test.format, test.file)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	bomb := pux(t, [2]string{"export.data", `{"accounts":"` + strings.Repeat("0", 65<<20) + `"}`})
	if len(bomb) > 1<<20 {
		t.Fatal("this bomb is none")
	}
	head := "url,username,password\n"
	for name, test := range map[string]struct {
		format importing.Format
		file   string
		kind   core.Kind
		code   string
	}{
		"nothing":                    {importing.CSV, "", core.KindInvalid, ""},
		"no entry":                   {importing.CSV, head, core.KindInvalid, ""},
		"no columns":                 {importing.CSV, canary + "," + canary + "\n", core.KindInvalid, ""},
		"open quotes":                {importing.CSV, head + "x,y,\"" + canary + "\n", core.KindInvalid, ""},
		"quotes inside":              {importing.CSV, head + "x,y," + canary + "\"z\"\n", core.KindInvalid, ""},
		"not UTF-8":                  {importing.CSV, head + "x,y,\xff\xfe" + canary + "\n", core.KindInvalid, ""},
		"too many":                   {importing.CSV, head + strings.Repeat("a.example.com,u,p\n", importing.MaxEntries+1), core.KindTooLarge, ""},
		"too large":                  {importing.CSV, head + strings.Repeat("x", importing.MaxFile), core.KindTooLarge, ""},
		"a zip as CSV":               {importing.CSV, string(pux(t, [2]string{"export.data", "{}"})), core.KindInvalid, ""},
		"a CSV as zip":               {importing.OnePassword, head, core.KindInvalid, ""},
		"a bomb":                     {importing.OnePassword, string(bomb), core.KindTooLarge, ""},
		"a zip of something else":    {importing.OnePassword, string(pux(t, [2]string{"other", canary})), core.KindInvalid, ""},
		"two of them":                {importing.OnePassword, string(pux(t, [2]string{"export.data", puxData}, [2]string{"export.data", puxData})), core.KindInvalid, ""},
		"no JSON in it":              {importing.OnePassword, string(pux(t, [2]string{"export.data", canary})), core.KindInvalid, ""},
		"cut off":                    {importing.OnePassword, string(pux(t, [2]string{"export.data", puxData})[:200]), core.KindInvalid, ""},
		"Bitwarden, encrypted":       {importing.Bitwarden, `{"encrypted":true,"data":"` + canary + `"}`, core.KindInvalid, "encrypted_export"},
		"Bitwarden, with a password": {importing.Bitwarden, `{"encrypted":true,"passwordProtected":true,"salt":"x"}`, core.KindInvalid, "encrypted_export"},
		"Bitwarden, something else":  {importing.Bitwarden, `[{"password":"` + canary + `"}]`, core.KindInvalid, ""},
		"Bitwarden, deep":            {importing.Bitwarden, strings.Repeat("[", 1<<20), core.KindInvalid, ""},
		"a format nobody writes":     {"keepass", head, core.KindInvalid, ""},
	} {
		entries, err := importing.Read(test.format, []byte(test.file))
		if core.KindOf(err) != test.kind || err == nil || core.AsError(err).Code != test.code {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s is quoted: %v", name, err)
		}
	}
}

// Whatever a file holds, reading it ends, tells no password, and gives entries that are numbered.
func FuzzRead(f *testing.F) {
	for _, format := range importing.Formats() {
		f.Add(string(format), []byte("url,username,password,totp\nhttps://a.example.com,u,p,\n"))
	}
	f.Add("bitwarden", []byte(`{"items":[{"type":1,"login":{"uris":[{"uri":"a.b"}]}}]}`))
	f.Add("1password", pux(f, [2]string{"export.data", puxData}))
	f.Add("csv", utf16Of("url;username;password\na;b;c\n", true))
	f.Fuzz(func(t *testing.T, format string, file []byte) {
		entries, err := importing.Read(importing.Format(format), file)
		if err != nil && (len(entries) > 0 || core.KindOf(err) != core.KindInvalid && core.KindOf(err) != core.KindTooLarge) {
			t.Errorf("%d entries and %v", len(entries), err)
		}
		for i, entry := range entries {
			if entry.Number != i+1 {
				t.Errorf("entry %d is called %d", i+1, entry.Number)
			}
			importing.Judged(entry)
		}
	})
}

// What is small in a file must not be large in memory.
func TestReadIsBoundedInMemory(t *testing.T) {
	many := func(one string, size int) string { return strings.Repeat(one+",", size/(len(one)+1)) + one }
	item := func(details string) string {
		return `{"accounts":[{"vaults":[{"items":[{"categoryUuid":"001","details":` + details + `}]}]}]}`
	}
	packed := func(text string) []byte { return pux(t, [2]string{"export.data", text}) }
	const size = 8 << 20
	for name, test := range map[string]struct {
		format importing.Format
		file   []byte
	}{
		"many items of Bitwarden":      {importing.Bitwarden, []byte(`{"items":[` + many("{}", size) + `]}`)},
		"many fields of Bitwarden":     {importing.Bitwarden, []byte(`{"items":[{"type":1,"fields":[` + many("0", size) + `],"login":{}}]}`)},
		"many sites of Bitwarden":      {importing.Bitwarden, []byte(`{"items":[{"type":1,"login":{"uris":[` + many("{}", size) + `]}}]}`)},
		"many accounts of 1Password":   {importing.OnePassword, packed(`{"accounts":[` + many("{}", size) + `]}`)},
		"many items of 1Password":      {importing.OnePassword, packed(`{"accounts":[{"vaults":[{"items":[` + many("0", size) + `]}]}]}`)},
		"many attributes of 1Password": {importing.OnePassword, packed(item(`{"documentAttributes":[` + many("0", size) + `]}`))},
		"many fields of 1Password":     {importing.OnePassword, packed(item(`{"loginFields":[` + many("{}", size) + `]}`))},
		"many sections of 1Password":   {importing.OnePassword, packed(item(`{"sections":[{"fields":[` + many("{}", size) + `]}]}`))},
		"many cells of a CSV":          {importing.CSV, []byte("url,username,password" + strings.Repeat(",", size))},
		"many cells of a later line":   {importing.CSV, []byte("url,username,password\n\"a\nb\"" + strings.Repeat(",\"\n\"", size/4))},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		entries, err := importing.Read(test.format, test.file)
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 250 {
			t.Errorf("%s: %d MiB for %d entries (%v)", name, took, len(entries), err)
		}
	}
}
