package coretest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// Apps are the apps' side of all accounts: which password each takes, and what else they say.
type Apps struct {
	Clock   *Clock // passes a second with each sign-in
	Willing bool   // whoever was told no password takes every one
	Within  func() // runs while a sign-in is under way, if set

	lock  sync.Mutex
	takes map[core.ID]string
	says  map[core.ID]rotation.Outcome
	tried map[core.ID]int
}

var (
	_ rotation.Changer  = (*Apps)(nil)
	_ rotation.Resetter = (*Apps)(nil)
	_ rotation.Disabler = (*Apps)(nil)
	_ rotation.Lister   = (*Apps)(nil)
)

// NewApps are apps that take no password yet.
func NewApps(clock *Clock) *Apps {
	return &Apps{Clock: clock, takes: map[core.ID]string{}, says: map[core.ID]rotation.Outcome{}, tried: map[core.ID]int{}}
}

// Verify implements rotation.Connector.
func (a *Apps) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	if a.Within != nil {
		a.Within()
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	a.tried[target.Account]++
	report := rotation.Report{Outcome: rotation.Rejected, Agent: "Simulated/1", Hosts: []string{"wiki.example.com"}, Finished: a.Clock.Pass(time.Second)}
	takes, told := a.takes[target.Account]
	switch {
	case ctx.Err() != nil:
		report.Outcome = rotation.Unknown
	case a.says[target.Account] != "":
		report.Outcome = a.says[target.Account]
	case told && takes == credential.Password.Reveal(), !told && a.Willing:
		report.Outcome = rotation.Accepted
	}
	return report
}

// Change implements rotation.Changer.
func (a *Apps) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(context.Context) error) rotation.Report {
	report := a.Verify(ctx, target, current)
	if report.Outcome != rotation.Accepted {
		return report
	}
	if err := release(ctx); err != nil {
		report.Outcome = rotation.NotSent
		return report
	}
	a.Set(target.Account, next.Reveal(), "")
	report.Outcome, report.Released = rotation.Applied, true
	return report
}

// Reset implements rotation.Resetter: an administrator is who has a password that some account takes.
func (a *Apps) Reset(ctx context.Context, target rotation.Target, admin rotation.Credential, _ string, next seal.Secret, release func(context.Context) error) rotation.Report {
	a.lock.Lock()
	known := slices.Contains(slices.Collect(maps.Values(a.takes)), admin.Password.Reveal())
	a.lock.Unlock()
	report := rotation.Report{
		Outcome: rotation.AdminRejected, Stage: rotation.StageSignIn, Agent: "Simulated/1", Hosts: []string{"wiki.example.com"}, Finished: a.Clock.Pass(time.Second),
	}
	if !known {
		return report
	}
	report.Stage = rotation.StageSubmit
	if err := release(ctx); err != nil {
		report.Outcome = rotation.NotSent
		return report
	}
	a.Set(target.Account, next.Reveal(), "")
	report.Outcome, report.Released = rotation.Applied, true
	return report
}

// SetEnabled implements rotation.Disabler, by the same administrators.
func (a *Apps) SetEnabled(_ context.Context, target rotation.Target, admin rotation.Credential, _ string, enabled bool) rotation.Report {
	a.lock.Lock()
	defer a.lock.Unlock()
	report := rotation.Report{
		Outcome: rotation.AdminRejected, Stage: rotation.StageSignIn, Agent: "Simulated/1", Hosts: []string{"wiki.example.com"}, Finished: a.Clock.Pass(time.Second),
	}
	if slices.Contains(slices.Collect(maps.Values(a.takes)), admin.Password.Reveal()) {
		report.Outcome, report.Released, report.Stage = rotation.Applied, true, rotation.StageSubmit
		a.says[target.Account] = map[bool]rotation.Outcome{false: rotation.Disabled}[enabled]
	}
	return report
}

// Users implements rotation.Lister, by the same administrators: of an app with an account that nobody knows of.
func (a *Apps) Users(_ context.Context, _ rotation.Target, admin rotation.Credential, each func(rotation.User) error) rotation.Report {
	a.lock.Lock()
	defer a.lock.Unlock()
	report := rotation.Report{
		Outcome: rotation.AdminRejected, Stage: rotation.StageSignIn, Agent: "Simulated/1", Hosts: []string{"wiki.example.com"}, Finished: a.Clock.Pass(time.Second),
	}
	if slices.Contains(slices.Collect(maps.Values(a.takes)), admin.Password.Reveal()) && each(rotation.User{Username: "backdoor"}) == nil {
		report.Outcome, report.Stage = rotation.Applied, rotation.StageSubmit
	}
	return report
}

// Set has an account take a password, and say something else if says is not empty.
func (a *Apps) Set(account core.ID, password string, says rotation.Outcome) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.takes[account], a.says[account] = password, says
}

// Say has an account say something, whatever the password; nothing: it is asked again.
func (a *Apps) Say(account core.ID, says rotation.Outcome) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.says[account] = says
}

// SignIns is how often somebody tried to sign in to an account.
func (a *Apps) SignIns(account core.ID) int {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.tried[account]
}
