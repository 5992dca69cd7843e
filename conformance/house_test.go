package conformance

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors say who may import whom: a package imports only packages on lower floors. The longest
// matching path decides. Packages that end in "test" are helpers of tests and stand outside.
var floors = map[string]int{
	"gateway/cmd/postern": 13,
	"gateway/cli":         12,
	"deploy/tools":        12,
	"gateway":             11,
	"deploy/local":        11,
	"scim":                10,
	"oidc":                10,
	"webhooks":            10,
	"connectors":          10,
	"siem":                10,
	"conformance":         10,
	"core/signals":        9,
	"core/reviews":        9,
	"core/posture":        9,
	"core/lifecycle":      8,
	"core/importing":      6,
	"core/certificates":   7,
	"core/health":         7,
	"core/dryruns":        7,
	"core/links":          7,
	"core/services":       7,
	"core/policies":       6,
	"core/rotation":       5,
	"core/mailbox":        5,
	"core/statements":     5,
	"core/accounts":       4,
	"core/mail":           4,
	"core/signing":        4,
	"core/directory":      3,
	"core/vault":          3,
	"core/proof":          3,
	"core/passwordrules":  2,
	"core/audit":          2,
	"core/jobs":           2,
	"core/journal":        2,
	"core/idempotency":    2,
	"core/postgres":       1,
	"core/seal":           1,
	"core/jwt":            1,
	"core":                0,
}

// apart are groups on one floor that never import each other.
var apart = [][]string{
	{"scim", "oidc", "webhooks", "connectors", "siem", "conformance"},
	{"core/accounts", "core/signing", "core/mail"},
	{"core/directory", "core/vault"},
	{"core/audit", "core/jobs", "core/journal", "core/idempotency"},
	{"core/postgres", "core/seal", "core/jwt"},
	{"gateway", "deploy/local"},
}

// only says which packages may import a module; everybody else is refused.
var only = map[string][]string{
	"github.com/riverqueue/":         {"core/jobs"},
	"github.com/segmentio/kafka-go":  {"siem/stream", "deploy/local/broker"},
	"github.com/twmb/franz-go":       {"deploy/local/broker"},
	"github.com/zitadel/oidc":        {"oidc"},
	"github.com/chromedp/":           {"connectors/browser"},
	"github.com/elimity-com/scim":    {"scim"},
	"github.com/gin-gonic/gin":       {"gateway", "scim", "oidc", "webhooks"},
	"github.com/danielgtaylor/huma/": {"gateway/api"},
	"github.com/alecthomas/kong":     {"gateway/cli"},
	"github.com/ccojocar/zxcvbn-go":  {"core/accounts"},
	"github.com/pquerna/otp":         {"core/accounts"},
	"github.com/jotaen/":             {"gateway/cli"},
	"github.com/wneessen/go-mail":    {"connectors/smtp"},
	"github.com/makiuchi-d/gozxing":  {"connectors/browser"},
	"github.com/emersion/":           {"webhooks/inbox"},
	"blitiri.com.ar/":                {"webhooks/inbox"},
	"github.com/go-ldap/ldap":        {"connectors/ldap"},
	"github.com/go-sql-driver/mysql": {"connectors/mysql"},
	"golang.org/x/crypto/ssh":        {"connectors/ssh"},
	"github.com/goccy/go-yaml":       {"connectors/http"},
	"github.com/hashicorp/go-plugin": {"connectors/plugin"},
	"github.com/hashicorp/go-hclog":  {"connectors/plugin"},
	"google.golang.org/grpc":         {"connectors/plugin"},
	"go.opentelemetry.io/proto/":     {"siem/otlp"},
	"golang.org/x/mod":               {"core/proof"},
	"golang.org/x/sys":               {"connectors/plugin", "gateway/cli"},
}

