package services_test

import (
	"sync"
	"testing"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/services"
)

func TestAServiceAccountHasTwoPeopleOrATeam(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	empty, err := w.Lifecycle.CreateTeam(background, w.system(), directory.Team{Workspace: s.workspace, DisplayName: "nobody"}, nil)
	coretest.Must(t, err)
	for what, owners := range map[string][]accounts.Subject{
		"nobody": nil, "one person": s.people("ana"), "an empty team": {{Team: empty.ID}},
	} {
		_, err := s.Create(background, s.as("ada"), s.workspace, settings(what), owners)
		refused(t, err, "too_few_owners")
	}
	for what, owners := range map[string][]accounts.Subject{
		"a guest": s.people("ana", "gus"), "another workspace's": {{User: s.user("ana")}, {User: other.user("ben")}}, "another workspace's team": {{Team: other.team.ID}},
		"a user and a team at once": {{User: s.user("ana"), Team: s.team.ID}}, "neither": {{}, {}}, "the same twice": s.people("ana", "ana"),
	} {
		if made, err := s.Create(background, s.as("ada"), s.workspace, settings(what), owners); err == nil {
			t.Errorf("%s: %+v", what, made)
		}
	}
	for _, who := range []string{"ana", "gus"} {
		_, err := s.Create(background, s.as(who), s.workspace, settings("not an administrator's"), s.people("ana", "ben"))
		refused(t, err, "not_administrator")
	}
	team := s.create(t, "the team's", accounts.Subject{Team: s.team.ID})
	if !team.Owned() || team.People != 0 {
		t.Fatalf("%+v", team)
	}
	// The last ones stay, whoever asks; more may come, and then some may go.
	ana, ben := s.owner(t, "ana"), s.owner(t, "ben")
	for _, who := range []string{"ana", "ada"} {
		refused(t, s.RemoveOwner(background, s.as(who), s.workspace, ben.ID), "too_few_owners")
	}
	refused(t, s.RemoveOwner(background, s.as("cleo"), s.workspace, ben.ID), "not_owner")
	if err := s.RemoveOwner(background, other.as("ada"), other.workspace, ben.ID); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	if _, err := s.AddOwner(background, s.as("cleo"), s.workspace, s.account.ID, s.people("cleo")[0]); core.AsError(err).Code != "not_owner" {
		t.Fatal(err)
	}
	if owners, err := s.AddOwner(background, s.as("ana"), s.workspace, s.account.ID, accounts.Subject{Team: s.team.ID}); err != nil || len(owners) != 3 {
		t.Fatal(owners, err)
	}
	_, err = s.AddOwner(background, s.as("ana"), s.workspace, s.account.ID, accounts.Subject{Team: s.team.ID})
	refused(t, err, "service_owner_once")
	coretest.Must(t, s.RemoveOwner(background, s.as("dan"), s.workspace, ben.ID)) // dan owns it by the team
	coretest.Must(t, s.RemoveOwner(background, s.as("dan"), s.workspace, ana.ID))
	if err := s.RemoveOwner(background, s.as("dan"), s.workspace, ana.ID); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err) // twice
	}
	refused(t, s.RemoveOwner(background, s.as("dan"), s.workspace, s.owner(t, "ops").ID), "too_few_owners")
}

func TestOfTwoRemovalsAtOnceOneIsRefused(t *testing.T) {
	w := open(t)
	s := w.side(t)
	for range 10 {
		if _, err := s.AddOwner(background, s.as("ada"), s.workspace, s.account.ID, s.people("cleo")[0]); err != nil {
			t.Fatal(err)
		}
		owners := []services.Owner{s.owner(t, "ana"), s.owner(t, "ben"), s.owner(t, "cleo")}
		errs := make([]error, len(owners))
		var all sync.WaitGroup
		for i, owner := range owners {
			all.Go(func() { errs[i] = s.RemoveOwner(background, s.as("ada"), s.workspace, owner.ID) })
		}
		all.Wait()
		gone := 0
		for _, err := range errs {
			if err == nil {
				gone++
				continue
			}
			refused(t, err, "too_few_owners")
		}
		if found := s.fresh(t); gone != 1 || found.People != 2 {
			t.Fatalf("%d went, %d are left", gone, found.People)
		}
		// As it was.
		for _, name := range []string{"ana", "ben"} {
			_, err := s.AddOwner(background, s.as("ada"), s.workspace, s.account.ID, s.people(name)[0])
			if err != nil && core.AsError(err).Code != "service_owner_once" {
				t.Fatal(err)
			}
		}
		if errs[2] != nil { // cleo stayed
			coretest.Must(t, s.RemoveOwner(background, s.as("ada"), s.workspace, s.owner(t, "cleo").ID))
		}
	}
}

