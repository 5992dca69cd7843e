package services_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/services"
)

func TestATokenIsReplacedWithoutAGap(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	credential, old := s.token(t)
	s.use(t, old, "192.0.2.7", "curl/8")
	if s.works(seal.NewSecret(old.Reveal() + "x")) {
		t.Fatal("any token will do")
	}
	expires := w.clock.Now().Add(90 * 24 * time.Hour)
	begun, fresh, err := s.Rotate(background, s.as("ben"), s.workspace, credential.ID, services.Wish{Expires: &expires})
	coretest.Must(t, err)
	if begun.State != services.Created || !s.works(old) || !s.works(fresh) {
		t.Fatal(begun)
	}
	_, _, err = s.Rotate(background, s.as("ben"), s.workspace, credential.ID, services.Wish{})
	refused(t, err, "service_rotation_open")
	advance := func(to services.State, reason string) error {
		_, err := s.Advance(background, s.as("ben"), s.workspace, begun.ID, to, reason)
		return err
	}
	refused(t, advance(services.Verified, ""), "wrong_state")
	refused(t, advance(services.Done, "now"), "wrong_state")
	coretest.Must(t, advance(services.Distributed, ""))
	coretest.Must(t, advance(services.Distributed, "")) // twice
	refused(t, advance(services.Verified, ""), "not_seen")
	for who, code := range map[string]string{"cleo": "not_owner", "gus": "not_owner"} {
		_, err := s.Advance(background, s.as(who), s.workspace, begun.ID, services.Verified, "I say so")
		refused(t, err, code)
	}
	_, err = s.Advance(background, s.itself(), s.workspace, begun.ID, services.Verified, "I say so")
	refused(t, err, "itself")
	if _, err := other.Advance(background, other.as("ada"), other.workspace, begun.ID, services.Distributed, ""); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	if _, _, err := other.Rotate(background, other.as("ada"), other.workspace, credential.ID, services.Wish{}); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	// Used, it is verified by itself; what still uses the old one keeps that.
	w.clock.Pass(time.Hour)
	s.use(t, fresh, "192.0.2.7", "curl/8")
	if found, _ := s.Rotation(background, s.Core.DB, s.workspace, begun.ID); found.State != services.Verified {
		t.Fatal(found)
	}
	w.clock.Pass(time.Hour)
	s.use(t, old, "192.0.2.7", "curl/8")
	refused(t, advance(services.Done, ""), "old_in_use")
	coretest.Must(t, s.Tick(background))
	if !s.works(old) {
		t.Fatal("a token in use was revoked")
	}
	// Unused for the overlap, it goes.
	w.clock.Pass(25 * time.Hour)
	coretest.Must(t, s.Tick(background))
	coretest.Must(t, s.Tick(background)) // twice
	found, err := s.Rotation(background, s.Core.DB, s.workspace, begun.ID)
	coretest.Must(t, err)
	if found.State != services.Done || s.works(old) || !s.works(fresh) {
		t.Fatal(found)
	}
	coretest.Must(t, advance(services.Done, "")) // twice
	refused(t, advance(services.RolledBack, "too late"), "ended")
	steps, err := s.StepsOf(background, s.Core.DB, s.workspace, begun.ID)
	coretest.Must(t, err)
	var states []services.State
	for _, step := range steps {
		states = append(states, step.State)
	}
	if !slices.Equal(states, []services.State{services.Planned, services.Created, services.Distributed, services.Verified, services.Done}) || steps[3].Actor.Kind != core.ActorServiceAccount {
		t.Fatal(steps)
	}
	// Rolled back, the old one stays, and the new one does not.
	begun, third, err := s.Rotate(background, s.as("ben"), s.workspace, credential.ID, services.Wish{})
	coretest.Must(t, err)
	coretest.Must(t, advance(services.RolledBack, "the pipeline did not take it"))
	coretest.Must(t, advance(services.RolledBack, "the pipeline did not take it"))
	if s.works(third) || !s.works(fresh) {
		t.Fatal("rolling back took the wrong one")
	}
	// What expired leaves nothing to go back to.
	begun, fourth, err := s.Rotate(background, s.as("ben"), s.workspace, credential.ID, services.Wish{})
	coretest.Must(t, err)
	w.clock.Pass(100 * 24 * time.Hour)
	refused(t, advance(services.RolledBack, ""), "old_gone")
	coretest.Must(t, advance(services.Distributed, ""))
	coretest.Must(t, advance(services.Verified, "seen in the pipeline's log"))
	coretest.Must(t, advance(services.Done, ""))
	if !s.works(fourth) {
		t.Fatal("the new one went with the old one")
	}
	coretest.Must(t, s.RemoveCredential(background, s.as("ana"), s.workspace, credential.ID, false))
	if s.works(fourth) {
		t.Fatal("removed, it opens something")
	}
}

