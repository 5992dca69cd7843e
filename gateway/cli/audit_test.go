package cli_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/proof"
	"postern/siem/ocsf"
)

var auditPublic, auditKey, _ = ed25519.GenerateKey(nil)

// signed has the log written, with a checkpoint of every workspace, and gives the file of the keys.
func (f *far) signed() string {
	f.t.Helper()
	if err := proof.Remember(f.t.Context(), f.db, auditPublic, time.Now()); err != nil {
		f.t.Fatal(err)
	}
	stop := coretest.Run(f.t, (&audit.Sequencer{DB: f.db, Key: auditKey, CheckpointEvery: 3}).Run)
	coretest.Until(f.t, "the log is written", func() bool {
		backlog, err := audit.ReadBacklog(f.t.Context(), f.db, time.Now())
		return err == nil && backlog.Unsequenced == 0
	})
	stop()
	path := filepath.Join(f.t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(f.ask("acme", "audit", "keys", "--output", "json")), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func TestAuditFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	globex := d.workspace("globex")
	f := d.far("acme", "globex")
	for _, name := range []string{"Wiki", "Sum", "Mail", "CRM"} {
		f.app(acme, name)
	}
	f.app(globex, "Elsewhere")
	keys := f.signed()
	if table := f.ask("acme", "audit", "keys"); !strings.Contains(table, proof.KeyOf(auditPublic).Fingerprint) {
		t.Error(table)
	}
	path := filepath.Join(t.TempDir(), "acme.jsonl")
	said := f.ask("acme", "audit", "export", "--output", path, "--key", keys)
	if !strings.Contains(said, "Whole and unchanged") || !strings.Contains(said, acme.String()) || !strings.Contains(said, "which you trust") || !strings.Contains(said, "Postern test") {
		t.Fatal(said)
	}
	file, err := os.ReadFile(path)
	if err != nil || bytes.Contains(file, []byte("Elsewhere")) {
		t.Fatalf("%v\n%s", err, file)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(path + ".part"); !os.IsNotExist(err) {
		t.Error("the part is still there")
	}
	if printed := f.ask("acme", "audit", "export", "--output", "-"); strings.Count(printed, "\n") != bytes.Count(file, []byte("\n")) {
		t.Error(printed)
	}

	// Offline: neither --url nor a token.
	code, out, told := run("audit", "verify", path, "--key", keys, "--json")
	if code != 0 || told != "" || !strings.Contains(out, `"trusted_keys": true`) {
		t.Fatalf("%d %s%s", code, out, told)
	}
	if code, out, told := run("audit", "verify", path); code != 0 || !strings.Contains(out, "Compare its SHA-256 fingerprint") {
		t.Fatalf("%d %s%s", code, out, told)
	}
	if code, out, told := run("audit", "verify", path, "--key", keys, "--earlier", path); code != 0 {
		t.Fatalf("%d %s%s", code, out, told)
	}

	stranger, _, _ := ed25519.GenerateKey(nil)
	write := func(text []byte) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := write([]byte(base64.StdEncoding.EncodeToString(stranger)))
	line := bytes.Index(file, []byte(`{"sequence":2,`))
	for name, one := range map[string]struct {
		file []byte
		code int
		says string
		with []string
	}{
		"a letter":          {bytes.Replace(file, []byte("Wiki"), []byte("Wika"), 1), 5, "does not have the hash of its content", nil},
		"a line is gone":    {append(bytes.Clone(file[:line]), file[line+bytes.IndexByte(file[line:], '\n')+1:]...), 5, "record 2 is missing", nil},
		"the end":           {file[:len(file)-10], 5, "", nil},
		"no manifest":       {file[:bytes.LastIndexByte(file[:len(file)-1], '\n')+1], 5, "before its manifest", nil},
		"another key":       {file, 3, "not among those you trust", []string{"--key", other}},
		"another workspace": {file, 5, "this is an export of the workspace", []string{"--workspace", globex.String()}},
		"no file of ours":   {[]byte("hello\n"), 5, "line 1: this line is no JSON", nil},
		"nothing":           {nil, 2, "there is nothing in it", nil},
		"no id":             {file, 2, "--workspace", []string{"--workspace", "acme"}},
		"no keys":           {file, 2, "--key", []string{"--key", path}},
		"no earlier":        {file, 2, "--earlier", []string{"--earlier", other}},
	} {
		with := append([]string{"audit", "verify", write(one.file)}, one.with...)
		if !strings.Contains(strings.Join(with, " "), "--key") {
			with = append(with, "--key", keys)
		}
		if code, out, told := run(with...); code != one.code || !strings.Contains(told, one.says) || one.code != 2 && !strings.Contains(out, "WRONG") {
			t.Errorf("%s: %d\n%s%s", name, code, out, told)
		}
	}
	if code, _, told := run("audit", "verify", filepath.Join(t.TempDir(), "nowhere")); code != 2 || !strings.Contains(told, "there is no") {
		t.Errorf("%d %s", code, told)
	}

	t.Run("one event", func(t *testing.T) {
		first := f.rows("acme", "activity", "list", "--oldest-first", "--limit", "1")[0]["event"].(map[string]any)["id"].(string)
		proved := filepath.Join(t.TempDir(), "proof.json")
		f.ask("acme", "audit", "prove", first, "--output", proved)
		if code, out, told := run("audit", "verify", proved, "--key", keys); code != 0 || !strings.Contains(out, "Proved") || !strings.Contains(out, first) {
			t.Fatalf("%d %s%s", code, out, told)
		}
		if again := f.ask("acme", "audit", "prove", "2"); !strings.HasPrefix(again, `{"proof":`) {
			t.Error(again)
		}
		f.denied(4, "no such event", "globex", "audit", "prove", first)
		f.denied(4, "no such event", "acme", "audit", "prove", "4711")
		f.denied(2, "the id of an event", "acme", "audit", "prove", "first")
	})

	t.Run("a SIEM's copy", func(t *testing.T) {
		var copied bytes.Buffer
		records, err := audit.List(t.Context(), f.db, acme, audit.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for i, record := range records {
			text, err := ocsf.Mapper{}.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			switch i % 3 {
			case 0:
				copied.Write(append(text, '\n'))
			case 1: // as Splunk exports it
				copied.WriteString(`{"preview":false,"result":{"_raw":` + quoted(string(text)) + `}}` + "\n")
			case 2: // as the event collector takes it
				copied.WriteString(`{"time":1790000000.123,"sourcetype":"postern:ocsf","event":` + string(text) + "}\n")
			}
		}
		// The newest events have no checkpoint yet, or the very last one is it.
		if code, out, told := run("audit", "verify", write(copied.Bytes()), "--key", keys); code != 7 && code != 0 || !strings.Contains(out, "without a gap") {
			t.Fatalf("%d %s%s", code, out, told)
		}
		if code, _, told := run("audit", "verify", write(copied.Bytes())); code != 7 || !strings.Contains(told, "--key") {
			t.Fatalf("%d %s", code, told)
		}
		if code, out, told := run("audit", "verify", write(bytes.Replace(copied.Bytes(), []byte(`"event_code":"app.created"`), []byte(`"event_code":"app.updated"`), 1)), "--key", keys); code != 5 || !strings.Contains(told, "another id, type, time") {
			t.Fatalf("%d %s%s", code, out, told)
		}
	})

	t.Run("the connection breaks off", func(t *testing.T) {
		target, err := url.Parse(f.url)
		if err != nil {
			t.Fatal(err)
		}
		var asked atomic.Int32
		var have []string
		way := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			number := int(asked.Add(1))
			have = append(have, request.URL.Query().Get("have"))
			recorded := httptest.NewRecorder()
			httputil.NewSingleHostReverseProxy(target).ServeHTTP(recorded, request)
			text := recorded.Body.Bytes()
			writer.Header().Set("Content-Type", "application/jsonl")
			if number < 4 { // further each time, in the middle of a line
				_, _ = writer.Write(text[:min(len(text), 1500)])
				_ = http.NewResponseController(writer).Flush()
				panic(http.ErrAbortHandler)
			}
			_, _ = writer.Write(text)
		}))
		defer way.Close()
		path := filepath.Join(t.TempDir(), "broken.jsonl")
		code, out, told := run("audit", "export", "--output", path, "--key", keys, "--url", way.URL, "--token-file", f.tokens["acme"])
		if code != 0 || !strings.Contains(out, "Whole and unchanged") {
			t.Fatalf("%d %s%s", code, out, told)
		}
		if len(have) != 4 || have[0] != "" || have[3] == "" || have[2] == have[3] {
			t.Errorf("asked for what is behind %q", have)
		}
		// Nothing came at all, again and again: what is there stays for the next time.
		dead := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
			_, _ = writer.Write([]byte(`{"export":`))
			_ = http.NewResponseController(writer).Flush()
			panic(http.ErrAbortHandler)
		}))
		defer dead.Close()
		code, _, told = run("audit", "export", "--output", path+"2", "--url", dead.URL, "--token-file", f.tokens["acme"])
		if code != 6 || !strings.Contains(told, "the same command goes on") {
			t.Errorf("%d %s", code, told)
		}
		if _, err := os.Stat(path + "2.part"); err != nil {
			t.Error(err)
		}
		if code, out, told := run("audit", "export", "--output", path+"2", "--key", keys, "--url", f.url, "--token-file", f.tokens["acme"]); code != 0 || !strings.Contains(out, "Whole") {
			t.Errorf("%d %s%s", code, out, told)
		}
		token := strings.TrimSpace(read(t, "file:"+f.tokens["acme"]))
		if code, out, told := run("audit", "export", "--url", f.url, "--token", token, "--output", path+"4", "--key", keys); code != 0 || !strings.Contains(out, "Whole") {
			t.Errorf("with the token itself: %d %s%s", code, out, told)
		}
		if code, _, told := run("audit", "export", "--url", f.url, "--token", token+" more", "--output", path+"5"); code != 2 || !strings.Contains(told, "--token") || strings.Contains(told, token) {
			t.Errorf("with no token: %d %s", code, told)
		}
		if err := os.WriteFile(path+"3.part", []byte("a letter to somebody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, told := run("audit", "export", "--output", path+"3", "--url", f.url, "--token-file", f.tokens["acme"]); code != 2 || !strings.Contains(told, "no export") {
			t.Errorf("%d %s", code, told)
		}
	})
}

func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
