package accounts

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// State says how far the stored password can be trusted.
type State string

// The states of an account.
const (
	Unvalidated     State = "unvalidated"      // no sign-in has proved the stored password yet
	Validated       State = "validated"        // a sign-in proved it
	DesyncSuspected State = "desync_suspected" // signs that the app has another one
	Desynced        State = "desynced"         // the app refuses it: automation and access are stopped
	Unmanaged       State = "unmanaged"        // nobody keeps it up to date
	AppDisabled     State = "app_disabled"     // the app has locked or disabled the login
	AtRisk          State = "at_risk"          // somebody who left may still know it
)

// States are all of them, as they are listed.
func States() []State {
	return []State{Unvalidated, Validated, DesyncSuspected, Desynced, Unmanaged, AppDisabled, AtRisk}
}

// Finding is what was learned of a stored password: the reason of every change of state.
type Finding string

// The findings.
const (
	Unproven       Finding = "unproven"      // it was imported, and nothing is known yet
	SignInAccepted Finding = "accepted"      // a fresh sign-in was let in
	Replaced       Finding = "replaced"      // a rotation set another, and proved that the old one is dead
	SignInRefused  Finding = "refused"       // the app said that it is wrong
	SignInDoubted  Finding = "doubted"       // it was refused, and a rotation is finding out which one the app has
	FillsReported  Finding = "reported"      // two people said that it does not work
	NoneAccepted   Finding = "none_accepted" // the app refused every stored password
	Expired        Finding = "expired"       // it is right, and the app wants it changed before anything else
	LoginDisabled  Finding = "disabled"      // the app says that the login is disabled
	LoginLocked    Finding = "locked"        // the app says that the login is locked, as after failed sign-ins
	SwitchedOff    Finding = "switched_off"  // Postern had the app disable the login
	SwitchedOn     Finding = "switched_on"   // and enable it again
	LeaverKnows    Finding = "exposed"       // who is to be locked out may know it, and a rotation is stuck
	Abandoned      Finding = "abandoned"     // everybody's access was taken, and who knows it still does
	Released       Finding = "released"      // somebody took it out of management
	TakenBack      Finding = "managed"       // somebody took it under management again
)

// open are the states in which the password is given out and used.
var open = []State{Unvalidated, Validated, DesyncSuspected, AtRisk}

// transitions is every change of state there is: of what is not in it, the state stays as it is. What the app says
// of an account nobody manages changes nothing: only taking it back does.
var transitions = []struct {
	on   Finding
	from []State
	to   State
}{
	// A sign-in does not end the risk that somebody else can make one: a rotation does.
	{SignInAccepted, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled}, Validated},
	{Replaced, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, Validated},
	// Apps turn away a right password now and then: what once worked is tried twice.
	{SignInRefused, []State{Validated, AtRisk}, DesyncSuspected},
	{SignInRefused, []State{Unvalidated, DesyncSuspected, Desynced, AppDisabled}, Desynced},
	{SignInDoubted, open, DesyncSuspected},
	{FillsReported, []State{Unvalidated, Validated}, DesyncSuspected},
	{NoneAccepted, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, Desynced},
	{Expired, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, Desynced},
	{LoginDisabled, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, AppDisabled},
	{LoginLocked, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, AppDisabled},
	{SwitchedOff, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, AppDisabled},
	{SwitchedOn, []State{AppDisabled}, AppDisabled},
	// What is closed stays closed, whoever knows it.
	{LeaverKnows, open, AtRisk},
	{Abandoned, []State{Unvalidated, Validated, DesyncSuspected, Desynced, AppDisabled, AtRisk}, Unmanaged},
	{Released, States(), Unmanaged},
	{TakenBack, []State{Unmanaged}, Unvalidated},
}

// endsSwitchedOff are the findings that say more of a login Postern had disabled than that it is: what the app says meanwhile
// does not open it, should somebody have enabled it there.
var endsSwitchedOff = []Finding{SwitchedOff, SwitchedOn, Abandoned, Released}

// After is the state that follows a finding; ok is false if it changes nothing.
func (s State) After(finding Finding) (next State, ok bool) {
	for _, one := range transitions {
		if one.on == finding && slices.Contains(one.from, s) {
			return one.to, true
		}
	}
	return s, false
}

// told are the events of arriving in a state.
var told = map[State]core.EventType{
	Unvalidated: core.AccountManaged, Validated: core.AccountValidated, DesyncSuspected: core.AccountDesyncSuspected,
	Desynced: core.AccountDesynced, Unmanaged: core.AccountUnmanaged, AppDisabled: core.AccountAppDisabled, AtRisk: core.AccountAtRisk,
}

const updateState = `
update accounts set state = @state, state_finding = @finding, state_reason = @reason,
	state_since = case when state = @state then state_since else @now end,
	validated = case when @proven then greatest(validated, @now) else validated end
where workspace_id = @workspace and id = @account`