func TestAnAccountsRotationIsFollowed(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	login := func(s *side) accounts.Account {
		var made accounts.Account
		coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
			app, err := w.Core.Accounts.CreateApp(background, tx, w.system(), s.workspace, accounts.NewApp{Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser"})
			if err != nil {
				return err
			}
			made, err = w.Core.Accounts.CreateAccount(background, tx, w.system(), s.workspace, accounts.NewAccount{App: app.ID, Username: "bot", Password: seal.NewSecret("password one"), Owner: s.user("ana")})
			return err
		}))
		return made
	}
	account, theirs := login(s), login(other)
	wanted := services.NewCredential{Name: "wiki", Kind: services.Password, Held: services.ByAccount, Login: account.ID}
	_, _, err := s.AddCredential(background, s.as("ben"), s.workspace, s.account.ID, wanted) // owns the service account, and not the account
	if core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	if _, _, err := s.AddCredential(background, s.itself(), s.workspace, s.account.ID, wanted); core.AsError(err).Code != "itself" {
		t.Fatal(err)
	}
	wanted.Login = theirs.ID
	if _, _, err := s.AddCredential(background, s.as("ada"), s.workspace, s.account.ID, wanted); core.KindOf(err) != core.KindInvalid {
		t.Fatal(err)
	}
	wanted.Login = account.ID
	credential, _ := s.add(t, wanted)
	if reaches, err := s.Reaches(background, s.Core.DB, s.workspace, s.account.ID); err != nil || len(reaches) != 1 || reaches[0].Name != "Wiki" {
		t.Fatal(reaches, err)
	}
	read := func() (string, string) {
		t.Helper()
		value, err := s.Read(background, s.itself(), s.workspace, credential.ID, "")
		coretest.Must(t, err)
		return value.Username, value.Secret.Reveal()
	}
	if name, password := read(); name != "bot" || password != "password one" {
		t.Fatal(name, password)
	}
	begun, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
	coretest.Must(t, err)
	planned, err := w.Core.Rotations.List(background, w.Core.DB, s.workspace, account.ID, 1)
	coretest.Must(t, err)
	if begun.State != services.Planned || len(planned) != 1 || planned[0].Reason != rotation.ReasonManual {
		t.Fatal(begun, planned)
	}
	_, err = s.Advance(background, s.as("ana"), s.workspace, begun.ID, services.Created, "")
	refused(t, err, "by_itself")
	// What core/rotation does to the account: the new password is current, then the old one refused.
	change := func(password string, refusedToo bool) {
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			version, err := w.Core.Accounts.AddCandidate(ctx, tx, s.workspace, account.ID, seal.NewSecret(password))
			if err != nil {
				return err
			}
			if err := w.Core.Accounts.MarkProven(ctx, tx, s.workspace, account.ID, version, w.clock.Now()); err != nil {
				return err
			}
			if err := w.Core.Accounts.Promote(ctx, tx, s.workspace, account.ID, version); err != nil || !refusedToo {
				return err
			}
			return w.Core.Accounts.MarkRefused(ctx, tx, s.workspace, account.ID, version-1, w.clock.Now())
		})
	}
	change("password two", false)
	coretest.Must(t, s.Tick(background))
	found, err := s.Rotation(background, s.Core.DB, s.workspace, begun.ID)
	coretest.Must(t, err)
	if found.State != services.Verified {
		t.Fatal(found)
	}
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return w.Core.Accounts.MarkRefused(ctx, tx, s.workspace, account.ID, 1, w.clock.Now())
	})
	coretest.Must(t, s.Tick(background))
	if found, _ = s.Rotation(background, s.Core.DB, s.workspace, begun.ID); found.State != services.Done {
		t.Fatal(found)
	}
	// By a policy, twice, before anybody looks.
	change("password three", false)
	if _, password := read(); password != "password three" {
		t.Fatal(password)
	}
	change("password four", true)
	change("password five", true)
	if _, password := read(); password != "password five" {
		t.Fatal(password)
	}
	all, err := s.RotationsOf(background, s.Core.DB, s.workspace, credential.ID)
	coretest.Must(t, err)
	if len(all) != 3 || all[0].Reason != services.ByApp || all[0].State != services.Done {
		t.Fatal(all)
	}
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Learn(ctx, tx, w.system(), s.workspace, account.ID, accounts.NoneAccepted, "the app refuses it")
		return err
	})
	_, err = s.Read(background, s.itself(), s.workspace, credential.ID, "")
	refused(t, err, "desynced")
}

