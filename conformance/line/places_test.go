package line

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"

	"postern/core"
	"postern/core/seal"
	"postern/deploy/local"
	"postern/deploy/local/demo"
)

// place is somewhere a secret could have been left. The markers are known to be there: a search
// that does not find them looks at nothing.
type place struct {
	name    string
	text    []byte
	markers []string
}

// clean looks for every planted secret in every place. username is of an account that was rotated.
func (s *stage) clean(t *testing.T, username string) {
	t.Helper()
	rotation := ""
	for _, account := range ask[listed[demo.Account]](t, s.API, "/accounts?limit=500").Items {
		for _, one := range s.rotations(t, account.ID) {
			if account.Username == username && one.Receipt != nil {
				rotation = one.ID.String()
			}
		}
	}
	if rotation == "" {
		t.Fatalf("no rotation of %s has a receipt", username)
	}
	owner := s.inside(t, "okta", local.OwnerName)
	received, err := os.ReadFile(s.Folder.In("receiver", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	tables, pictures := s.tables(t)
	evidence, more := s.evidence(t)
	pictures = append(pictures, more...)
	for _, found := range []place{
		{"postern's log", []byte(s.log.String()), []string{rotation, `"level":"DEBUG"`, "/scim/v2/"}},
		{"Kafka", s.records(t), []string{username, rotation, "ce_correlation"}},
		{"the receiver", received, []string{username, rotation}},
		// The hash of a token stands in a bytea column: those are searched too.
		{"the database", tables, []string{username, rotation, hex.EncodeToString(seal.HashToken(s.Stack.APIToken)), "rotation.step", "HeadlessChrome"}},
		{"the metrics", []byte(s.send(t, sent{Method: http.MethodGet, Path: "/metrics"}).text), []string{"postern_http_request_duration_seconds", `route="/scim/v2/*path"`}},
		{"the evidence of the rotations", evidence, []string{"HeadlessChrome", "old_dead", "rejected"}},
		{"the pictures", bytes.Join(pictures, nil), []string{"\x89PNG"}},
		{"the API", s.apiPages(t), []string{username, rotation, "checkpoint_signed"}},
		{"the console", owner.pages(t, s), []string{username, rotation[:8], "<html"}},
		{"the command lines", s.commandLines(t), []string{"serve", "--headless"}},
	} {
		if found.text == nil {
			t.Logf("%s: this machine does not show them", found.name)
			continue
		}
		for _, marker := range found.markers {
			if !bytes.Contains(found.text, []byte(marker)) {
				t.Errorf("%s: what was searched does not hold %q", found.name, marker)
			}
		}
		for _, secret := range s.secrets.in(found.text) {
			t.Errorf("%s: holds %s", found.name, secret)
		}
		t.Logf("%s: %d bytes searched", found.name, len(found.text))
	}
	for _, picture := range pictures {
		if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
			t.Errorf("a picture is none: %v", err)
		}
	}
	s.secrets.mutex.Lock()
	defer s.secrets.mutex.Unlock()
	t.Logf("%d secrets in %d forms, %d pictures", len(s.secrets.known), len(forms("any")), len(pictures))
}

// records are all records of the topic: keys, headers and values.
func (s *stage) records(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(s.Broker.Address), Timeout: 15 * time.Second}
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, topic := range metadata.Topics {
		for _, partition := range topic.Partitions {
			bounds, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic.Name: {kafka.FirstOffsetOf(partition.ID), kafka.LastOffsetOf(partition.ID)}}})
			if err != nil {
				t.Fatal(err)
			}
			bound := bounds.Topics[topic.Name][0]
			reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{s.Broker.Address}, Topic: topic.Name, Partition: partition.ID, MaxBytes: 8 << 20, MaxWait: 250 * time.Millisecond})
			if err := reader.SetOffset(bound.FirstOffset); err != nil {
				t.Fatal(err)
			}
			for next := bound.FirstOffset; next < bound.LastOffset; {
				message, err := reader.ReadMessage(ctx)
				if err != nil {
					t.Fatalf("%s/%d at %d of %d: %v", topic.Name, partition.ID, next, bound.LastOffset, err)
				}
				next = message.Offset + 1
				fmt.Fprintf(&all, "%s/%d/%d\n%s\n", topic.Name, partition.ID, message.Offset, message.Key)
				for _, header := range message.Headers {
					fmt.Fprintf(&all, "%s: %s\n", header.Key, header.Value)
				}
				all.Write(append(message.Value, '\n'))
			}
			if err := reader.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all.Bytes()
}

