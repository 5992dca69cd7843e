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

	core.ServiceAccountUpdated:             {"changed the service account", "service_account", "", "", "calm"},
	core.ServiceAccountDeleted:             {"removed the service account", "service_account", "", "", "warn"},
	core.ServiceAccountOwnerAdded:          {"has", "service_account", "answered for by", "grantee", "calm"},
	core.ServiceAccountOwnerRemoved:        {"has", "service_account", "no longer answered for by", "grantee", "warn"},
	core.ServiceAccountCredentialAdded:     {"gave", "service_account", "the credential", "credential", "calm"},
	core.ServiceAccountCredentialRemoved:   {"ended of", "service_account", "the credential", "credential", "warn"},
	core.ServiceAccountCredentialRead:      {"read", "credential", "", "", "calm"},
	core.ServiceAccountRotationStarted:     {"began to rotate of", "service_account", "the credential", "credential", "busy"},
	core.ServiceAccountRotationAdvanced:    {"went on with rotating of", "service_account", "the credential", "credential", "busy"},
	core.ServiceAccountRotationFinished:    {"rotated of", "service_account", "the credential", "credential", "good"},
	core.ServiceAccountRotationRolledBack:  {"kept of", "service_account", "the old value of the credential", "credential", "warn"},
	core.ServiceAccountFindingOpened:       {"raised a finding about", "service_account", "", "", "bad"},
	core.ServiceAccountFindingAcknowledged: {"looks after a finding about", "service_account", "", "", "calm"},
	core.ServiceAccountFindingResolved:     {"resolved a finding about", "service_account", "", "", "good"},

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

	core.AccessDenied:   {"asked for what they may not do", "", "", "", "bad"},
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

	core.GuestInvited:         {"invited", "user", "as a guest", "", "calm"},
	core.GuestAccepted:        {"accepted an invitation", "", "", "", "good"},
	core.GuestInvitationEnded: {"ended the invitation of", "user", "", "", "warn"},

	core.GuestSettingsChanged: {"changed who may invite guests to", "workspace", "", "", "warn"},
	core.PartnerCreated:       {"made a partner of", "partner", "", "", "calm"},
	core.PartnerUpdated:       {"changed the partner", "partner", "", "", "warn"},
	core.PartnerEnded:         {"ended the partner", "partner", "", "", "warn"},

	core.LinkCreated: {"made a link to", "account", "", "", "warn"},
	core.LinkViewed:  {"opened a link to", "account", "", "", "warn"},
	core.LinkRefused: {"was refused by a link to", "account", "", "", "bad"},
	core.LinkEnded:   {"ended a link to", "account", "", "", "calm"},

	core.MailGivenUp: {"gave up the mail to", "mail", "", "", "bad"},

	core.PolicyCreated: {"added the policy", "policy", "", "", "warn"},
	core.PolicyChanged: {"changed the policy", "policy", "", "", "warn"},
	core.PolicyRemoved: {"removed the policy", "policy", "", "", "warn"},

	core.AppCreated:                 {"added the app", "app", "", "", "calm"},
	core.AppReconcileAccountChanged: {"changed which account resets the others of", "app", "", "", "warn"},
	core.AppUpdated:                 {"changed the settings of the app", "app", "", "", "calm"},
	core.AppLoginsListed:            {"listed the accounts of", "app", "", "", "calm"},
	core.AppDryRunFailed:            {"could not go through a password change of", "app", "", "", "bad"},
	core.AppDryRunRecovered:         {"could go through a password change again of", "app", "", "", "good"},
	core.AccountCreated:             {"added the account", "account", "", "", "calm"},
	core.AccountShared:              {"shared", "account", "with", "grantee", "calm"},
	core.AccountUnshared:            {"took", "account", "from", "grantee", "calm"},
	core.AccountGrantExpired:        {"ended as agreed the access to", "account", "of", "grantee", "calm"},
	core.AccountPasswordRevealed:    {"saw the password of", "account", "", "", "warn"},
	core.AccountPasswordFilled:      {"used", "account", "", "", "calm"},
	core.AccountValidated:           {"proved the password of", "account", "", "", "good"},
	core.AccountDesynced:            {"found out of sync", "account", "", "", "bad"},
	core.AccountOrphaned:            {"left without an owner", "account", "", "", "bad"},

	core.AccountDesyncSuspected:  {"suspects out of sync", "account", "", "", "warn"},
	core.AccountAppDisabled:      {"found locked or disabled by the app", "account", "", "", "bad"},
	core.AccountUnmanaged:        {"took out of management", "account", "", "", "warn"},
	core.AccountManaged:          {"took under management again", "account", "", "", "good"},
	core.AccountDisableRequested: {"asked the app to disable", "account", "", "", "warn"},
	core.AccountEnableRequested:  {"asked the app to enable", "account", "", "", "warn"},
	core.AccountDisabled:         {"had the app disable", "account", "", "", "good"},
	core.AccountEnabled:          {"had the app enable", "account", "", "", "good"},
	core.AccountSwitchBlocked:    {"needs a person to disable or enable", "account", "", "", "bad"},
	core.AccountAtRisk:           {"could not lock somebody out of", "account", "", "", "bad"},
	core.AccountCheckRequested:   {"asked for a sign-in check of", "account", "", "", "calm"},
	core.AccountPasswordStored:   {"stored the app’s password of", "account", "", "", "warn"},
	core.AccountFillReported:     {"could not sign in with", "account", "", "", "warn"},
	core.HealthSettingsChanged:   {"changed how often passwords are checked in", "workspace", "", "", "warn"},

	core.AccountOwnerSucceeded:      {"passed", "account", "on to", "grantee", "warn"},
	core.AccountProposalDeclined:    {"declined to give back", "account", "to", "user", "calm"},
	core.TeamProposalDeclined:       {"declined to have the team", "team", "count again for", "user", "calm"},
	core.AccountSuccessionChanged:   {"changed the succession of", "account", "", "", "calm"},
	core.WorkspaceSuccessionChanged: {"changed the succession of accounts in", "workspace", "", "", "warn"},

	core.CertificateIssued:          {"certified what became of the passwords of", "user", "", "", "calm"},
	core.CertificateSettingsChanged: {"changed the certificate settings of", "workspace", "", "", "warn"},

	core.AccountTagged:      {"changed the tags of", "account", "", "", "calm"},
	core.AccountRiskChanged: {"changed the risk of", "account", "", "", "calm"},

	core.AccountTOTPStored:  {"stored the secret of the one-time codes of", "account", "", "", "warn"},
	core.AccountTOTPRemoved: {"removed the one-time codes of", "account", "", "", "warn"},
	core.AccountCodeGiven:   {"was given a one-time code of", "account", "", "", "calm"},

	core.AccountBackupCodesStored: {"stored the backup codes of", "account", "", "", "warn"},
	core.AccountBackupCodeGiven:   {"was given a backup code of", "account", "", "", "warn"},

	core.AccountAddressCreated:  {"gave an e-mail address to", "account", "", "", "calm"},
	core.AccountAddressRemoved:  {"removed the e-mail address of", "account", "", "", "warn"},
	core.AccountPhoneAssigned:   {"assigned a phone number to", "account", "", "", "calm"},
	core.AccountPhoneRemoved:    {"removed the phone number of", "account", "", "", "warn"},
	core.AccountMessageReceived: {"received a message for", "account", "", "", "calm"},
	core.AccountMessageRead:     {"read a message to", "account", "", "", "calm"},
	core.SMSProviderCreated:     {"added the SMS provider", "sms_provider", "", "", "warn"},
	core.SMSProviderRemoved:     {"removed the SMS provider", "sms_provider", "", "", "warn"},

	core.ReassignmentStarted:  {"began to give accounts new owners", "", "", "", "warn"},
	core.ReassignmentFinished: {"gave accounts their new owners", "", "", "", "calm"},

	core.RotationPassedOver:     {"did not rotate", "account", "", "", "warn"},
	core.RotationPlanned:        {"asked for a rotation of", "account", "", "", "busy"},
	core.RotationStarted:        {"began to rotate", "account", "", "", "busy"},
	core.RotationDelayed:        {"will try again to rotate", "account", "", "", "warn"},
	core.RotationBlocked:        {"needs a person to rotate", "account", "", "", "bad"},
	core.RotationReconciling:    {"began a reset of", "account", "", "", "warn"},
	core.AccountPasswordDrifted: {"found an older password on", "account", "", "", "warn"},
	core.AccountPasswordRotated: {"rotated the password of", "account", "", "", "good"},

	core.ImportStarted:  {"began to import accounts for", "user", "", "", "calm"},
	core.ImportFinished: {"finished importing accounts for", "user", "", "", "good"},

	core.SinkCreated:      {"began to deliver events to the sink", "sink", "", "", "calm"},
	core.SinkUpdated:      {"changed the sink", "sink", "", "", "warn"},
	core.SinkDeleted:      {"delivers no events any more to the sink", "sink", "", "", "bad"},
	core.SinkTested:       {"tested the sink", "sink", "", "", "calm"},
	core.SinkReplayed:     {"sent events once more to the sink", "sink", "", "", "calm"},
	core.SinkDiscarded:    {"gave up events that were set aside from the sink", "sink", "", "", "bad"},
	core.SinkMissed:       {"let go of old records of the log before they reached the sink", "sink", "", "", "bad"},
	core.SinkPaused:       {"paused the sink", "sink", "", "", "bad"},
	core.SinkResumed:      {"resumed the sink", "sink", "", "", "good"},
	core.SinkDeadLettered: {"set an event aside from the sink", "sink", "", "", "bad"},

	core.CheckpointSigned: {"signed a checkpoint of the log", "", "", "", "calm"},
	core.RecordUnreadable: {"found a damaged record of the log", "", "", "", "bad"},
	core.RetentionApplied: {"let go of old records of the log", "", "", "", "calm"},
	core.AuditHoldPlaced:  {"put all records of the log on hold", "", "", "", "warn"},
	core.AuditHoldLifted:  {"lifted the hold on the records of the log", "", "", "", "warn"},

	core.ReviewCampaignCreated: {"set up the access reviews", "review_campaign", "", "", "calm"},
	core.ReviewCampaignChanged: {"changed the access reviews", "review_campaign", "", "", "warn"},
	core.ReviewCampaignRemoved: {"removed the access reviews", "review_campaign", "", "", "warn"},
	core.ReviewStarted:         {"began the access review", "review", "", "", "busy"},
	core.ReviewReassigned:      {"handed on items of the access review", "review", "to", "user", "calm"},
	core.ReviewItemDecided:     {"decided about the access to", "account", "of", "grantee", "calm"},
	core.ReviewCancelled:       {"cancelled the access review", "review", "", "", "warn"},
	core.ReviewClosed:          {"closed the access review", "review", "", "", "good"},
	core.ReviewSigned:          {"signed the evidence of the access review", "review", "", "", "calm"},
	core.ReviewSettingsChanged: {"changed the settings of small reviews of", "workspace", "", "", "warn"},
}

// ours are the events that Postern itself makes happen, whoever is the cause: the sentence begins
// with Postern, and the cause is in the correlation.
var ours = map[core.EventType]bool{
	core.ReviewClosed: true, core.ReviewSigned: true,
	core.RotationStarted: true, core.RotationDelayed: true, core.RotationBlocked: true, core.RotationReconciling: true, core.AccountPasswordDrifted: true,
	core.AccountPasswordRotated: true, core.AccountValidated: true, core.AccountDesynced: true, core.AccountOrphaned: true,
	core.AccountOwnerSucceeded: true, core.CertificateIssued: true, core.ReassignmentFinished: true,
	core.AccountDesyncSuspected: true, core.AccountDisabled: true, core.AccountEnabled: true, core.AccountSwitchBlocked: true, core.AccountAppDisabled: true, core.AccountAtRisk: true,
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
	if event.Type == core.ReviewItemDecided {
		if service, ok := targetOf(event, "service_account"); ok {
			told.Object = service
		}
		if said, known := map[string]string{"keep": "kept the access to", "revoke": "revoked the access to", "change": "narrowed the access to"}[event.Data["decision"]]; known {
			told.Verb = said
		}
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
