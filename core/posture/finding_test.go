package posture_test

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/posture"
	"postern/core/services"
	"postern/core/vault/vaulttest"
)

func TestEveryKindIsFoundOnceAndTheGravestFirst(t *testing.T) {
	h, other := pair(t)
	if found := h.findings(t, posture.Filter{}, 100); len(found) != 0 {
		t.Fatalf("an empty workspace has %v", found)
	}
	of := h.faulty(t)
	var order []string
	for _, one := range posture.Kinds() {
		order = append(order, string(one.Kind))
		found := h.findings(t, posture.Filter{Kind: one.Kind}, 100)
		want := map[posture.Kind]int{posture.PasswordReused: 2}[one.Kind]
		if want = max(want, 1); len(found) != want {
			t.Errorf("%s: %d findings, want %d", one.Kind, len(found), want)
			continue
		}
		first := found[0]
		if first.Severity != one.Severity || first.Why == "" || first.Next == "" || first.Name == "" || first.State == "" || first.ID.IsZero() {
			t.Errorf("%s: %+v", one.Kind, first)
		}
		if one.Account && (first.Account != of[one.Kind] || first.AppName == "") {
			t.Errorf("%s is about %s, want %s", one.Kind, first.Username, of[one.Kind])
		}
	}
	whole := h.findings(t, posture.Filter{}, 500)
	if got := kindsOf(whole); got != strings.Join(order, " ") {
		t.Errorf("the order is %s", got)
	}
	for _, size := range []int{1, 2, 7} {
		if diff := cmp.Diff(whole, h.findings(t, posture.Filter{}, size)); diff != "" {
			t.Errorf("in pages of %d: %s", size, diff)
		}
	}
	counted, err := h.Count(t.Context(), h.DB, h.id, posture.Filter{})
	coretest.Must(t, err)
	total := 0
	for _, one := range counted {
		total += one.Count
	}
	if total != len(whole) {
		t.Errorf("%d are counted, %d are found", total, len(whole))
	}
	for _, one := range whole {
		for _, theirs := range other.findings(t, posture.Filter{}, 500) {
			if one.ID == theirs.ID || !one.Account.IsZero() && one.Account == theirs.Account {
				t.Fatalf("the neighbour's %s is found", theirs.Name)
			}
		}
	}
	if reused := h.findings(t, posture.Filter{Kind: posture.PasswordReused}, 10); !strings.Contains(reused[0].Why, reused[1].Username) {
		t.Errorf("who has the same password: %s", reused[0].Why)
	}
}

func TestFilters(t *testing.T) {
	h, _ := pair(t)
	of := h.faulty(t)
	tagged := of[posture.Desynced]
	h.exec(t, `update accounts set tags = '{prod}' where workspace_id = @workspace and id = @account`, pgx.StrictNamedArgs{"account": tagged})
	h.share(t, of[posture.AtRisk], accounts.Subject{Team: h.teams["ops"]}, accounts.Owner, nil)
	for what, test := range map[string]struct {
		filter posture.Filter
		want   string
	}{
		"a tag":                   {posture.Filter{Tag: "Prod"}, "desynced"},
		"nobody's tag":            {posture.Filter{Tag: "test"}, ""},
		"an account":              {posture.Filter{Account: of[posture.PasswordWeak]}, "password_weak"},
		"a severity":              {posture.Filter{Severity: posture.Critical}, "at_risk service_known"},
		"a state":                 {posture.Filter{State: "blocked"}, "rotation_failing"},
		"a state of accounts":     {posture.Filter{State: "unmanaged"}, "unmanaged"},
		"an owning team":          {posture.Filter{Owner: h.teams["ops"]}, "at_risk"},
		"somebody in it":          {posture.Filter{Owner: h.people["ben"].ID}, "at_risk"},
		"nobody's owner":          {posture.Filter{Owner: h.people["ada"].ID}, ""},
		"a kind and its severity": {posture.Filter{Kind: posture.Desynced, Severity: posture.High}, "desynced"},
		"a kind of another":       {posture.Filter{Kind: posture.Desynced, Severity: posture.Low}, ""},
	} {
		if got := kindsOf(h.findings(t, test.filter, 100)); got != test.want {
			t.Errorf("%s: %q, want %q", what, got, test.want)
		}
	}
	both := len(h.findings(t, posture.Filter{App: h.apps[0].ID}, 100)) + len(h.findings(t, posture.Filter{App: h.apps[1].ID}, 100))
	if all := len(h.findings(t, posture.Filter{}, 100)); both != all-8 { // a token is of no app, nor are service accounts and partners
		t.Errorf("%d of the apps, %d in all", both, all)
	}
	for field, filter := range map[string]posture.Filter{"kind": {Kind: "else"}, "severity": {Severity: "else"}, "tag": {Tag: "a b"}, "state": {State: "\x00"}} {
		_, _, err := h.Findings(t.Context(), h.DB, h.id, posture.Query{Filter: filter})
		coretest.Wants(t, err, core.KindInvalid, field)
	}
	for _, cursor := range []string{"!", "Zm9v", base64.RawURLEncoding.EncodeToString([]byte("orphaned " + core.NewID().String() + " 7")),
		base64.RawURLEncoding.EncodeToString([]byte("password_stale " + core.NewID().String() + " 9223372036854775807")),
		base64.RawURLEncoding.EncodeToString([]byte("password_stale " + core.NewID().String() + " "))} {
		_, _, err := h.Findings(t.Context(), h.DB, h.id, posture.Query{After: cursor})
		coretest.Wants(t, err, core.KindInvalid, "cursor")
	}
}

