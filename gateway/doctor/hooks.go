package doctor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"postern/core/directory"
	"postern/core/signals"
	"postern/webhooks/hooks"
)

// HookState is how a hook of a sender of events goes.
type HookState struct {
	ID       string     `json:"id" format:"uuid"`
	Name     string     `json:"name"`
	Kind     string     `json:"kind" enum:"okta,graph,standard,signed"`
	Heard    *time.Time `json:"last_heard,omitempty" doc:"When a message last came that was believed"`
	Type     string     `json:"last_type,omitempty" doc:"What it was about"`
	Failed   *Failure   `json:"last_failure,omitempty"`
	Verified *time.Time `json:"verified,omitempty" doc:"When the sender last proved that it reaches us"`
	Expires  *time.Time `json:"subscription_expires,omitempty" doc:"Microsoft Graph's, unless it is renewed"`
	Missed   bool       `json:"missed" doc:"Microsoft Graph said that it lost notifications, and that is not made good yet"`
	Filled   *time.Time `json:"filled_until,omitempty" doc:"Until when Okta's System Log was read"`
}

// hookDoors are the doors of signals that hooks are.
var hookDoors = map[hooks.Kind]signals.Door{
	hooks.Okta: signals.OktaEventHook, hooks.Graph: signals.Graph, hooks.Standard: signals.StandardWebhook, hooks.Signed: signals.SignedWebhook,
}

// hookRemedies say what to do where a hook means something else by a stage than a token does.
var hookRemedies = map[string]string{
	hooks.StageSelfTest: "this was the doctor's own self-test, or somebody who calls themselves so",
	"secret":            "what was sent as the secret is not this hook's: give the sender the one Postern made, or make a new one: postern hook rotate NAME",
	"signature":         "no signature was made with this hook's secret: compare it at the sender, and see that no proxy changes bodies",
	"timestamp":         "the message is older, or newer, than it may be: compare the clocks; a sender that repeats late has to sign anew",
	"tenant":            "the notification is of another tenant than the hook's: check the tenant id",
	"body":              "what came is not the JSON that this kind of hook sends, or not what was signed: see that the sender calls this very address",
	"subject":           "the message names nobody at the places that the mapping says: try one: postern hook test NAME FILE",
	"replayed":          "two messages came under one id: the sender, or somebody who caught one, changed it",
	"api":               "the sender's API does not answer as it should: check the address, the client and its secret, and its permissions",
}

func hookRemedy(stage string) string { return cmp.Or(hookRemedies[stage], Remedy(stage)) }

// late is how long after its time the worker may be before somebody should look.
const late = 10 * time.Minute

// hooks fills in how each hook of a connection does.
func (d *Doctor) hooks(ctx context.Context, connection directory.Connection, out *Diagnosis) (map[signals.Door]bool, error) {
	all, err := (&hooks.Service{DB: d.DB}).Hooks(ctx, d.DB, connection.Workspace)
	if err != nil {
		return nil, err
	}
	there := map[signals.Door]bool{}
	for _, one := range all {
		if one.Connection != connection.ID {
			continue
		}
		there[hookDoors[one.Kind]] = true
		row := HookState{
			ID: one.ID.String(), Name: one.Name, Kind: string(one.Kind), Heard: one.LastHeard, Type: one.LastType, Verified: one.Verified,
			Expires: one.RemoteEnds, Missed: one.Resync, Filled: one.Filled,
		}
		if one.LastErrorAt != nil && one.LastError != "" {
			row.Failed = &Failure{At: *one.LastErrorAt, Stage: one.LastErrorStage, Says: one.LastError, Advice: hookRemedy(one.LastErrorStage)}
		}
		out.Hooks = append(out.Hooks, row)
		d.hook(one, row, out)
	}
	return there, nil
}

