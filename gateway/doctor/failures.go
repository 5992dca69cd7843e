package doctor

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/journal"
)

// lastFailures is how many of a door's are told.
const lastFailures = 10

// scimStages say at which check a request of SCIM failed, by how it was answered, and what to do about it.
var scimStages = map[int]struct{ stage, advice string }{
	400: {"request", "the provider sent what cannot be read, or may not be so: see its attribute mappings, and the request with its body in the console"},
	403: {"permission", "what the provider asked for is not its to do: see the request in the console"},
	404: {"resource", "the provider means somebody who is not here any more: have it provision them anew, or restart its provisioning"},
	409: {"uniqueness", "somebody else has this name here: say at the provider who is who"},
	412: {"version", "it was changed meanwhile: the provider repeats it by itself"},
	413: {"size", "the request is too large: have the provider send less at once"},
	429: {"rate", "the provider asks faster than it may: it repeats by itself"},
}

// provisioned is how provisioning did lately.
func (d *Doctor) provisioned(ctx context.Context, connection directory.Connection) (Door, error) {
	door := Door{Door: DoorSCIM, Failures: []Failure{}}
	latest, err := journal.List(ctx, d.DB, connection.Workspace, journal.Query{Connection: connection.ID, Newest: true, Changes: true, Limit: 100})
	if err != nil {
		return door, err
	}
	for _, one := range latest {
		if one.Status < 400 {
			door.Last = &one.Received
			break
		}
	}
	refused, err := journal.List(ctx, d.DB, connection.Workspace, journal.Query{Connection: connection.ID, Newest: true, Refused: true, Limit: lastFailures})
	if err != nil {
		return door, err
	}
	for _, one := range refused {
		at, known := scimStages[one.Status]
		if !known {
			at.stage, at.advice = strconv.Itoa(one.Status), "see the request in the console: Requests"
		}
		door.Failures = append(door.Failures, Failure{At: one.Received, Stage: at.stage, Says: one.Detail, Advice: at.advice, Subject: one.Method + " " + one.Address})
	}
	door.Configured = len(latest) > 0
	return door, nil
}

// signInRemedies say what to do about the codes that sign-ins fail with.
var signInRemedies = map[string]string{
	"client_refused":         "the client id, secret or key is wrong at the provider, or has expired: give the connection a new one: postern connection update NAME",
	"not_provisioned":        "the provider knows them, and has not provisioned them: assign them there",
	"user_inactive":          "the provider deactivated them: assign them there again",
	"token_refused":          "the ID token did not pass: compare the issuer, the client id and the clocks",
	"wrong_issuer":           "the answer came from another issuer than the connection's: compare them letter by letter",
	"provider_misconfigured": "the provider and the connection disagree about its settings: see the findings about discovery and keys",
	"provider_down":          "the provider could not be reached from here: see names, certificates and firewalls",
	"outsider":               "they signed in with an account of another organisation",
	"flow_over":              "they took too long, or went back: nothing to do if it is rare",
}

// signInsRefused are the last sign-ins that failed, the latest first. The log tells of them.
func (d *Doctor) signInsRefused(ctx context.Context, connection directory.Connection) ([]Failure, error) {
	failures := []Failure{}
	found, err := audit.List(ctx, d.DB, connection.Workspace, audit.Query{
		Target: connection.ID, Types: []core.EventType{core.SignInFailed}, Descending: true, Limit: lastFailures,
	})
	for _, one := range found {
		said := one.Event
		suppressed, _ := strconv.Atoi(said.Data["suppressed"])
		failures = append(failures, Failure{
			At: said.Occurred, Stage: cmp.Or(said.Data["code"], "unknown"), Says: strings.TrimSpace(said.Reason + " " + said.Data["provider_code"]),
			Advice:  cmp.Or(signInRemedies[said.Data["code"]], "read the event in the activity: it says what was wrong"),
			Subject: cmp.Or(said.Data["user_name"], said.Data["subject"]), Address: said.Origin.Address, Suppressed: suppressed,
		})
	}
	return failures, err
}
