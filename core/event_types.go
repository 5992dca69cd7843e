package core

// EventTypes are the types of all events Postern records, in the order of the catalogue.
func EventTypes() []EventType {
	return []EventType{
		WorkspaceCreated, ConnectionCreated, ConnectionUpdated, ConnectionTokenCreated, ConnectionTokenRevoked, ConnectionClientCreated,
		ConnectionClientRevoked, ConnectionTokenIssued, ConnectionThrottled, ServiceAccountCreated, ServiceAccountTokenCreated,
		ServiceAccountTokenRevoked, UserProvisioned, UserUpdated, UserDeprovisioned, UserReactivated, UserDeleted, UserLoggedOut, DeparturesHeld,
		DeparturesApproved, DeparturesRejected, UserDepartureHeld, UserDepartureWithdrawn, UserRestored, TeamCreated, TeamUpdated, TeamDeleted,
		TeamMemberAdded, TeamMemberRemoved, SessionStarted, SessionEnded, SignInFailed, SessionSteppedUp, SessionSettingsChanged, RequestRefused,
		SignalAccepted, SignalRefused, SignalPolicyChanged, SignalsHeld, SignalsApproved, SignalsRejected, UserRestricted, UserRestrictionLifted,
		UserStepUpRequired, UserReactivationProposed, UserUnlinked, UserRelinked, StreamCreated, StreamUpdated, StreamVerified, StreamFailing,
		StreamRecovered, StreamDeleted, ReceiverCreated, ReceiverUpdated, ReceiverDeleted, ReceiverTokenIssued, LogoutTargetCreated,
		LogoutTargetUpdated, LogoutTargetDeleted, DeliveryDeadLettered, DeliveryDisabled, HookCreated, HookUpdated, HookFailing, HookDeleted,
		WebhookCreated, WebhookUpdated, WebhookDeleted, SigningKeyCreated, SigningKeyRotated, AppCreated, AccountCreated, AccountShared,
		AccountUnshared, AccountGrantExpired, AccountPasswordRevealed, AccountPasswordFilled, AccountValidated, AccountDesynced, AccountOrphaned,
		AccountTagged, AccountOwnerSucceeded, AccountSuccessionChanged, AccountProposalDeclined, WorkspaceSuccessionChanged, CertificateIssued,
		CertificateSettingsChanged, PolicyCreated, PolicyChanged, PolicyRemoved, RotationPassedOver, RotationPlanned, RotationStarted,
		RotationDelayed, RotationBlocked, AccountPasswordDrifted, AccountPasswordRotated, SinkPaused, SinkResumed, SinkDeadLettered,
		CheckpointSigned,
	}
}
