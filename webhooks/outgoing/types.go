package outgoing

import "postern/core"

// EventTypes are the types webhooks can be had for: all that Postern records, in the order of the catalogue.
func EventTypes() []core.EventType {
	return []core.EventType{
		core.WorkspaceCreated, core.ConnectionCreated, core.ConnectionUpdated, core.ConnectionTokenCreated, core.ConnectionTokenRevoked,
		core.ConnectionClientCreated, core.ConnectionClientRevoked, core.ConnectionTokenIssued, core.ConnectionThrottled, core.ServiceAccountCreated,
		core.ServiceAccountTokenCreated, core.ServiceAccountTokenRevoked, core.UserProvisioned, core.UserUpdated, core.UserDeprovisioned,
		core.UserReactivated, core.UserDeleted, core.UserLoggedOut, core.DeparturesHeld, core.DeparturesApproved, core.DeparturesRejected,
		core.UserDepartureHeld, core.UserDepartureWithdrawn, core.UserRestored, core.TeamCreated, core.TeamUpdated, core.TeamDeleted, core.TeamMemberAdded,
		core.TeamMemberRemoved, core.SessionStarted, core.SessionEnded, core.SignInFailed, core.SessionSteppedUp, core.SessionSettingsChanged,
		core.RequestRefused, core.SignalAccepted, core.SignalRefused, core.SignalPolicyChanged, core.SignalsHeld, core.SignalsApproved,
		core.SignalsRejected, core.UserRestricted, core.UserRestrictionLifted, core.UserStepUpRequired, core.UserReactivationProposed, core.UserUnlinked,
		core.UserRelinked, core.StreamCreated, core.StreamUpdated, core.StreamVerified, core.StreamFailing, core.StreamRecovered, core.StreamDeleted,
		core.ReceiverCreated, core.ReceiverUpdated, core.ReceiverDeleted, core.ReceiverTokenIssued, core.LogoutTargetCreated, core.LogoutTargetUpdated,
		core.LogoutTargetDeleted, core.DeliveryDeadLettered, core.DeliveryDisabled, core.HookCreated, core.HookUpdated, core.HookFailing, core.HookDeleted, core.WebhookCreated,
		core.WebhookUpdated, core.WebhookDeleted, core.SigningKeyCreated, core.SigningKeyRotated, core.AppCreated, core.AccountCreated, core.AccountShared,
		core.AccountUnshared, core.AccountGrantExpired, core.AccountPasswordRevealed, core.AccountPasswordFilled, core.AccountValidated, core.AccountDesynced, core.AccountOrphaned,
		core.AccountTagged, core.PolicyCreated, core.PolicyChanged, core.PolicyRemoved, core.RotationPassedOver,
		core.AccountOwnerSucceeded, core.AccountProposalDeclined, core.AccountSuccessionChanged, core.WorkspaceSuccessionChanged, core.CertificateIssued, core.CertificateSettingsChanged,
		core.RotationPlanned, core.RotationStarted, core.RotationDelayed, core.RotationBlocked, core.AccountPasswordDrifted, core.AccountPasswordRotated,
		core.SinkPaused, core.SinkResumed, core.SinkDeadLettered, core.CheckpointSigned,
	}
}