// Whatever core/services tells of a service account is found until somebody resolves it, once for each service account, and costs the score
// what it is about owners.
func TestServiceAccountsAreFound(t *testing.T) {
	h, _ := pair(t)
	h.perfect(t)
	one, two := h.service(t, "one"), h.service(t, "two")
	score := func(want int) {
		t.Helper()
		found, err := h.Overview(t.Context(), h.DB, h.id)
		coretest.Must(t, err)
		if found.Score == nil || *found.Score != want || found.Services != 2 {
			t.Errorf("the score is %d of %+v, want %d", *found.Score, found.Parts, want)
		}
	}
	score(100)
	for _, kind := range services.FindingKinds {
		h.odd(t, one, kind, "before", "resolved")
		h.odd(t, one, kind, "a", "acknowledged")
		if len(h.findings(t, posture.Filter{State: "acknowledged"}, 10)) == 0 {
			t.Errorf("%s is found nowhere", kind)
		}
		h.odd(t, one, kind, "b", "open")
		h.odd(t, two, kind, "a", "open")
		h.exec(t, `update service_findings set state = 'resolved' where workspace_id = @workspace and kind <> @kind`, pgx.StrictNamedArgs{"kind": string(kind)})
		found := h.findings(t, posture.Filter{State: "open"}, 1)
		if len(found) != 2 || found[0].ID != one || found[1].ID != two || found[0].Why != "told of b (the latest of 2)" || found[1].Why != "told of a" || found[0].About != "service_account" {
			t.Errorf("%s: %+v", kind, found)
		}
		want := 100
		if kind == services.Ownerless || kind == services.OneOwner {
			want = 92
		}
		score(want)
		h.exec(t, `update service_findings set state = 'resolved' where workspace_id = @workspace`, nil)
	}
	if left := h.findings(t, posture.Filter{}, 10); len(left) != 0 {
		t.Errorf("what was resolved is found: %v", left)
	}
	// Of a token of Postern's it is told once.
	credential := core.NewID()
	h.exec(t, `insert into service_credentials (id, workspace_id, service_account_id, name, kind, held, consumers, overlap, created)
		values (@id, @workspace, @service, 'token', 'token', 'postern', '{}', '0', @now)`, pgx.StrictNamedArgs{"id": credential, "service": one, "now": h.clock.Now()})
	h.odd(t, one, services.ExpiresSoon, credential.String()+" 1", "open")
	if twice := h.findings(t, posture.Filter{}, 10); len(twice) != 0 {
		t.Errorf("it is told twice: %v", twice)
	}
}