// hook says how one hook does: whether the sender's API can be used, what only its kind needs, and what came last.
func (d *Doctor) hook(one hooks.Hook, row HookState, out *Diagnosis) {
	about, found := "hook "+one.Name, len(out.Findings)
	if one.Due != nil && d.now().Sub(*one.Due) > late {
		out.find(Fault, about, "the worker should have looked at it "+ago(d.now(), *one.Due)+" and has not", "see that a process with the role worker runs, and what it logs")
	}
	switch one.Kind {
	case hooks.Graph:
		d.subscription(one, row, about, out)
	case hooks.Okta:
		d.okta(one, row, about, out)
	case hooks.Standard, hooks.Signed:
		if one.LastHeard == nil && row.Failed == nil {
			out.find(Warning, about, "no message ever came", "paste its address at the sender: postern hook list tells it")
		}
	}
	if row.Failed != nil && row.Failed.Stage != "api" {
		last := fmt.Sprintf("the last it did not take, %s, failed at %s: %s", ago(d.now(), row.Failed.At), row.Failed.Stage, row.Failed.Says)
		if one.LastHeard != nil && one.LastHeard.After(row.Failed.At) || d.now().Sub(row.Failed.At) > 7*24*time.Hour {
			out.find(Note, about, last, row.Failed.Advice)
		} else {
			out.find(Warning, about, last, row.Failed.Advice)
		}
	}
	if len(out.Findings) == found && one.LastHeard != nil {
		out.find(Good, about, "it last heard of "+cmp.Or(one.LastType, "something")+" "+ago(d.now(), *one.LastHeard), "")
	}
}

// subscription looks at a hook's subscription at Microsoft Graph.
func (d *Doctor) subscription(one hooks.Hook, row HookState, about string, out *Diagnosis) {
	why, advice := "", "see that a process with the role worker runs"
	failing := row.Failed != nil && row.Failed.Stage == "api"
	if failing {
		why, advice = ": "+row.Failed.Says, row.Failed.Advice
	}
	switch {
	case one.RemoteID == "" && !failing && d.now().Sub(one.Updated) < time.Minute:
		out.find(Note, about, "its subscription is being made", "look again in a minute")
	case one.RemoteID == "" || one.RemoteEnds == nil:
		out.find(Fault, about, "there is no subscription: Microsoft tells nothing"+why, advice)
	case !one.RemoteEnds.After(d.now()):
		out.find(Fault, about, "its subscription ended "+ago(d.now(), *one.RemoteEnds)+": Microsoft tells nothing"+why, advice)
	case one.RemoteEnds.Sub(d.now()) < hooks.Lifetime/3-late:
		level := Warning
		if one.RemoteEnds.Sub(d.now()) < 2*24*time.Hour {
			level = Fault
		}
		out.find(level, about, "its subscription ends in "+Span(one.RemoteEnds.Sub(d.now()).Seconds())+", and was not renewed"+why, advice)
	case failing:
		out.find(Fault, about, "Microsoft Graph cannot be asked how people changed"+why, advice)
	default:
		out.find(Good, about, "its subscription is good for "+Span(one.RemoteEnds.Sub(d.now()).Seconds()), "")
	}
	if one.Resync {
		out.find(Warning, about, "Microsoft lost notifications, and who changed meanwhile is not looked at yet"+why, advice)
	}
}

// okta looks at an Event Hook, and at the System Log that fills its gaps.
func (d *Doctor) okta(one hooks.Hook, row HookState, about string, out *Diagnosis) {
	if one.Verified == nil && one.LastHeard == nil {
		out.find(Warning, about, "Okta never verified it", "in Okta: Workflow › Event Hooks › your hook › Actions › Verify")
	}
	switch {
	case one.Settings.Access.Address == "":
		out.find(Note, about, "what Okta does not deliver stays unknown: it tries twice at most", "let Postern read the System Log: make the hook with --api https://YOUR-ORG.okta.com and --access file:token")
	case row.Failed != nil && row.Failed.Stage == "api":
		out.find(Fault, about, "the System Log cannot be read: "+row.Failed.Says, row.Failed.Advice)
	case one.Filled != nil && d.now().Sub(*one.Filled) > time.Hour+late:
		out.find(Warning, about, "the System Log was last read until "+ago(d.now(), *one.Filled), "see that a process with the role worker runs")
	}
}
