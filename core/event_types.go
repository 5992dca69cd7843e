package core

// EventTypes are the types of all events Postern records, in the order of the catalogue.
func EventTypes() []EventType {
	return []EventType{
		WorkspaceCreated, ConnectionCreated, ConnectionUpdated, ConnectionTokenCreated, ConnectionTokenRevoked, ConnectionClientCreated,
		ConnectionClientRevoked, ConnectionTokenIssued, ConnectionThrottled, ServiceAccountCreated, ServiceAccountTokenCreated, ServiceAccountTokenRevoked,
		ServiceAccountUpdated, ServiceAccountDeleted, ServiceAccountOwnerAdded,
		ServiceAccountOwnerRemoved, ServiceAccountCredentialAdded, ServiceAccountCredentialRemoved, ServiceAccountCredentialRead,
		ServiceAccountRotationStarted, ServiceAccountRotationAdvanced, ServiceAccountRotationFinished, ServiceAccountRotationRolledBack,
		ServiceAccountFindingOpened, ServiceAccountFindingAcknowledged, ServiceAccountFindingResolved,
		UserProvisioned, UserUpdated, UserDeprovisioned, UserReactivated, UserDeleted, UserLoggedOut, DeparturesHeld, DeparturesApproved,
		DeparturesRejected, UserDepartureHeld, UserDepartureWithdrawn, UserRestored, TeamCreated, TeamUpdated, TeamDeleted, TeamMemberAdded,
		TeamMemberRemoved, SessionStarted, SessionEnded, SignInFailed, SessionSteppedUp, SessionSettingsChanged, AccessDenied, RequestRefused, SignalAccepted,
		SignalRefused, SignalPolicyChanged, SignalsHeld, SignalsApproved, SignalsRejected, UserRestricted, UserRestrictionLifted, UserStepUpRequired,
		UserReactivationProposed, UserUnlinked, UserRelinked, StreamCreated, StreamUpdated, StreamVerified, StreamFailing, StreamRecovered, StreamDeleted,
		ReceiverCreated, ReceiverUpdated, ReceiverDeleted, ReceiverTokenIssued, LogoutTargetCreated, LogoutTargetUpdated, LogoutTargetDeleted,
		DeliveryDeadLettered, DeliveryDisabled, HookCreated, HookUpdated, HookFailing, HookDeleted, WebhookCreated, WebhookUpdated, WebhookDeleted,
		SigningKeyCreated, SigningKeyRotated, AppCreated, AppReconcileAccountChanged, AppUpdated, AppLoginsListed, AppDryRunFailed, AppDryRunRecovered, AccountCreated, AccountShared, AccountUnshared, AccountGrantExpired, AccountPasswordRevealed,
		AccountPasswordFilled, AccountValidated, AccountDesynced, AccountOrphaned, AccountDesyncSuspected, AccountAppDisabled, AccountUnmanaged,
		AccountManaged, AccountAtRisk, AccountCheckRequested, AccountPasswordStored, AccountDisableRequested, AccountEnableRequested, AccountDisabled, AccountEnabled, AccountSwitchBlocked, AccountFillReported, HealthSettingsChanged, AccountTagged, AccountRiskChanged,
		AccountTOTPStored, AccountTOTPRemoved, AccountCodeGiven, AccountBackupCodesStored, AccountBackupCodeGiven, AccountAddressCreated, AccountAddressRemoved, AccountPhoneAssigned,
		AccountPhoneRemoved, AccountMessageReceived, AccountMessageRead, SMSProviderCreated, SMSProviderRemoved,
		AccountOwnerSucceeded, AccountSuccessionChanged, AccountProposalDeclined, TeamProposalDeclined, WorkspaceSuccessionChanged, CertificateIssued,
		CertificateSettingsChanged, GuestInvited, GuestAccepted, GuestInvitationEnded, GuestSettingsChanged, PartnerCreated, PartnerUpdated, PartnerEnded, LinkCreated, LinkViewed, LinkRefused,
		LinkEnded, MailGivenUp, ReassignmentStarted, ReassignmentFinished, PolicyCreated, PolicyChanged, PolicyRemoved, RotationPassedOver,
		RotationPlanned, RotationStarted, RotationDelayed, RotationBlocked, RotationReconciling, AccountPasswordDrifted, AccountPasswordRotated, ImportStarted, ImportFinished,
		SinkCreated, SinkUpdated, SinkDeleted, SinkPaused, SinkResumed, SinkTested, SinkReplayed, SinkDeadLettered, SinkDiscarded, SinkMissed,
		CheckpointSigned, RecordUnreadable, RetentionApplied, AuditHoldPlaced, AuditHoldLifted,
		ReviewCampaignCreated, ReviewCampaignChanged, ReviewCampaignRemoved, ReviewStarted, ReviewReassigned, ReviewItemDecided, ReviewCancelled, ReviewClosed, ReviewSigned, ReviewSettingsChanged,
	}
}
