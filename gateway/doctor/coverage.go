package doctor

import (
	"fmt"
	"strings"
	"time"

	"postern/core/signals"
)

// Path is one door an action comes in by, and how late at worst.
type Path struct {
	Door    string
	Worst   time.Duration // on the provider's side; Postern acts within a second of hearing
	If      string        // what has to be set up for it there
	Assumed bool          // Worst is our assumption: the provider does not say
}

// Action is something an administrator, a policy or a person does at an identity provider, and how it reaches us.
type Action struct {
	Provider string
	Name     string
	Paths    []Path // none: nothing tells us
	Note     string
}

// Doors of the matrix, by the names of signals' where they have one.
var (
	bySCIM = func(worst time.Duration, condition string) Path {
		return Path{Door: DoorSCIM, Worst: worst, If: condition}
	}
	byUL = func(condition string) Path {
		return Path{Door: string(signals.UniversalLogout), Worst: time.Minute, If: condition}
	}
	byBack = func(condition string) Path {
		return Path{Door: string(signals.BackChannelLogout), Worst: time.Minute, If: condition}
	}
	byPush = func(condition string) Path {
		return Path{Door: string(signals.SSFPush), Worst: time.Minute, If: condition}
	}
	byHook = func(condition string) Path {
		return Path{Door: string(signals.OktaEventHook), Worst: time.Minute, If: condition}
	}
	byGraph = func(condition string) Path {
		return Path{Door: string(signals.Graph), Worst: 5 * time.Minute, If: condition}
	}
)

// Actions is the coverage matrix: which action at which provider reaches us by which door, and how late at worst.
// Its delays are the providers' own words where they give any, and what was seen of them otherwise; those of Google
// and of providers we do not know are marked as assumptions.
func Actions() []Action {
	const cycle = 40 * time.Minute // Entra ID's provisioning cycle
	hook, graph := "an event hook for the type", "a change notification for users"
	actions := []Action{
		{Okta, "deactivate or suspend a user, or unassign the app", []Path{bySCIM(time.Minute, "deactivate users is on"), byHook(hook)}, "no Universal Logout: deactivation is not among its triggers. Suspension sends no SCIM either, only the hook"},
		{Okta, "clear sessions, \"logout enabled apps\" ticked", []Path{byUL("Universal Logout is on for the app"), byHook(hook)}, ""},
		{Okta, "clear sessions, the box not ticked", []Path{byHook(hook)}, "the Workflows card Clear User Sessions is the same"},
		{Okta, "entity risk or session protection policy", []Path{byUL("Identity Threat Protection")}, "a policy of one app logs out of that app alone"},
		{Okta, "password changed or reset", []Path{byPush("a stream"), byHook(hook)}, ""},
		{Okta, "second factors reset", []Path{byPush("a stream"), byHook(hook)}, ""},
		{Okta, "the person signs out", []Path{byPush("a stream"), byHook(hook)}, "session-revoked of a stream is about user.session.end alone"},
		{Entra, "disable or delete a user, or unassign the app", []Path{bySCIM(cycle, "provisioning is on"), byGraph(graph)}, "provisioning runs every 20 to 40 minutes"},
		{Entra, "revoke sessions", []Path{byGraph(graph)}, "neither front-channel nor back-channel logout is sent; Continuous Access Evaluation is for Microsoft's own services"},
		{Entra, "password changed, or high risk", []Path{byGraph(graph)}, "only what changes the user's record"},
		{Entra, "the person signs out", []Path{{Door: string(signals.FrontChannelLogout), Worst: time.Minute, If: "the browser still lets third parties keep cookies"}}, "a convenience; nobody signed it"},
		{Keycloak, "disable a user", []Path{bySCIM(time.Minute, "an extension that is a SCIM client")}, "by itself it tells nobody (26.7), and sessions there live on: sign out the user's sessions too"},
		{Keycloak, "delete a user", []Path{bySCIM(time.Minute, "an extension that is a SCIM client")}, "no back-channel logout is sent: sign out the user's sessions before"},
		{Keycloak, "sign out a user's sessions", []Path{byBack("the client has our address"), byPush("a stream")}, "of a disabled user too"},
		{Keycloak, "the person signs out", []Path{byBack("the client has our address"), byPush("a stream")}, ""},
		{Keycloak, "password changed", []Path{byPush("a stream")}, ""},
		{Google, "suspend or delete a user", []Path{bySCIM(24*time.Hour, "auto-provisioning of the app")}, "Google does not say how late"},
		{Google, "sign a user out everywhere", nil, "Google sends no logout to applications"},
		{Google, "account hijacked or disabled", []Path{byPush("Cross-Account Protection")}, "of accounts that signed in with Google"},
		{Generic, "deactivate a user", []Path{bySCIM(time.Hour, "SCIM provisioning"), byPush("a stream with account-disabled")}, "how late depends on the provider"},
		{Generic, "end a session", []Path{byBack("back-channel logout is supported"), byPush("a stream with session-revoked")}, ""},
		{Generic, "revoke everything of a person", []Path{byUL("Global Token Revocation is supported"), byPush("a stream with session-revoked")}, ""},
		{Generic, "password compromised", []Path{byPush("a stream with credential-compromise")}, ""},
	}
	for _, action := range actions {
		for i := range action.Paths {
			action.Paths[i].Assumed = action.Provider == Google || action.Provider == Generic
		}
	}
	return actions
}

