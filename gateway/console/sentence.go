package console

import (
	"strconv"
	"time"

	"postern/core"
	"postern/core/audit"
)

// line is an event as a sentence: who, did what, to what.
type line struct {
	Sequence int64
	Event    core.Event
	Tone     string
	Actor    string
	Verb     string
	Object   core.Target
	Tail     string // between object and second
	Second   core.Target
	Note     string
}

// saying is how the events of a type are told.
type saying struct {
	verb   string
	object string // kind of the target that is the object
	tail   string
	second string // kind of a second target
	tone   string
}

var sayings = map[core.EventType]saying{
	core.WorkspaceCreated:       {"created the workspace", "workspace", "", "", "calm"},
	core.ConnectionCreated:      {"connected", "connection", "", "", "calm"},
	core.ConnectionTokenCreated: {"made a token for", "connection", "", "", "calm"},
	core.ServiceAccountCreated:  {"created the service account", "service_account", "", "", "calm"},

	core.ConnectionUpdated:          {"changed the connection", "connection", "", "", "calm"},
	core.ConnectionTokenRevoked:     {"revoked a token of", "connection", "", "", "warn"},
	core.ConnectionClientCreated:    {"made an OAuth client for", "connection", "", "", "calm"},
	core.ConnectionClientRevoked:    {"revoked an OAuth client of", "connection", "", "", "warn"},
	core.ConnectionTokenIssued:      {"took an access token for", "connection", "", "", "calm"},
	core.ConnectionThrottled:        {"asked for more than its share", "", "", "", "warn"},
	core.ServiceAccountTokenCreated: {"made a token for", "service_account", "", "", "calm"},
	core.ServiceAccountTokenRevoked: {"revoked a token of", "service_account", "", "", "warn"},

	core.SigningKeyCreated: {"made the first signing key", "signing_key", "", "", "calm"},
	core.SigningKeyRotated: {"made the next signing key", "signing_key", "", "", "calm"},

	core.DeparturesHeld:         {"sent more people away than the guard lets through:", "connection", "", "", "bad"},
	core.DeparturesApproved:     {"approved the departures held for", "connection", "", "", "warn"},
	core.DeparturesRejected:     {"rejected the departures held for", "connection", "", "", "warn"},
	core.UserDepartureHeld:      {"sent", "user", "away; what they had waits for a decision", "", "warn"},
	core.UserDepartureWithdrawn: {"took back the departure of", "user", "", "", "good"},
	core.UserRestored:           {"restored", "user", "", "", "good"},

	core.UserProvisioned:   {"provisioned", "user", "", "", "calm"},
	core.UserUpdated:       {"updated", "user", "", "", "calm"},
	core.UserDeprovisioned: {"deprovisioned", "user", "", "", "warn"},
	core.UserReactivated:   {"reactivated", "user", "", "", "calm"},
	core.UserDeleted:       {"deleted", "user", "", "", "warn"},
	core.UserLoggedOut:     {"logged out", "user", "everywhere", "", "warn"},

	core.TeamCreated:       {"created the team", "team", "", "", "calm"},
	core.TeamUpdated:       {"updated the team", "team", "", "", "calm"},
	core.TeamDeleted:       {"deleted the team", "team", "", "", "calm"},
	core.TeamMemberAdded:   {"added", "user", "to", "team", "calm"},
	core.TeamMemberRemoved: {"removed", "user", "from", "team", "calm"},

	core.SessionStarted: {"signed in", "", "", "", "calm"},
	core.SessionEnded:   {"ended a session of", "user", "", "", "calm"},
	core.SignInFailed:   {"could not sign somebody in", "", "", "", "bad"},

	core.SessionSteppedUp:       {"proved themselves anew", "", "", "", "calm"},
	core.SessionSettingsChanged: {"changed the session settings of", "workspace", "", "", "warn"},

	core.RequestRefused: {"sent a request that was refused", "", "", "", "bad"},
	core.SignalAccepted: {"sent a signal about", "user", "", "", "warn"},
	core.SignalRefused:  {"refused a signal for", "connection", "", "", "bad"},

	core.SignalPolicyChanged:      {"changed what signals do", "", "", "", "warn"},
	core.SignalsHeld:              {"sent signals about more people than the guard lets through:", "connection", "", "", "bad"},
	core.SignalsApproved:          {"approved the signals held for", "connection", "", "", "warn"},
	core.SignalsRejected:          {"rejected the signals held for", "connection", "", "", "warn"},
	core.UserRestricted:           {"restricted", "user", "", "", "warn"},
	core.UserRestrictionLifted:    {"lifted the restriction of", "user", "", "", "good"},
	core.UserStepUpRequired:       {"asks for a new sign-in of", "user", "", "", "warn"},
	core.UserReactivationProposed: {"proposed to let in again", "user", "", "", "warn"},
	core.UserUnlinked:             {"unlinked an identifier of", "user", "", "", "warn"},
	core.UserRelinked:             {"changed an identifier of", "user", "", "", "calm"},

	core.StreamCreated:   {"began to hear signals by the stream", "stream", "of", "connection", "calm"},
	core.StreamUpdated:   {"changed the stream", "stream", "of", "connection", "warn"},
	core.StreamVerified:  {"proved the stream", "stream", "of", "connection", "good"},
	core.StreamFailing:   {"cannot hear the stream", "stream", "of", "connection", "bad"},
	core.StreamRecovered: {"hears again the stream", "stream", "of", "connection", "good"},
	core.StreamDeleted:   {"ended the stream", "stream", "of", "connection", "warn"},

	core.ReceiverCreated:      {"began to tell signals to", "receiver", "", "", "calm"},
	core.ReceiverUpdated:      {"changed the receiver", "receiver", "", "", "calm"},
	core.ReceiverDeleted:      {"tells no signals any more to", "receiver", "", "", "warn"},
	core.ReceiverTokenIssued:  {"took an access token for", "receiver", "", "", "calm"},
	core.LogoutTargetCreated:  {"tells of logouts from now on", "logout_target", "", "", "calm"},
	core.LogoutTargetUpdated:  {"changed the logout target", "logout_target", "", "", "calm"},
	core.LogoutTargetDeleted:  {"tells no logouts any more to", "logout_target", "", "", "warn"},
	core.DeliveryDeadLettered: {"could not deliver a message", "", "", "", "bad"},
	core.DeliveryDisabled:     {"gave up delivering", "", "", "", "bad"},

	core.HookCreated:    {"began to hear events by the hook", "hook", "of", "connection", "calm"},
	core.HookUpdated:    {"changed the hook", "hook", "", "", "warn"},
	core.HookFailing:    {"cannot reach the sender of the hook", "hook", "", "", "bad"},
	core.HookDeleted:    {"hears no events any more by the hook", "hook", "", "", "warn"},
	core.WebhookCreated: {"began to tell events to the webhook", "webhook", "", "", "calm"},
	core.WebhookUpdated: {"changed the webhook", "webhook", "", "", "warn"},
	core.WebhookDeleted: {"tells no events any more to the webhook", "webhook", "", "", "warn"},

	core.PolicyCreated: {"added the policy", "policy", "", "", "warn"},
	core.PolicyChanged: {"changed the policy", "policy", "", "", "warn"},
	core.PolicyRemoved: {"removed the policy", "policy", "", "", "warn"},

	core.AppCreated:              {"added the app", "app", "", "", "calm"},
	core.AccountCreated:          {"added the account", "account", "", "", "calm"},
	core.AccountShared:           {"shared", "account", "with", "grantee", "calm"},
	core.AccountUnshared:         {"took", "account", "from", "grantee", "calm"},
	core.AccountGrantExpired:     {"ended as agreed the access to", "account", "of", "grantee", "calm"},
	core.AccountPasswordRevealed: {"saw the password of", "account", "", "", "warn"},
	core.AccountPasswordFilled:   {"used", "account", "", "", "calm"},
	core.AccountValidated:        {"proved the password of", "account", "", "", "good"},
	core.AccountDesynced:         {"found out of sync", "account", "", "", "bad"},
	core.AccountOrphaned:         {"left without an owner", "account", "", "", "bad"},

	core.AccountOwnerSucceeded:      {"passed", "account", "on to", "grantee", "warn"},
	core.AccountProposalDeclined:    {"declined to give back", "account", "to", "user", "calm"},
	core.AccountSuccessionChanged:   {"changed the succession of", "account", "", "", "calm"},
	core.WorkspaceSuccessionChanged: {"changed the succession of accounts in", "workspace", "", "", "warn"},

	core.CertificateIssued:          {"certified what became of the passwords of", "user", "", "", "calm"},
	core.CertificateSettingsChanged: {"changed the certificate settings of", "workspace", "", "", "warn"},

	core.AccountTagged: {"changed the tags of", "account", "", "", "calm"},

	core.RotationPassedOver:     {"did not rotate", "account", "", "", "warn"},
	core.RotationPlanned:        {"asked for a rotation of", "account", "", "", "busy"},
	core.RotationStarted:        {"began to rotate", "account", "", "", "busy"},
	core.RotationDelayed:        {"will try again to rotate", "account", "", "", "warn"},
	core.RotationBlocked:        {"needs a person to rotate", "account", "", "", "bad"},
	core.AccountPasswordDrifted: {"found an older password on", "account", "", "", "warn"},
	core.AccountPasswordRotated: {"rotated the password of", "account", "", "", "good"},

	core.SinkPaused:       {"paused the sink", "sink", "", "", "bad"},
	core.SinkResumed:      {"resumed the sink", "sink", "", "", "good"},
	core.SinkDeadLettered: {"set an event aside from the sink", "sink", "", "", "bad"},

	core.CheckpointSigned: {"signed a checkpoint of the log", "", "", "", "calm"},
}