// TestKilledBetweenAnyTwoCommits stops after each commit of a rotation, and just before it, and has another process finish it, or roll
// it back.
func TestKilledBetweenAnyTwoCommits(t *testing.T) {
	w := open(t)
	for _, held := range []services.Held{services.ByPostern, services.ByVault} {
		for stop := range 4 {
			for _, finish := range []bool{true, false} {
				t.Run(fmt.Sprint(held, stop, finish), func(t *testing.T) {
					s := w.side(t)
					kind := map[services.Held]services.Kind{services.ByPostern: services.Token, services.ByVault: services.Password}[held]
					credential, old := s.add(t, services.NewCredential{Name: "x", Kind: kind, Held: held})
					var begun services.Rotation
					var fresh seal.Secret
					commits := []func(ctx context.Context) error{
						func(ctx context.Context) (err error) {
							begun, fresh, err = s.Rotate(ctx, s.as("ana"), s.workspace, credential.ID, services.Wish{})
							return err
						},
					}
					for _, to := range []services.State{services.Distributed, services.Verified, services.Done} {
						commits = append(commits, func(ctx context.Context) error {
							_, err := s.Advance(ctx, s.as("ana"), s.workspace, begun.ID, to, "by hand")
							return err
						})
					}
					good := func(secret seal.Secret) bool {
						if held == services.ByPostern {
							return s.works(secret)
						}
						versions, err := s.Versions(background, s.Core.DB, s.workspace, credential.ID)
						coretest.Must(t, err)
						value, err := s.Read(background, s.itself(), s.workspace, credential.ID, "")
						coretest.Must(t, err)
						return value.Secret.Equal(secret) || len(versions) == 2 && versions[0].Revoked == nil && versions[1].Revoked == nil
					}
					for i := range stop + 1 {
						if err := commits[i](killed()); !errors.Is(err, errKilled) {
							t.Fatal(err)
						}
						w.restart()
						if !good(old) {
							t.Fatal("the old value went with a commit that never was")
						}
						if i < stop {
							coretest.Must(t, commits[i](background))
							w.restart()
						}
					}
					if !finish {
						if stop == 0 {
							return // nothing was begun
						}
						_, err := s.Advance(background, s.as("ana"), s.workspace, begun.ID, services.RolledBack, "enough")
						coretest.Must(t, err)
						if !good(old) {
							t.Fatal("rolled back, the old one is dead")
						}
						return
					}
					for _, commit := range commits[stop:] {
						coretest.Must(t, commit(background))
						w.restart()
					}
					if !good(fresh) || held == services.ByPostern && good(old) {
						t.Fatal("it did not end as it should")
					}
				})
			}
		}
	}
}

