package cli_test

import (
	"strings"
	"testing"
)

func TestReceiver(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("globex")
	at := func(workspace string, arguments ...string) []string {
		return append(append([]string{"receiver"}, arguments...), "--workspace", workspace, "--public-url", "https://postern.example.com")
	}
	made := d.json(at("acme", "add", "Globex")...)
	if made["issuer"] != "https://postern.example.com/ssf/"+strings.TrimSuffix(strings.TrimPrefix(made["token_endpoint"].(string), "https://postern.example.com/ssf/"), "/token") ||
		!strings.HasPrefix(made["client_secret"].(string), "pst_api_") || made["status"] != "none" || made["sessions"] != true || made["accounts"] != false {
		t.Errorf("%v", made)
	}
	d.refused(5, "", at("acme", "add", "Globex")...)
	if shown := d.json(at("acme", "show", "Globex")...); shown["client_secret"] != nil || shown["id"] != made["id"] {
		t.Errorf("%v", shown)
	}
	if changed := d.json(at("acme", "change", "Globex", "--accounts", "--no-sessions", "--subject-format", "iss_sub")...); changed["accounts"] != true || changed["sessions"] != false || changed["subject_format"] != "iss_sub" {
		t.Errorf("%v", changed)
	}
	d.refused(4, "there is no such stream", at("acme", "status", "Globex", "paused")...)
	d.refused(4, "there is no such receiver", at("globex", "show", "Globex")...)
	// The secret is replaced without a gap.
	second := d.json(at("acme", "secret", "Globex")...)
	if text, _ := second["client_secret"].(string); !strings.HasPrefix(text, "pst_api_") || text == made["client_secret"] {
		t.Errorf("%v", second)
	}
	d.refused(5, "both slots hold a live secret", at("acme", "secret", "create", "Globex")...)
	secrets := d.json(at("acme", "secret", "list", "Globex")...)["secrets"].([]any)
	if len(secrets) != 2 || secrets[1].(map[string]any)["id"] != second["id"] {
		t.Fatalf("%v", secrets)
	}
	first := secrets[0].(map[string]any)["id"].(string)
	d.refused(2, "not the token", at("acme", "secret", "revoke", "Globex", made["client_secret"].(string))...)
	d.refused(4, "there is no such receiver", at("globex", "secret", "revoke", "Globex", first)...)
	d.do(at("acme", "secret", "revoke", "Globex", first)...)
	d.refused(4, "there is no such secret", at("acme", "secret", "revoke", "Globex", first)...)
	if left := d.json(at("acme", "secret", "list", "Globex")...)["secrets"].([]any); len(left) != 1 || left[0].(map[string]any)["id"] != second["id"] {
		t.Errorf("%v", left)
	}
	if listed := d.json(at("acme", "list")...)["receivers"].([]any); len(listed) != 1 {
		t.Errorf("%v", listed)
	}
	d.do(at("acme", "remove", "Globex")...)
	d.refused(4, "there is no such receiver", at("acme", "show", "Globex")...)
}

func TestLogoutTarget(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("globex")
	at := func(workspace string, arguments ...string) []string {
		return append(append([]string{"logout-target"}, arguments...), "--workspace", workspace, "--public-url", "https://postern.example.com")
	}
	d.refused(2, "https is needed", at("acme", "add", "Wiki", "http://wiki.example/logout", "--client-id", "wiki")...)
	made := d.json(at("acme", "add", "Wiki", "https://wiki.example/logout", "--client-id", "wiki")...)
	if made["kind"] != "back_channel" || made["state"] != "running" || made["subject_format"] != "email" {
		t.Errorf("%v", made)
	}
	d.do(at("acme", "state", "Wiki", "paused")...)
	if shown := d.json(at("acme", "show", "Wiki")...); shown["state"] != "paused" {
		t.Errorf("%v", shown)
	}
	if again := d.json(at("acme", "retry", "Wiki")...); again["messages"] != 0.0 {
		t.Errorf("%v", again)
	}
	if listed := d.json(at("globex", "list")...)["logout_targets"].([]any); len(listed) != 0 {
		t.Errorf("%v", listed)
	}
	d.do(at("acme", "remove", "Wiki")...)
	d.refused(4, "there is no such logout target", at("acme", "show", "Wiki")...)
}