func TestWhoLeavesIsNotKept(t *testing.T) {
	w := open(t)
	w.sequence(t)
	s, other := w.side(t), w.side(t)
	leave := func(name string) {
		t.Helper()
		_, err := w.Lifecycle.Deprovision(background, w.system(), s.workspace, s.user(name))
		coretest.Must(t, err)
	}
	is := func(kind services.FindingKind) func() bool {
		return func() bool {
			live, _ := s.findings(t)
			_, found := live[kind]
			return found && len(live) == 1 || kind == "" && len(live) == 0
		}
	}
	leave("ana")
	w.followed(t, "one owner is left", is(services.OneOwner))
	leave("ben")
	w.followed(t, "none is left", is(services.Ownerless))
	live, _ := s.findings(t)
	_, err := s.Decide(background, s.as("ada"), s.workspace, live[services.Ownerless].ID, services.Resolved, "never mind")
	refused(t, err, "still_so")
	acknowledged, err := s.Decide(background, s.as("ada"), s.workspace, live[services.Ownerless].ID, services.Acknowledged, "")
	coretest.Must(t, err)
	if acknowledged.State != services.Acknowledged {
		t.Fatal(acknowledged)
	}
	coretest.Must(t, s.JudgeAll(background))
	if _, raised := s.findings(t); raised[services.Ownerless] != 1 || raised[services.OneOwner] != 1 {
		t.Fatal(raised)
	}
	// A leaver can be taken away, whatever is left; a team takes over.
	coretest.Must(t, s.RemoveOwner(background, s.as("ada"), s.workspace, s.owner(t, "ana").ID))
	_, err = s.AddOwner(background, s.as("ada"), s.workspace, s.account.ID, accounts.Subject{Team: s.team.ID})
	coretest.Must(t, err)
	if !is("")() {
		t.Fatal("it has an owner again")
	}
	leave("dan")
	w.followed(t, "the team is empty", is(services.Ownerless))
	if _, raised := s.findings(t); raised[services.Ownerless] != 2 {
		t.Fatal(raised) // another time is another cause
	}
	if _, raised := other.findings(t); len(raised) != 0 {
		t.Fatal(raised)
	}
}

// TestOwnershipUnderRandomHistories plays histories against a model: who is named, who is alive.
func TestOwnershipUnderRandomHistories(t *testing.T) {
	w := open(t)
	rapid.Check(t, func(t *rapid.T) {
		s := w.side(t)
		names := []string{"ana", "ben", "cleo", "dan"}
		named, alive, teamNamed, inTeam := map[string]bool{"ana": true, "ben": true}, map[string]bool{"ana": true, "ben": true, "cleo": true, "dan": true}, false, true
		enough := func() bool {
			people := 0
			for name := range named {
				if named[name] && alive[name] {
					people++
				}
			}
			return people >= 2 || teamNamed && inTeam && alive["dan"]
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "who")
				_, err := s.AddOwner(background, s.as("ada"), s.workspace, s.account.ID, s.people(name)[0])
				if (err == nil) != (alive[name] && !named[name]) {
					t.Fatalf("add %s: %v", name, err)
				}
				named[name] = named[name] || err == nil
			},
			"add the team": func(t *rapid.T) {
				_, err := s.AddOwner(background, s.as("ada"), s.workspace, s.account.ID, accounts.Subject{Team: s.team.ID})
				if (err == nil) == teamNamed {
					t.Fatal(err)
				}
				teamNamed = true
			},
			"remove": func(t *rapid.T) {
				owners, err := s.Owners(background, s.Core.DB, s.workspace, s.account.ID)
				coretest.Must(t, err)
				if len(owners) == 0 {
					t.Skip("nobody owns it")
				}
				owner := rapid.SampledFrom(owners).Draw(t, "who")
				team, was := !owner.Team.IsZero(), alive[owner.Name]
				if team {
					teamNamed, was = false, inTeam && alive["dan"]
				} else {
					named[owner.Name] = false
				}
				err = s.RemoveOwner(background, s.as("ada"), s.workspace, owner.ID)
				if refusal := was && !enough(); (err != nil) != refusal {
					t.Fatalf("remove %s: %v, and the model says %v", owner.Name, err, refusal)
				}
				if err != nil {
					refused(t, err, "too_few_owners")
					if team {
						teamNamed = true
					} else {
						named[owner.Name] = true
					}
				}
			},
			"leave": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "who")
				_, err := w.Lifecycle.Deprovision(background, w.system(), s.workspace, s.user(name))
				coretest.Must(t, err) // never refused
				if name == "dan" && alive[name] {
					inTeam = false // the membership is suspended for good
				}
				alive[name] = false
			},
			"come back": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "who")
				coretest.Must(t, w.Lifecycle.Reactivate(background, w.system(), s.workspace, s.user(name)))
				alive[name] = true
			},
			"": func(t *rapid.T) {
				coretest.Must(t, s.JudgeAll(background))
				live, _ := s.findings(t)
				if found := s.fresh(t); found.Owned() != enough() || (len(live) == 0) != enough() || len(live) > 1 {
					t.Fatalf("owned: %v, the model: %v, findings: %v", found.Owned(), enough(), live)
				}
			},
		})
	})
}