// Way is a path, and how it stands at one connection.
type Way struct {
	Door       string  `json:"door"`
	Worst      float64 `json:"worst" doc:"Seconds until it is heard of, at worst"`
	Assumed    bool    `json:"assumed" doc:"How late is an assumption: the provider does not say"`
	If         string  `json:"if,omitempty" doc:"What the provider has to be set up with"`
	Configured bool    `json:"configured"`
	Seen       bool    `json:"seen" doc:"It was seen working"`
}

// Covered is an action as it reaches one connection.
type Covered struct {
	Action  string  `json:"action"`
	Ways    []Way   `json:"ways" nullable:"false"`
	Bound   float64 `json:"bound" doc:"Seconds after which nobody is signed in any more, at worst"`
	Assumed bool    `json:"assumed" doc:"The bound is an assumption: the provider does not say how late it is"`
	By      string  `json:"by" doc:"What the bound comes from: a door that was seen working, or session_life"`
	Note    string  `json:"note,omitempty"`
}

// cover marks the matrix with what a connection has. What nothing tells us ends with the session at the latest.
func cover(provider string, doors []Door, life time.Duration) []Covered {
	at := map[string]Door{}
	for _, one := range doors {
		at[one.Door] = one
	}
	out := []Covered{}
	for _, action := range Actions() {
		if action.Provider != provider {
			continue
		}
		row := Covered{Action: action.Name, Ways: []Way{}, Bound: life.Seconds(), By: "session_life", Note: action.Note}
		for _, path := range action.Paths {
			way := Way{path.Door, path.Worst.Seconds(), path.Assumed, path.If, at[path.Door].Configured, at[path.Door].Last != nil}
			row.Ways = append(row.Ways, way)
			if way.Seen && way.Worst < row.Bound { // configured is a hope: what was never seen bounds nothing
				row.Bound, row.Assumed, row.By = way.Worst, way.Assumed, way.Door
			}
		}
		out = append(out, row)
	}
	return out
}

// Table is the matrix as Markdown, as the README has it.
func Table() string {
	var out strings.Builder
	out.WriteString("| at | what happens | reaches Postern by, at worst after | |\n|---|---|---|---|\n")
	titles := map[string]string{Okta: "Okta", Entra: "Entra ID", Keycloak: "Keycloak", Google: "Google", Generic: "others"}
	for _, action := range Actions() {
		var ways []string
		for _, path := range action.Paths {
			ways = append(ways, fmt.Sprintf("%s, %s (%s)", DoorName(path.Door), Late(path.Worst.Seconds(), path.Assumed), path.If))
		}
		if len(ways) == 0 {
			ways = []string{"**nothing**: the session's life bounds it"}
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", titles[action.Provider], action.Name, strings.Join(ways, "; "), action.Note)
	}
	return out.String()
}

// DoorName is a door as a person says it.
func DoorName(door string) string {
	names := map[string]string{
		DoorSCIM: "SCIM", DoorSignIn: "sign-in", string(signals.UniversalLogout): "Universal Logout", string(signals.BackChannelLogout): "back-channel logout",
		string(signals.FrontChannelLogout): "front-channel logout", string(signals.SSFPush): "Shared Signals", string(signals.SSFPoll): "Shared Signals (polled)",
		string(signals.OktaEventHook): "Okta event hook", string(signals.Graph): "Microsoft Graph", "session_life": "the session's life",
	}
	if name, known := names[door]; known {
		return name
	}
	return strings.ReplaceAll(door, "_", " ")
}

// Late is how late something is heard of, in one unit.
func Late(seconds float64, assumed bool) string {
	if assumed {
		return "assumed " + Span(seconds)
	}
	return Span(seconds)
}

// Span is a time in one unit.
func Span(seconds float64) string {
	given := time.Duration(seconds * float64(time.Second))
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if count := int(given.Round(unit.size) / unit.size); given >= unit.size && count == 1 {
			return "1 " + unit.name
		} else if given >= unit.size {
			return fmt.Sprintf("%d %ss", count, unit.name)
		}
	}
	return "at once"
}