// Learn records what was found out about an account's stored password, and why in words for a person, and
// returns the account as it is after that. A change of state, or of what keeps it closed, is an event that says what to
// do next. What changes nothing by the table is no error.
func (a *Accounts) Learn(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, finding Finding, reason string) (Account, error) {
	before, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return Account{}, err
	}
	state, changes := before.State.After(finding)
	if !changes || before.Finding == SwitchedOff && !slices.Contains(endsSwitchedOff, finding) {
		return before, nil
	}
	after, now := before, a.now()
	after.State, after.Finding, after.StateReason = state, finding, reason
	if state != before.State {
		after.Since = now
	}
	if _, err := tx.Exec(ctx, updateState, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "state": string(state), "finding": string(finding), "reason": reason, "now": now,
		"proven": state == Validated,
	}); err != nil {
		return Account{}, postgres.Classify(err)
	}
	if finding == SwitchedOff || finding == SwitchedOn {
		return after, nil // whoever switched it tells more of it
	}
	if state == before.State && (finding == before.Finding || after.Closed() == nil) {
		return after, nil
	}
	event := core.NewEvent(told[state], workspace, cause, now, after.Target()).Because(reason).
		With("before", string(before.State)).With("state", string(state)).With("finding", string(finding))
	if advice := after.Advice(); advice.Words != "" {
		event = event.With("next", advice.Words)
	}
	switch state {
	case DesyncSuspected, Desynced, AppDisabled, AtRisk:
		event.Outcome = core.Failure
	case Unvalidated, Validated, Unmanaged:
	}
	return after, audit.Append(ctx, tx, event)
}

// Closed is why an account's password is given to nobody and not rotated, with the state as its code; nil
// if it is. Access returns by a sign-in that proves a password.
func (a Account) Closed() *core.Error {
	switch {
	case a.State == Desynced && a.Finding == Expired:
		return core.Denied("the app wants this password changed before it lets anybody work; it must be replaced first").WithCode("desynced")
	case a.State == Desynced:
		return core.Denied("the app refuses the stored password; an owner must set it right first").WithCode("desynced")
	case a.State == AppDisabled && a.Finding == SwitchedOff:
		return core.Denied("this login was disabled at the app from here; an administrator must enable it again").WithCode("app_disabled")
	case a.State == AppDisabled:
		return core.Denied("the app has locked or disabled this login; it must be enabled there, and then be checked").WithCode("app_disabled")
	case a.State == Unmanaged:
		return core.Denied("nobody keeps this password up to date; the account must be taken under management again first").WithCode("unmanaged")
	}
	return nil
}

// Step is what is to be done next about an account.
type Step string

// The steps.
const (
	StepCheck  Step = "check"    // have Postern sign in once
	StepResync Step = "resync"   // have it try the other passwords it has
	StepGive   Step = "password" // store the password the app has now
	StepRotate Step = "rotate"
	StepManage Step = "manage" // take it under management again
	StepShare  Step = "share"  // give it an owner
	StepEnable Step = "enable" // have the app enable it again
	StepReset  Step = "reset"  // have the app's administrator set another password, or its forgotten-password mail
)

// Advice is what to do next about an account.
type Advice struct {
	Words string // empty: nothing
	Steps []Step // that Postern offers for it
	Who   string // who can
}

const (
	keepers    = "an owner of the account or an administrator"
	appKeepers = "an administrator of the app; then an owner of the account or an administrator here"
)

// advice is by what was found out. Nothing is to be done about what is not in it.
var advice = map[Finding]Advice{
	Unproven:      {"Have Postern sign in once, to prove the stored password.", []Step{StepCheck}, keepers},
	TakenBack:     {"Have Postern sign in once, to prove the stored password.", []Step{StepCheck}, keepers},
	SignInDoubted: {"Postern signs in again by itself. To know at once, check it now.", []Step{StepCheck}, keepers},
	FillsReported: {"Postern signs in by itself to find out. To know at once, check it now.", []Step{StepCheck}, keepers},
	SignInRefused: {"If somebody set another password in the app, store that one here. Otherwise have the other passwords tried that Postern has, or reset it in the app and store the new one.",
		[]Step{StepGive, StepResync, StepCheck}, keepers},
	NoneAccepted: {"Reset the password in the app, then store the new one here.", []Step{StepGive, StepCheck}, keepers},
	Expired: {"Rotate it: Postern sets a new password on the page where the app asks for one. If that does not work, reveal it, set a new one by hand and store it here.",
		[]Step{StepRotate, StepGive, StepCheck}, keepers},
	LoginDisabled: {"Have the login enabled in the app, then check it here.", []Step{StepCheck}, appKeepers},
	LoginLocked:   {"Wait until the app unlocks the login, or have it unlocked there, then check it here.", []Step{StepCheck}, appKeepers},
	SwitchedOff:   {"Have the app enable it again: Postern then sets another password, and gives it out once sign-ins have proved that one.", []Step{StepEnable}, "an administrator"},
	SwitchedOn:    {"Postern sets another password, and gives it out once sign-ins have proved that one. If that is stuck, settle what the rotation says.", []Step{StepRotate, StepCheck}, keepers},
	LeaverKnows:   {"Settle what the rotation says, then rotate the account.", []Step{StepRotate}, keepers},
	Abandoned:     {"Share it with an owner, then take it under management again: a sign-in must prove the password before anybody is given it.", []Step{StepShare, StepManage}, "an administrator"},
	Released:      {"Take it under management again: a sign-in must prove the password before anybody is given it.", []Step{StepManage}, keepers},
}

// Advice says what to do next about the account.
func (a Account) Advice() Advice {
	found := advice[a.Finding]
	switch {
	case a.State == DesyncSuspected && a.Finding == SignInRefused:
		found = advice[SignInDoubted]
	case a.Orphaned && a.Finding != Abandoned:
		if found.Words != "" {
			found.Words += " "
		}
		found.Words += "Nobody owns the account: share it with an owner."
		found.Steps = append(slices.Clone(found.Steps), StepShare)
		if found.Who == "" {
			found.Who = "an administrator"
		}
	}
	return found
}