// TestRotationsUnderRandomHistories plays histories, with kills, against what must hold after each commit.
func TestRotationsUnderRandomHistories(t *testing.T) {
	w := open(t)
	s := w.side(t)
	rapid.Check(t, func(t *rapid.T) {
		s.account = s.create(t, core.NewID().String(), s.people("ana", "ben")...)
		credential, first := s.token(t)
		tokens := map[int]seal.Secret{1: first} // version to token
		var open core.ID
		history := map[core.ID][]services.Step{}
		verified := map[core.ID]bool{}
		ctx := func(t *rapid.T) context.Context {
			if rapid.IntRange(0, 3).Draw(t, "killed") == 0 {
				w.restart()
				return killed()
			}
			return background
		}
		advance := func(to services.State) func(t *rapid.T) {
			return func(t *rapid.T) {
				if open.IsZero() {
					t.Skip("nothing rotates")
				}
				reason := rapid.SampledFrom([]string{"", "I say so"}).Draw(t, "reason")
				_, err := s.Advance(ctx(t), s.as("ana"), s.workspace, open, to, reason)
				if err != nil && core.KindOf(err) == core.KindInternal && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"rotate": func(t *rapid.T) {
				begun, fresh, err := s.Rotate(ctx(t), s.as("ana"), s.workspace, credential.ID, services.Wish{})
				if err == nil {
					open, tokens[begun.New] = begun.ID, fresh
				} else if err != nil && core.KindOf(err) == core.KindInternal && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
			},
			"distribute": advance(services.Distributed), "verify": advance(services.Verified), "finish": advance(services.Done), "roll back": advance(services.RolledBack),
			"use": func(t *rapid.T) {
				version := rapid.IntRange(1, len(tokens)).Draw(t, "version")
				if s.works(tokens[version]) {
					s.use(t, tokens[version], "192.0.2.7", "curl/8")
				}
			},
			"time": func(t *rapid.T) {
				w.clock.Pass(time.Duration(rapid.IntRange(1, 50).Draw(t, "hours")) * time.Hour)
				coretest.Must(t, s.Tick(background))
			},
			"": func(t *rapid.T) {
				versions, err := s.Versions(background, s.Core.DB, s.workspace, credential.ID)
				coretest.Must(t, err)
				live, slots := 0, map[int]bool{}
				for _, version := range versions {
					if works := s.works(tokens[version.Version]); works != (version.Revoked == nil) {
						t.Fatalf("version %d works: %v, and the row says %+v", version.Version, works, version)
					}
					if version.Revoked == nil {
						if live++; slots[version.Slot] {
							t.Fatal("two values in one slot")
						}
						slots[version.Slot] = true
					}
				}
				if live < 1 || live > 2 || len(versions) != len(tokens) {
					t.Fatalf("%d good values of %d, %d", live, len(versions), len(tokens))
				}
				all, err := s.RotationsOf(background, s.Core.DB, s.workspace, credential.ID)
				coretest.Must(t, err)
				unfinished := 0
				for _, one := range all {
					steps, err := s.StepsOf(background, s.Core.DB, s.workspace, one.ID)
					coretest.Must(t, err)
					before := history[one.ID]
					if len(steps) < len(before) || !slices.Equal(steps[:len(before)], before) || len(steps) != one.Steps || steps[len(steps)-1].State != one.State {
						t.Fatalf("the history was changed: %v, %v", before, steps)
					}
					history[one.ID] = steps
					verified[one.ID] = slices.ContainsFunc(steps, func(step services.Step) bool { return step.State == services.Verified })
					if one.State == services.Done && !verified[one.ID] {
						t.Fatal("the old one was revoked, and the new one never seen")
					}
					if one.Finished == nil {
						if unfinished++; one.State != services.Planned && !s.works(tokens[one.Old]) {
							t.Fatal("the old one was revoked before the end")
						}
					}
				}
				if unfinished > 1 || unfinished == 0 && live != 1 {
					t.Fatalf("%d rotations under way, %d good values", unfinished, live)
				}
			},
		})
	})
}