// tables are all columns of all rows of all tables, as text: what is binary in hexadecimal and as it
// is. Pictures are given apart.
func (s *stage) tables(t *testing.T) ([]byte, [][]byte) {
	t.Helper()
	rows, err := s.DB.Query(t.Context(), `select quote_ident(table_schema) || '.' || quote_ident(table_name) from information_schema.tables
		where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Fatalf("only %d tables were found: %v", len(names), names)
	}
	var all leaves
	for _, name := range names {
		rows, err := s.DB.Query(t.Context(), `select to_jsonb(t) from `+name+` t`)
		if err != nil {
			t.Fatal(err)
		}
		values, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			all.add(t, name, value)
		}
	}
	return all.text.Bytes(), all.pictures
}

// evidence is what the steps of all rotations tell at the API.
func (s *stage) evidence(t *testing.T) ([]byte, [][]byte) {
	t.Helper()
	var all leaves
	for _, account := range ask[listed[demo.Account]](t, s.API, "/accounts?limit=500").Items {
		for _, one := range s.rotations(t, account.ID) {
			all.add(t, "/rotations/"+one.ID.String(), ask[json.RawMessage](t, s.API, "/rotations/"+one.ID.String()))
		}
	}
	return all.text.Bytes(), all.pictures
}

// leaves collects the texts of JSON values without JSON's escapes.
type leaves struct {
	text     bytes.Buffer
	pictures [][]byte
}

func (l *leaves) add(t *testing.T, where string, value []byte) {
	t.Helper()
	var decoded any
	if err := json.Unmarshal(value, &decoded); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	l.walk(where, decoded)
}

func (l *leaves) walk(where string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, one := range value {
			l.walk(where+"."+name, one)
		}
	case []any:
		for _, one := range value {
			l.walk(where, one)
		}
	case string:
		if picture, err := base64.StdEncoding.DecodeString(value); err == nil && bytes.HasPrefix(picture, []byte("\x89PNG")) {
			l.pictures = append(l.pictures, picture)
		}
		fmt.Fprintf(&l.text, "%s: %s\n", where, value)
		if digits, binary := strings.CutPrefix(value, `\x`); binary {
			if raw, err := hex.DecodeString(digits); err == nil {
				l.text.Write(append(raw, '\n'))
			}
		}
	default:
		fmt.Fprintf(&l.text, "%s: %v\n", where, value)
	}
}

// apiPages is everything the API shows a service account that may read everything.
func (s *stage) apiPages(t *testing.T) []byte {
	t.Helper()
	paths := []string{
		"/openapi.json", "/apps", "/accounts?limit=500", "/users?limit=200", "/teams?limit=200", "/connections", "/events?limit=1000", "/audit/checkpoints", "/sinks",
	}
	for _, account := range ask[listed[demo.Account]](t, s.API, "/accounts?limit=500").Items {
		for _, part := range []string{"", "/grants", "/exposures", "/rotations?limit=500"} {
			paths = append(paths, "/accounts/"+account.ID.String()+part)
		}
	}
	var all bytes.Buffer
	for _, path := range paths {
		got := s.send(t, sent{Method: http.MethodGet, Path: "/api/v1" + path, Token: s.Stack.APIToken})
		if got.status != http.StatusOK {
			t.Fatalf("GET %s: %d %s", path, got.status, got.text)
		}
		all.WriteString(got.text)
	}
	return all.Bytes()
}

// pages is every page of the console.
func (g *guest) pages(t *testing.T, s *stage) []byte {
	t.Helper()
	paths := []string{"/", "/activity", "/users", "/sso", "/sign-in"}
	for _, account := range ask[listed[struct{ ID core.ID }]](t, s.API, "/accounts?limit=500").Items {
		paths = append(paths, "/accounts/"+account.ID.String())
	}
	var all bytes.Buffer
	for _, path := range paths {
		page, err := g.Get(t.Context(), s.Stack.Gateway+path)
		if err != nil {
			t.Fatal(err)
		}
		if page.Status != http.StatusOK {
			t.Fatalf("GET %s: %d", path, page.Status)
		}
		all.WriteString(page.Text)
	}
	return all.Bytes()
}

// commandLines are those of postern and of what it started, which every user of a machine may read;
// and their environments.
func (s *stage) commandLines(t *testing.T) []byte {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	ours := map[int]bool{s.process.Process.Pid: true}
	parents := map[int]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// "pid (name) state parent …"; a name may hold anything but its closing bracket is the last.
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(fields[1])
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, parent := range parents {
			if ours[parent] && !ours[pid] {
				ours[pid], grown = true, true
			}
		}
	}
	var all bytes.Buffer
	for pid := range ours {
		for _, name := range []string{"cmdline", "environ"} {
			file, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), name))
			if err != nil {
				continue
			}
			_, _ = io.Copy(&all, file)
			_ = file.Close()
			all.WriteByte('\n')
		}
	}
	return all.Bytes()
}