func TestWhatIsOverIsNotFound(t *testing.T) {
	h, _ := pair(t)
	of := h.faulty(t)
	h.clock.Pass(15 * 24 * time.Hour)
	if got := kindsOf(h.findings(t, posture.Filter{}, 100)); strings.Contains(got, "grant_ending") || strings.Contains(got, "token_expiring") || strings.Contains(got, "link_old") {
		t.Errorf("what ended is found: %s", got)
	}
	weak := of[posture.PasswordWeak]
	h.rotate(t, weak, strong())
	if found := h.findings(t, posture.Filter{Account: weak}, 10); len(found) != 0 {
		t.Errorf("after a rotation: %v", found)
	}
}

func TestExports(t *testing.T) {
	h, _ := pair(t)
	h.faulty(t)
	evil := h.account(t, strong()).ID
	h.exec(t, `update accounts set username = '=cmd|'' /C calc''!A0', state_reason = '@sum(1+1), "quoted"' where workspace_id = @workspace and id = @account`, pgx.StrictNamedArgs{"account": evil})
	h.exec(t, `update apps set name = '-2+3' where workspace_id = @workspace and id = @app`, pgx.StrictNamedArgs{"app": h.apps[0].ID})
	want := h.findings(t, posture.Filter{}, 500)
	var text bytes.Buffer
	coretest.Must(t, h.Export(t.Context(), h.DB, h.id, posture.Filter{}, posture.CSV, &text))
	rows, err := csv.NewReader(&text).ReadAll()
	coretest.Must(t, err)
	if len(rows) != len(want)+1 || rows[0][0] != "kind" {
		t.Fatalf("%d rows of %d findings", len(rows), len(want))
	}
	guarded := 0
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("a formula: %q", cell)
			}
			if strings.HasPrefix(cell, "'=cmd") || strings.HasPrefix(cell, "'@sum") || strings.HasPrefix(cell, "'-2") {
				guarded++
			}
		}
	}
	if guarded < 3 {
		t.Errorf("%d cells are guarded", guarded)
	}
	text.Reset()
	coretest.Must(t, h.Export(t.Context(), h.DB, h.id, posture.Filter{Kind: posture.Orphaned}, posture.JSONL, &text))
	var one posture.Finding
	coretest.Must(t, json.Unmarshal(text.Bytes(), &one))
	if one.Kind != posture.Orphaned || one.Next == "" || strings.Count(text.String(), "\n") != 1 {
		t.Errorf("%s", text.String())
	}
}

// What is kept of a password tells equal ones from others, and nothing of it stands anywhere.
func TestPasswordsAreFoundWithoutBeingRevealed(t *testing.T) {
	h, other := pair(t)
	const canary = "Canary4b1dPlanted9e"
	one, two := h.account(t, canary), h.account(t, canary)
	other.account(t, canary)
	if found := h.findings(t, posture.Filter{Kind: posture.PasswordReused}, 10); len(found) != 2 {
		t.Fatalf("%d are found", len(found))
	}
	vaulttest.NotInClear(t, h.DB, canary)
	fingerprints := func(h *house) (all []string) {
		rows, err := h.DB.Query(t.Context(), `select encode(fingerprint, 'hex') from credential_versions where workspace_id = $1 and fingerprint is not null order by account_id`, h.id)
		coretest.Must(t, err)
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		coretest.Must(t, err)
		return all
	}
	ours := fingerprints(h)
	if len(ours) != 2 || ours[0] != ours[1] {
		t.Fatalf("of one password: %v", ours)
	}
	if slices.Contains(fingerprints(other), ours[0]) {
		t.Error("another workspace has the same fingerprint of it")
	}
	h.rotate(t, one.ID, strong())
	if found := h.findings(t, posture.Filter{Kind: posture.PasswordReused}, 10); len(found) != 0 {
		t.Errorf("after one was rotated: %v", found)
	}
	if kept := h.count(t, `select count(*) from credential_versions where workspace_id = @workspace and fingerprint is not null`, nil); kept != 2 {
		t.Errorf("%d fingerprints of 2 current passwords", kept)
	}
	_ = two
}
