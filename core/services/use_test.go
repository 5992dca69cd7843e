package services_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/services"
)

// opened wants findings of exactly these kinds to be open, and clears them.
func (s *side) opened(t coretest.T, kinds ...services.FindingKind) {
	t.Helper()
	live, _ := s.findings(t)
	if len(live) != len(kinds) {
		t.Fatalf("%v, want %v", live, kinds)
	}
	for _, kind := range kinds {
		finding, ok := live[kind]
		if !ok || finding.Detail == "" {
			t.Fatalf("%v, want %s", live, kind)
		}
		_, err := s.Decide(background, s.as("ana"), s.workspace, finding.ID, services.Resolved, "looked at")
		coretest.Must(t, err)
	}
}

func TestWhatIsOddAboutAUseIsAFindingOnce(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	_, token := s.token(t)
	minute := func() { w.clock.Pass(2 * time.Minute) }
	s.use(t, token, "192.0.2.7", "curl/8")
	s.opened(t) // its first network is where it is
	minute()
	s.use(t, token, "192.0.2.250", "curl/8")
	s.opened(t)
	minute()
	s.use(t, token, "198.51.100.1", "curl/8")
	s.opened(t, services.NewNetwork)
	for range 3 {
		minute()
		s.use(t, token, "198.51.100.2", "curl/8")
	}
	s.opened(t)
	minute()
	s.use(t, token, "2001:db8:1:2::3", "curl/8")
	s.opened(t, services.NewNetwork)
	minute()
	s.use(t, token, "2001:db8:1:ffff::9", "curl/8")
	minute()
	s.use(t, token, "::ffff:192.0.2.9", "curl/8") // IPv4 in disguise
	minute()
	s.use(t, token, "not an address", "curl/8")
	s.opened(t)
	// A person's browser: once until somebody resolved it, and then again.
	minute()
	for range 2 {
		s.use(t, token, "192.0.2.7", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156")
		minute()
		s.use(t, token, "192.0.2.7", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156")
		s.opened(t, services.InteractiveUse)
		minute()
	}
	// After long.
	w.clock.Pass(59 * 24 * time.Hour)
	s.use(t, token, "192.0.2.7", "curl/8")
	s.opened(t)
	w.clock.Pass(61 * 24 * time.Hour)
	s.use(t, token, "192.0.2.7", "curl/8")
	s.opened(t, services.UsedAfterIdle)
	minute()
	s.use(t, token, "192.0.2.7", "curl/8")
	s.opened(t)
	// Where it is expected to be.
	_, err := s.Change(background, s.as("ada"), s.workspace, s.account.ID, 0, func(set *services.Settings) { set.Networks = []string{"203.0.113.9/24"} })
	coretest.Must(t, err)
	minute()
	s.use(t, token, "203.0.113.200", "curl/8")
	s.opened(t)
	minute()
	s.use(t, token, "192.0.2.7", "curl/8")
	s.opened(t, services.NewNetwork)
	// After an owner left.
	_, err = w.Lifecycle.Deprovision(background, w.system(), s.workspace, s.user("ben"))
	coretest.Must(t, err)
	minute()
	s.use(t, token, "203.0.113.200", "curl/8")
	s.opened(t, services.UsedAfterOwnerLeft)
	minute()
	s.use(t, token, "203.0.113.200", "curl/8")
	s.opened(t)
	if _, raised := other.findings(t); len(raised) != 0 {
		t.Fatal(raised)
	}
	seen, err := s.Seen(background, s.Core.DB, s.workspace, s.account.ID)
	coretest.Must(t, err)
	if len(seen) < 5 || seen[0].Network != "203.0.113.0/24" || seen[0].Agent != "curl/8" {
		t.Fatal(seen)
	}
	if seen, err := s.Seen(background, s.Core.DB, other.workspace, s.account.ID); err != nil || len(seen) != 0 {
		t.Fatal(seen, err)
	}
}

func TestOneUseSeenByManyIsOneFinding(t *testing.T) {
	w := open(t)
	s := w.side(t)
	_, token := s.token(t)
	s.use(t, token, "192.0.2.7", "curl/8")
	w.clock.Pass(2 * time.Minute)
	account, err := s.Directory().AuthenticateServiceAccount(background, token)
	coretest.Must(t, err)
	var all sync.WaitGroup
	for range 8 { // as many processes
		process := &services.Services{DB: w.Core.DB, Directory: w.Core.Directory, Accounts: w.Core.Accounts, Rotations: w.Core.Rotations, Now: w.clock.Now}
		all.Go(func() {
			err := process.Observe(background, services.Use{
				Workspace: s.workspace, Account: account.Actor(), Token: account.Token, Origin: core.Origin{Address: "198.51.100.1", UserAgent: "Mozilla/5.0"},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, raised := s.findings(t); raised[services.NewNetwork] != 1 || raised[services.InteractiveUse] != 1 {
		t.Fatal(raised)
	}
}

func TestWhatExpiresSoonIsAFindingUntilItIsGone(t *testing.T) {
	w := open(t)
	s := w.side(t)
	expires := w.clock.Now().Add(30 * 24 * time.Hour)
	key, _ := s.add(t, services.NewCredential{Name: "key", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("one"), Expires: &expires})
	coretest.Must(t, s.Tick(background))
	s.opened(t)
	w.clock.Pass(17 * 24 * time.Hour)
	coretest.Must(t, s.Tick(background))
	coretest.Must(t, s.Tick(background))
	live, raised := s.findings(t)
	if _, ok := live[services.ExpiresSoon]; !ok || raised[services.ExpiresSoon] != 1 {
		t.Fatal(live)
	}
	begun, _, err := s.Rotate(background, s.as("ana"), s.workspace, key.ID, services.Wish{Value: seal.NewSecret("two")})
	coretest.Must(t, err)
	for _, to := range []services.State{services.Distributed, services.Verified, services.Done} {
		_, err := s.Advance(background, s.as("ana"), s.workspace, begun.ID, to, "by hand")
		coretest.Must(t, err)
	}
	coretest.Must(t, s.Tick(background))
	s.opened(t)
	// A token that is revoked past its credential expires no more.
	expires = w.clock.Now().Add(time.Hour)
	s.add(t, services.NewCredential{Name: "API", Kind: services.Token, Held: services.ByPostern, Expires: &expires})
	coretest.Must(t, s.Tick(background))
	if live, _ := s.findings(t); live[services.ExpiresSoon].Detail == "" {
		t.Fatal(live)
	}
	tokens, err := w.Directory().ServiceAccountTokens(background, w.Core.DB, s.workspace, s.account.ID)
	coretest.Must(t, err)
	coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
		return w.Directory().RevokeServiceAccountToken(background, tx, w.system(), s.workspace, s.account.ID, tokens[0].ID)
	}))
	coretest.Must(t, s.Tick(background))
	s.opened(t)
	// Expired, nothing is given out.
	expires = w.clock.Now().Add(time.Hour)
	short, _ := s.add(t, services.NewCredential{Name: "short", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("one"), Expires: &expires})
	w.clock.Pass(2 * time.Hour)
	_, err = s.Read(background, s.itself(), s.workspace, short.ID, "")
	refused(t, err, "expired")
}

func TestWhoDecidesAboutFindings(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	_, token := s.token(t)
	s.use(t, token, "192.0.2.7", "Mozilla/5.0")
	live, _ := s.findings(t)
	finding := live[services.InteractiveUse].ID
	decide := func(cause core.Cause, state services.FindingState, note string) error {
		_, err := s.Decide(background, cause, s.workspace, finding, state, note)
		return err
	}
	refused(t, decide(s.as("cleo"), services.Acknowledged, ""), "not_owner")
	refused(t, decide(s.itself(), services.Resolved, "it was me"), "itself")
	if err := decide(s.as("ana"), services.Resolved, ""); core.KindOf(err) != core.KindInvalid {
		t.Fatal(err) // why?
	}
	if err := decide(s.as("ana"), services.Open, "no"); err != nil {
		t.Fatal(err) // it is so
	}
	if _, err := other.Decide(background, other.as("ada"), other.workspace, finding, services.Acknowledged, ""); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	_, err := w.Lifecycle.Deprovision(background, w.system(), s.workspace, s.user("ben"))
	coretest.Must(t, err)
	refused(t, decide(s.as("ben"), services.Acknowledged, ""), "inactive")
	coretest.Must(t, decide(s.as("ana"), services.Acknowledged, ""))
	coretest.Must(t, decide(s.as("ana"), services.Resolved, "a test of mine"))
	coretest.Must(t, decide(s.as("ada"), services.Resolved, "twice"))
	refused(t, decide(s.as("ada"), services.Acknowledged, ""), "resolved")
}

func TestNobodyGivesWhatTheyDoNotHave(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	_, err := s.Change(background, s.as("ada"), s.workspace, s.account.ID, 0, func(set *services.Settings) {
		set.Scopes = []string{"service-accounts:write", "accounts:read"}
	})
	coretest.Must(t, err)
	create := func(name string, scopes ...string) (services.Account, error) {
		return s.Create(background, s.itself(), s.workspace, settings(name, scopes...), s.people("ana", "ben"))
	}
	lesser, err := create("lesser", "accounts/"+core.NewID().String()+":read")
	coretest.Must(t, err)
	for _, scope := range []string{"accounts:write", "accounts:*", "*:read", "apps:read", "*:*"} {
		_, err := create("greater", scope)
		refused(t, err, "scope_not_held")
		_, err = s.Change(background, s.itself(), s.workspace, lesser.ID, 0, func(set *services.Settings) { set.Scopes = []string{scope} })
		refused(t, err, "scope_not_held")
	}
	// Nor by the token of one that has more.
	greater, err := s.Create(background, s.as("ada"), s.workspace, settings("greater", "*:*"), s.people("ana", "ben"))
	coretest.Must(t, err)
	token := services.NewCredential{Name: "API", Kind: services.Token, Held: services.ByPostern}
	_, _, err = s.AddCredential(background, s.itself(), s.workspace, greater.ID, token)
	refused(t, err, "scope_not_held")
	if _, _, err = s.AddCredential(background, s.itself(), s.workspace, lesser.ID, token); err != nil {
		t.Fatal(err)
	}
	given, _, err := s.AddCredential(background, s.as("ana"), s.workspace, greater.ID, token)
	coretest.Must(t, err)
	_, _, err = s.Rotate(background, s.itself(), s.workspace, given.ID, services.Wish{})
	refused(t, err, "scope_not_held")
	// Nor to itself.
	_, err = s.Change(background, s.itself(), s.workspace, s.account.ID, 0, func(set *services.Settings) { set.Scopes = nil })
	refused(t, err, "itself")
	refused(t, s.Remove(background, s.itself(), s.workspace, s.account.ID), "itself")
	if _, err := s.Change(background, other.as("ada"), s.workspace, s.account.ID, 0, func(*services.Settings) {}); core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	_, err = s.Change(background, s.as("ada"), s.workspace, s.account.ID, 1, func(set *services.Settings) { set.Purpose = "late" })
	if core.KindOf(err) != core.KindStale {
		t.Fatal(err)
	}
	for what, edit := range map[string]func(*services.Settings){
		"no name": func(set *services.Settings) { set.Name = "" }, "a taken name": func(set *services.Settings) { set.Name = "greater" },
		"no risk": func(set *services.Settings) { set.Risk = 0 }, "too sensitive": func(set *services.Settings) { set.Sensitivity = 6 },
		"no network": func(set *services.Settings) { set.Networks = []string{"10.0.0.1"} }, "no scope": func(set *services.Settings) { set.Scopes = []string{"all"} },
		"NUL": func(set *services.Settings) { set.Purpose = "a\x00b" },
	} {
		if _, err := s.Change(background, s.as("ada"), s.workspace, s.account.ID, 0, edit); err == nil || core.KindOf(err) == core.KindInternal {
			t.Errorf("%s: %v", what, err)
		}
	}
}
