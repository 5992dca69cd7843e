package core

// The catalogue: every event Postern records. A new one is added here and in EventTypes, mapped in
// siem/ocsf, and given its sentence in the console; tests say what is missing.
const (
	WorkspaceCreated           EventType = "workspace.created"
	ConnectionCreated          EventType = "connection.created"
	ConnectionUpdated          EventType = "connection.updated"
	ConnectionTokenCreated     EventType = "connection.token_created"
	ConnectionTokenRevoked     EventType = "connection.token_revoked"
	ConnectionClientCreated    EventType = "connection.client_created"
	ConnectionClientRevoked    EventType = "connection.client_revoked"
	ConnectionTokenIssued      EventType = "connection.token_issued" // for a client's secret or assertion
	ConnectionThrottled        EventType = "connection.throttled"    // asked for more than its share; at most one a minute
	ServiceAccountCreated      EventType = "service_account.created"
	ServiceAccountTokenCreated EventType = "service_account.token_created"
	ServiceAccountTokenRevoked EventType = "service_account.token_revoked"

	ServiceAccountUpdated             EventType = "service_account.updated" // what is said of it, its scopes among it
	ServiceAccountDeleted             EventType = "service_account.deleted"
	ServiceAccountOwnerAdded          EventType = "service_account.owner_added"
	ServiceAccountOwnerRemoved        EventType = "service_account.owner_removed"
	ServiceAccountCredentialAdded     EventType = "service_account.credential_added"
	ServiceAccountCredentialRemoved   EventType = "service_account.credential_removed"
	ServiceAccountCredentialRead      EventType = "service_account.credential_read"   // by the service account itself
	ServiceAccountRotationStarted     EventType = "service_account.rotation_started"  // of a credential
	ServiceAccountRotationAdvanced    EventType = "service_account.rotation_advanced" // the new value is there, distributed, or in use
	ServiceAccountRotationFinished    EventType = "service_account.rotation_finished" // the old value is revoked
	ServiceAccountRotationRolledBack  EventType = "service_account.rotation_rolled_back"
	ServiceAccountFindingOpened       EventType = "service_account.finding_opened" // something is odd about it
	ServiceAccountFindingAcknowledged EventType = "service_account.finding_acknowledged"
	ServiceAccountFindingResolved     EventType = "service_account.finding_resolved"

	UserProvisioned   EventType = "user.provisioned"
	UserUpdated       EventType = "user.updated"
	UserDeprovisioned EventType = "user.deprovisioned"
	UserReactivated   EventType = "user.reactivated"
	UserDeleted       EventType = "user.deleted"
	UserLoggedOut     EventType = "user.logged_out" // everywhere, by a signal or an admin

	DeparturesHeld         EventType = "connection.departures_held"     // more left than the guard lets through
	DeparturesApproved     EventType = "connection.departures_approved" // an administrator let them go on
	DeparturesRejected     EventType = "connection.departures_rejected" // or called them a mistake
	UserDepartureHeld      EventType = "user.departure_held"            // shut out, but nothing taken yet
	UserDepartureWithdrawn EventType = "user.departure_withdrawn"       // back before anything was taken
	UserRestored           EventType = "user.restored"                  // deleted by mistake

	TeamCreated       EventType = "team.created"
	TeamUpdated       EventType = "team.updated"
	TeamDeleted       EventType = "team.deleted"
	TeamMemberAdded   EventType = "team.member_added"
	TeamMemberRemoved EventType = "team.member_removed"

	SessionStarted EventType = "session.started"
	SessionEnded   EventType = "session.ended"
	SignInFailed   EventType = "session.sign_in_failed"

	SessionSteppedUp       EventType = "session.stepped_up" // the person proved themselves anew in it
	SessionSettingsChanged EventType = "workspace.session_settings_changed"

	AccessDenied   EventType = "access.denied"              // somebody known asked for what they may not do
	RequestRefused EventType = "connection.request_refused" // an authenticated connection sent what cannot be done
	SignalAccepted EventType = "signal.accepted"
	SignalRefused  EventType = "signal.refused"

	SignalPolicyChanged      EventType = "signal.policy_changed"
	SignalsHeld              EventType = "connection.signals_held"     // more people were meant than the guard lets through
	SignalsApproved          EventType = "connection.signals_approved" // an administrator let what waits go on
	SignalsRejected          EventType = "connection.signals_rejected" // or called it a mistake
	UserRestricted           EventType = "user.restricted"             // no password is revealed or filled
	UserRestrictionLifted    EventType = "user.restriction_lifted"
	UserStepUpRequired       EventType = "user.step_up_required"      // revealing needs a newer sign-in
	UserReactivationProposed EventType = "user.reactivation_proposed" // the identity provider let them in again; Postern does not by itself
	UserUnlinked             EventType = "user.identifier_unlinked"   // an identifier leads to them no longer
	UserRelinked             EventType = "user.identifier_changed"    // another identifier leads to them

	StreamCreated   EventType = "stream.created" // of Shared Signals, at a transmitter
	StreamUpdated   EventType = "stream.updated" // its settings or its status, by us or the transmitter
	StreamVerified  EventType = "stream.verified"
	StreamFailing   EventType = "stream.failing" // polling fails again and again
	StreamRecovered EventType = "stream.recovered"
	StreamDeleted   EventType = "stream.deleted"

	ReceiverCreated      EventType = "receiver.created" // of Shared Signals that Postern sends
	ReceiverUpdated      EventType = "receiver.updated" // its settings, or its stream: by an administrator or itself
	ReceiverDeleted      EventType = "receiver.deleted"
	ReceiverTokenIssued  EventType = "receiver.token_issued" // for its secret; a failure is a wrong one
	LogoutTargetCreated  EventType = "logout_target.created" // an app that is told to end a person's sessions
	LogoutTargetUpdated  EventType = "logout_target.updated"
	LogoutTargetDeleted  EventType = "logout_target.deleted"
	DeliveryDeadLettered EventType = "delivery.dead_lettered" // a receiver or a logout target refused a message
	DeliveryDisabled     EventType = "delivery.disabled"      // it was given up after the last attempt

	HookCreated    EventType = "hook.created" // a way in for a sender of events: Okta, Microsoft Graph, any that signs
	HookUpdated    EventType = "hook.updated"
	HookFailing    EventType = "hook.failing" // its sender's API cannot be used: a subscription ends, a gap stays
	HookDeleted    EventType = "hook.deleted"
	WebhookCreated EventType = "webhook.created" // an endpoint that is told of events
	WebhookUpdated EventType = "webhook.updated" // its settings, its state or its secret
	WebhookDeleted EventType = "webhook.deleted"

	SigningKeyCreated EventType = "signing_key.created" // the workspace's first
	SigningKeyRotated EventType = "signing_key.rotated" // the next one was made, or begins at once

	AppCreated                 EventType = "app.created"
	AppReconcileAccountChanged EventType = "app.reconcile_account_changed" // whose password sets those of the others
	AppUpdated                 EventType = "app.updated"                   // its settings were changed
	AppLoginsListed            EventType = "app.logins_listed"             // which accounts it has, or why that cannot be told
	AppDryRunFailed            EventType = "app.dry_run_failed"            // and had not before: its passwords may not be changed any more
	AppDryRunRecovered         EventType = "app.dry_run_recovered"         // the change comes to the gate again
	AccountCreated             EventType = "account.created"
	AccountShared              EventType = "account.shared"
	AccountUnshared            EventType = "account.unshared"
	AccountGrantExpired        EventType = "account.grant_expired" // access ended by the clock
	AccountPasswordRevealed    EventType = "account.password_revealed"
	AccountPasswordFilled      EventType = "account.password_filled"
	AccountValidated           EventType = "account.validated"
	AccountDesynced            EventType = "account.desynced"
	AccountOrphaned            EventType = "account.orphaned"
	AccountDesyncSuspected     EventType = "account.desync_suspected"  // signs that the app has another password
	AccountAppDisabled         EventType = "account.app_disabled"      // the app has locked or disabled the login
	AccountUnmanaged           EventType = "account.unmanaged"         // nobody keeps its password up to date
	AccountManaged             EventType = "account.managed"           // taken under management again
	AccountAtRisk              EventType = "account.at_risk"           // who is to be locked out may know the password
	AccountCheckRequested      EventType = "account.check_requested"   // somebody wants a sign-in that tells
	AccountPasswordStored      EventType = "account.password_stored"   // somebody gave the app's password; a sign-in proves it
	AccountDisableRequested    EventType = "account.disable_requested" // the app is to let the login in no more
	AccountEnableRequested     EventType = "account.enable_requested"
	AccountDisabled            EventType = "account.disabled"       // the app lets it in no more, as a sign-in proved
	AccountEnabled             EventType = "account.enabled"        // the app says that it lets it in again
	AccountSwitchBlocked       EventType = "account.switch_blocked" // a person is needed to disable or enable it
	AccountFillReported        EventType = "account.fill_reported"  // somebody says that the password does not work
	HealthSettingsChanged      EventType = "workspace.health_settings_changed"
	AccountTagged              EventType = "account.tagged"
	AccountRiskChanged         EventType = "account.risk_changed"
	AccountTOTPStored          EventType = "account.totp_stored" // what its one-time codes are made from
	AccountTOTPRemoved         EventType = "account.totp_removed"
	AccountCodeGiven           EventType = "account.code_given" // somebody was given a one-time code
	AccountBackupCodesStored   EventType = "account.backup_codes_stored"
	AccountBackupCodeGiven     EventType = "account.backup_code_given"
	AccountAddressCreated      EventType = "account.address_created"
	AccountAddressRemoved      EventType = "account.address_removed"
	AccountPhoneAssigned       EventType = "account.phone_assigned"
	AccountPhoneRemoved        EventType = "account.phone_removed"
	AccountMessageReceived     EventType = "account.message_received" // at its address or number
	AccountMessageRead         EventType = "account.message_read"     // somebody was shown what it says
	SMSProviderCreated         EventType = "sms_provider.created"     // may hand over text messages
	SMSProviderRemoved         EventType = "sms_provider.removed"

	AccountOwnerSucceeded      EventType = "account.owner_succeeded" // its last living owner went; the next in line owns it
	AccountSuccessionChanged   EventType = "account.succession_changed"
	AccountProposalDeclined    EventType = "account.proposal_declined"    // what somebody had who is back is not given anew
	TeamProposalDeclined       EventType = "team.proposal_declined"       // a team does not count again for somebody who is back
	WorkspaceSuccessionChanged EventType = "workspace.succession_changed" // of accounts whose own list leads to nobody

	CertificateIssued          EventType = "certificate.issued" // of what became of the passwords somebody knew who left
	CertificateSettingsChanged EventType = "workspace.certificate_settings_changed"

	GuestInvited         EventType = "guest.invited"          // by e-mail, or once more
	GuestAccepted        EventType = "guest.accepted"         // proved the mailbox for the first time
	GuestInvitationEnded EventType = "guest.invitation_ended" // taken back, or never accepted
	GuestSettingsChanged EventType = "workspace.guest_settings_changed"
	PartnerCreated       EventType = "partner.created" // an organisation whose people are guests
	PartnerUpdated       EventType = "partner.updated"
	PartnerEnded         EventType = "partner.ended" // and with it the access of its guests

	LinkCreated EventType = "link.created" // a public share of an account
	LinkViewed  EventType = "link.viewed"  // a recipient was given the password: the receipt
	LinkRefused EventType = "link.refused" // somebody with a right code, or too many wrong ones, was not let through
	LinkEnded   EventType = "link.ended"

	MailGivenUp EventType = "mail.given_up" // refused for good, or not sent in time

	ReassignmentStarted  EventType = "workspace.reassignment_started" // many accounts are given new owners
	ReassignmentFinished EventType = "workspace.reassignment_finished"

	PolicyCreated      EventType = "policy.created" // of what starts a rotation
	PolicyChanged      EventType = "policy.changed"
	PolicyRemoved      EventType = "policy.removed"
	RotationPassedOver EventType = "account.rotation_passed_over" // a policy wanted it, and the account's state forbids it

	RotationPlanned        EventType = "account.rotation_planned"
	RotationStarted        EventType = "account.rotation_started"
	RotationDelayed        EventType = "account.rotation_delayed"     // will be tried again by itself
	RotationBlocked        EventType = "account.rotation_blocked"     // waits for a person
	RotationReconciling    EventType = "account.rotation_reconciling" // the app's administrator sets the password, or the link of its mail does
	AccountPasswordDrifted EventType = "account.password_drifted"
	AccountPasswordRotated EventType = "account.password_rotated"

	ImportStarted  EventType = "import.started" // of accounts, from a file
	ImportFinished EventType = "import.finished"

	SinkCreated      EventType = "sink.created" // of a workspace's own
	SinkUpdated      EventType = "sink.updated"
	SinkDeleted      EventType = "sink.deleted"
	SinkPaused       EventType = "sink.paused"
	SinkResumed      EventType = "sink.resumed"
	SinkTested       EventType = "sink.tested"
	SinkReplayed     EventType = "sink.replayed" // delivered events are sent once more
	SinkDeadLettered EventType = "sink.event_dead_lettered"
	SinkDiscarded    EventType = "sink.dead_letters_discarded"
	SinkMissed       EventType = "sink.events_missed" // retention took them before the sink had them

	CheckpointSigned EventType = "audit.checkpoint_signed"
	RecordUnreadable EventType = "audit.record_unreadable" // stands in the stream for one that was damaged in the log
	RetentionApplied EventType = "audit.retention_applied" // old records are gone, as the deployment's retention says
	AuditHoldPlaced  EventType = "audit.hold_placed"       // no record goes until it is lifted
	AuditHoldLifted  EventType = "audit.hold_lifted"

	ReviewCampaignCreated EventType = "review_campaign.created" // of access, to be asked about again and again
	ReviewCampaignChanged EventType = "review_campaign.changed"
	ReviewCampaignRemoved EventType = "review_campaign.removed"
	ReviewStarted         EventType = "review.started"
	ReviewReassigned      EventType = "review.reassigned"   // somebody else is to decide
	ReviewItemDecided     EventType = "review.item_decided" // about one access; a failure says why it cannot be done
	ReviewCancelled       EventType = "review.cancelled"
	ReviewClosed          EventType = "review.closed" // everything in it is decided
	ReviewSigned          EventType = "review.signed" // its evidence; a failure says what is not done
	ReviewSettingsChanged EventType = "workspace.review_settings_changed"
)
