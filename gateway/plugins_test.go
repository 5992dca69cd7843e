package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/rotation"
)

func TestAPluginIsAConnector(t *testing.T) {
	path := filepath.Join(t.TempDir(), "office")
	if said, err := exec.Command("go", "build", "-o", path, "postern/connectors/plugin/template").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	listed := "office=sha256:" + hex.EncodeToString(sum[:]) + ":" + path
	open := func(listed string) (*Gateway, rotation.Connectors, error) {
		g := &Gateway{config: Config{Roles: []string{RoleWorker}, Plugins: []string{listed}}}
		made, err := g.connectors()
		t.Cleanup(func() {
			for _, one := range g.plugins {
				_ = one.Close()
			}
		})
		return g, made, err
	}
	g, made, err := open(listed)
	partstest.Need(t, "browser", err)
	if _, changes := made["office"].(rotation.Changer); !changes || len(g.plugins) != 1 {
		t.Errorf("%v", made)
	}
	check := g.config.settings()["office"]
	if check == nil || check(json.RawMessage(`{"anything": 1}`)) != nil || core.KindOf(check(json.RawMessage(`[]`))) != core.KindInvalid || settings["office"] != nil {
		t.Error("its settings are checked in another way")
	}
	// Whoever has written to the file since has made another program.
	if err := os.WriteFile(path+"2", append(program, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(listed + "2"); core.KindOf(err) != core.KindDenied {
		t.Errorf("tampered: %v", err)
	}
}

func TestPluginsAreListedInOneForm(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	if given, err := parsePlugin("office=sha256:" + sum + ":/opt/a:b"); err != nil || given.Name != "office" || given.Path != "/opt/a:b" || len(given.SHA256) != 32 {
		t.Errorf("%+v, %v", given, err)
	}
	for _, text := range []string{
		"", "office", "office=/opt/office", "office=sha256:" + sum, "office=sha256:abcd:/opt/office", "office=sha256:" + sum + ":opt/office", "office=" + sum + ":/opt/office",
		"Office=sha256:" + sum + ":/opt/office", "browser=sha256:" + sum + ":/opt/office", "=sha256:" + sum + ":/opt/office", "office=sha256:" + strings.Repeat("zz", 32) + ":/opt/office",
	} {
		if _, err := parsePlugin(text); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	twice := Config{Plugins: []string{"a=sha256:" + sum + ":/x", "a=sha256:" + sum + ":/y", "browser=sha256:" + sum + ":/z"}}
	if err := twice.Validate(); !strings.Contains(err.Error(), "listed twice") || !strings.Contains(err.Error(), "comes with Postern") {
		t.Error(err)
	}
}