// pure packages do no I/O.
var pure = map[string][]string{
	"core":      {"net", "net/http", "os", "database/sql", "github.com/jackc/pgx/v5"},
	"core/seal": {"net", "net/http", "os", "database/sql", "github.com/jackc/pgx/v5"},
	"core/jwt":  {"net", "net/http", "os", "database/sql", "github.com/jackc/pgx/v5"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	Name       string
	Imports    []string
	Deps       []string
	GoFiles    []string
}

func list(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Name,Imports,Deps,GoFiles", "./...")
	command.Dir = ".."
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(output); ; {
		var one goPackage
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, one)
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(packages) < 20 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	return packages
}

// room is the path inside the module; ok is false for packages of others.
func room(path string) (string, bool) { return strings.CutPrefix(path, "postern/") }

func helper(path string) bool { return strings.HasSuffix(path, "test") }

// floor returns the floor of a room and the entry of floors it came from.
func floor(t *testing.T, path string) (int, string) {
	t.Helper()
	for at := path; at != "."; at = filepath.Dir(at) {
		if number, ok := floors[at]; ok {
			return number, at
		}
	}
	t.Fatalf("package %s stands on no floor: add it to the house", path)
	return 0, ""
}

func TestArrowsPointDown(t *testing.T) {
	for _, one := range list(t) {
		from, _ := room(one.ImportPath)
		if helper(from) {
			continue
		}
		level, entry := floor(t, from)
		for _, imported := range one.Imports {
			to, ours := room(imported)
			if !ours {
				continue
			}
			below, other := floor(t, to)
			switch {
			case helper(to):
				t.Errorf("%s imports the test helper %s", from, to)
			case below > level:
				t.Errorf("%s (floor %d) imports %s (floor %d): arrows point down", from, level, to, below)
			case below == level && entry != other:
				t.Errorf("%s imports %s on the same floor", from, to)
			}
		}
		for _, group := range apart {
			if !slices.Contains(group, entry) {
				continue
			}
			for _, imported := range one.Imports {
				if to, ours := room(imported); ours {
					if _, other := floor(t, to); other != entry && slices.Contains(group, other) {
						t.Errorf("%s imports %s: these are kept apart", from, to)
					}
				}
			}
		}
	}
}

func TestModulesStayInTheirRooms(t *testing.T) {
	for _, one := range list(t) {
		from, _ := room(one.ImportPath)
		if helper(from) {
			continue
		}
		for _, imported := range one.Imports {
			for module, rooms := range only {
				if strings.HasPrefix(imported, module) && !slices.ContainsFunc(rooms, func(r string) bool { return from == r || strings.HasPrefix(from, r+"/") }) {
					t.Errorf("%s imports %s, which is for %v alone", from, imported, rooms)
				}
			}
			if slices.Contains(pure[from], imported) {
				t.Errorf("%s imports %s: it does no I/O", from, imported)
			}
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	for _, one := range list(t) {
		from, _ := room(one.ImportPath)
		want := "Package " + one.Name + " "
		if one.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(one.Doc, want) {
			t.Errorf("%s: the package comment begins %q, want %q", from, one.Doc, want)
		}
		if one.Name != "main" && len(one.GoFiles) > 0 && !slices.Contains(one.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", from)
		}
	}
}

func TestBinaryHoldsNoTestHelper(t *testing.T) {
	packages := list(t)
	at := slices.IndexFunc(packages, func(one goPackage) bool { return one.ImportPath == "postern/gateway/cmd/postern" })
	if at < 0 {
		t.Fatal("the binary's package was not found")
	}
	for _, one := range packages {
		from, _ := room(one.ImportPath)
		switch {
		case one.ImportPath != packages[at].ImportPath && !slices.Contains(packages[at].Deps, one.ImportPath):
		case helper(from):
			t.Errorf("the binary links %s", one.ImportPath)
		case slices.Contains(one.Imports, "testing"): // go-plugin brings it along; nothing of ours does
			t.Errorf("%s is in the binary, and imports testing", one.ImportPath)
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	allowed := []string{"gateway", "scim", "oidc", "webhooks", "connectors", "siem", "core", "deploy", "conformance"}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && entry.Name() != "bin" && !slices.Contains(allowed, entry.Name()) {
			t.Errorf("%s is no room of the house", entry.Name())
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	for _, one := range list(t) {
		for _, file := range one.GoFiles {
			text, err := os.ReadFile(filepath.Join(one.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if lines := strings.Count(string(text), "\n"); lines > 600 && !strings.Contains(string(text), "// Code generated by ") {
				t.Errorf("%s/%s has %d lines: is it one noun or one verb?", one.ImportPath, file, lines)
			}
		}
	}
}