// ours are the events that Postern itself makes happen, whoever is the cause: the sentence begins
// with Postern, and the cause is in the correlation.
var ours = map[core.EventType]bool{
	core.RotationStarted: true, core.RotationDelayed: true, core.RotationBlocked: true, core.AccountPasswordDrifted: true,
	core.AccountPasswordRotated: true, core.AccountValidated: true, core.AccountDesynced: true, core.AccountOrphaned: true,
	core.AccountOwnerSucceeded: true, core.CertificateIssued: true,
	core.SignalRefused: true, core.StreamVerified: true, core.StreamFailing: true, core.StreamRecovered: true,
	core.DeliveryDeadLettered: true, core.DeliveryDisabled: true, core.HookFailing: true, core.RotationPassedOver: true,
}

func lineOf(record audit.Record) line {
	event := record.Event
	said, ok := sayings[event.Type]
	if !ok {
		said = saying{verb: string(event.Type), tone: "calm"}
	}
	told := line{Sequence: record.Sequence, Event: event, Tone: said.tone, Actor: event.Actor.Name, Verb: said.verb, Tail: said.tail, Note: event.Reason}
	if told.Actor == "" || ours[event.Type] {
		told.Actor = core.System.Name
	}
	told.Object, _ = targetOf(event, said.object)
	switch said.second {
	case "":
	case "grantee":
		if target, found := targetOf(event, "user"); found {
			told.Second = target
		} else {
			told.Second, _ = targetOf(event, "team")
		}
	default:
		told.Second, _ = targetOf(event, said.second)
	}
	if event.Type == core.SessionEnded && event.Actor.ID == told.Object.ID {
		told.Verb, told.Object = "signed out", core.Target{}
	}
	if event.Type == core.AccountPasswordRotated {
		if millis, err := strconv.ParseInt(event.Data["time_to_lockout_ms"], 10, 64); err == nil {
			told.Note = "locked out after " + span(time.Duration(millis)*time.Millisecond)
		}
	}
	if event.Type == core.SignalAccepted && (event.Data["kind"] == "logout" || event.Data["kind"] == "session_revoked") {
		told.Verb = "asked to log out"
	}
	if told.Note == "" {
		told.Note = event.Data["changed"]
	}
	return told
}
