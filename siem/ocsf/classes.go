package ocsf

import "postern/core"

// The classes used, by their class_uid.
const (
	classAccountChange    = 3001
	classAuthentication   = 3002
	classEntityManagement = 3004
	classUserAccess       = 3005
	classGroupManagement  = 3006
	classUserManagement   = 3007 // since 1.9, where it replaces Account Change
	classAPIActivity      = 6003
)

var classNames = map[int]string{
	classAccountChange: "Account Change", classAuthentication: "Authentication", classEntityManagement: "Entity Management",
	classUserAccess: "User Access Management", classGroupManagement: "Group Management", classUserManagement: "User Management",
	classAPIActivity: "API Activity",
}

var categoryNames = map[int]string{3: "Identity & Access Management", 6: "Application Activity"}

// activityOther is the activity of a class for what it has no number for; its name says what.
const activityOther = 99

// The severities used.
const (
	severityInformational = 1
	severityMedium        = 3
	severityHigh          = 4
)

var severityNames = map[int]string{severityInformational: "Informational", severityMedium: "Medium", severityHigh: "High"}

// kind is how one event type is told.
type kind struct {
	class    int
	activity int
	name     string // of the activity
	severity int
	subject  string // the kind of target the event is about
}

// kinds maps the whole catalogue.
var kinds = map[core.EventType]kind{
	core.WorkspaceCreated:           {classEntityManagement, 1, "Create", severityInformational, "workspace"},
	core.ConnectionCreated:          {classEntityManagement, 1, "Create", severityInformational, "connection"},
	core.ConnectionUpdated:          {classEntityManagement, 3, "Update", severityInformational, "connection"},
	core.ConnectionTokenCreated:     {classEntityManagement, 3, "Update", severityInformational, "connection"},
	core.ConnectionTokenRevoked:     {classEntityManagement, 3, "Update", severityInformational, "connection"},
	core.ServiceAccountCreated:      {classEntityManagement, 1, "Create", severityInformational, "service_account"},
	core.ServiceAccountTokenCreated: {classEntityManagement, 3, "Update", severityInformational, "service_account"},
	core.ServiceAccountTokenRevoked: {classEntityManagement, 3, "Update", severityInformational, "service_account"},

	core.ServiceAccountUpdated:             {classEntityManagement, 3, "Update", severityInformational, "service_account"},
	core.ServiceAccountDeleted:             {classEntityManagement, 4, "Delete", severityMedium, "service_account"},
	core.ServiceAccountOwnerAdded:          {classEntityManagement, activityOther, "Add Owner", severityInformational, "service_account"},
	core.ServiceAccountOwnerRemoved:        {classEntityManagement, activityOther, "Remove Owner", severityMedium, "service_account"},
	core.ServiceAccountCredentialAdded:     {classEntityManagement, 3, "Update", severityInformational, "service_account"},
	core.ServiceAccountCredentialRemoved:   {classEntityManagement, 3, "Update", severityMedium, "service_account"},
	core.ServiceAccountCredentialRead:      {classEntityManagement, 2, "Read", severityInformational, "service_account"},
	core.ServiceAccountRotationStarted:     {classEntityManagement, activityOther, "Start Rotation", severityInformational, "service_account"},
	core.ServiceAccountRotationAdvanced:    {classEntityManagement, activityOther, "Advance Rotation", severityInformational, "service_account"},
	core.ServiceAccountRotationFinished:    {classEntityManagement, activityOther, "Finish Rotation", severityInformational, "service_account"},
	core.ServiceAccountRotationRolledBack:  {classEntityManagement, activityOther, "Roll Back Rotation", severityMedium, "service_account"},
	core.ServiceAccountFindingOpened:       {classEntityManagement, activityOther, "Open Finding", severityHigh, "service_account"},
	core.ServiceAccountFindingAcknowledged: {classEntityManagement, activityOther, "Acknowledge Finding", severityInformational, "service_account"},
	core.ServiceAccountFindingResolved:     {classEntityManagement, activityOther, "Resolve Finding", severityInformational, "service_account"},

	core.SigningKeyCreated: {classEntityManagement, 1, "Create", severityInformational, "signing_key"},
	core.SigningKeyRotated: {classEntityManagement, 3, "Update", severityMedium, "signing_key"},

	core.ConnectionClientCreated: {classEntityManagement, 3, "Update", severityInformational, "connection"},
	core.ConnectionClientRevoked: {classEntityManagement, 3, "Update", severityInformational, "connection"},
	core.ConnectionTokenIssued:   {classEntityManagement, 3, "Update", severityInformational, "connection"},
	core.ConnectionThrottled:     {classEntityManagement, activityOther, "Throttle", severityInformational, "connection"},
	core.DeparturesHeld:          {classEntityManagement, activityOther, "Hold", severityHigh, "connection"},
	core.DeparturesApproved:      {classEntityManagement, activityOther, "Approve", severityMedium, "connection"},
	core.DeparturesRejected:      {classEntityManagement, activityOther, "Reject", severityMedium, "connection"},
	core.UserDepartureHeld:       {classAccountChange, 5, "Disable", severityMedium, "user"},
	core.UserDepartureWithdrawn:  {classAccountChange, 2, "Enable", severityInformational, "user"},
	core.UserRestored:            {classAccountChange, 2, "Enable", severityInformational, "user"},

	core.UserProvisioned:   {classAccountChange, 1, "Create", severityInformational, "user"},
	core.UserUpdated:       {classAccountChange, activityOther, "Update", severityInformational, "user"},
	core.UserDeprovisioned: {classAccountChange, 5, "Disable", severityInformational, "user"},
	core.UserReactivated:   {classAccountChange, 2, "Enable", severityInformational, "user"},
	core.UserDeleted:       {classAccountChange, 6, "Delete", severityInformational, "user"},
	core.UserLoggedOut:     {classAuthentication, 2, "Logoff", severityInformational, "user"},

	core.TeamCreated:       {classGroupManagement, 6, "Create", severityInformational, "team"},
	core.TeamUpdated:       {classGroupManagement, activityOther, "Update", severityInformational, "team"},
	core.TeamDeleted:       {classGroupManagement, 5, "Delete", severityInformational, "team"},
	core.TeamMemberAdded:   {classGroupManagement, 3, "Add User", severityInformational, "team"},
	core.TeamMemberRemoved: {classGroupManagement, 4, "Remove User", severityInformational, "team"},

	core.SessionStarted: {classAuthentication, 1, "Logon", severityInformational, "user"},
	core.SessionEnded:   {classAuthentication, 2, "Logoff", severityInformational, "user"},
	core.SignInFailed:   {classAuthentication, 1, "Logon", severityMedium, "user"},

	core.SessionSteppedUp:       {classAuthentication, activityOther, "Step Up", severityInformational, "user"},
	core.SessionSettingsChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.AccessDenied:   {classAPIActivity, activityOther, "Deny", severityMedium, ""},
	core.RequestRefused: {classAPIActivity, activityOther, "Refuse", severityMedium, "connection"},
	core.SignalAccepted: {classAPIActivity, activityOther, "Accept", severityInformational, "connection"},
	core.SignalRefused:  {classAPIActivity, activityOther, "Refuse", severityMedium, "connection"},

	core.SignalPolicyChanged:      {classEntityManagement, 3, "Update", severityMedium, "workspace"},
	core.SignalsHeld:              {classEntityManagement, activityOther, "Hold", severityHigh, "connection"},
	core.SignalsApproved:          {classEntityManagement, activityOther, "Approve", severityMedium, "connection"},
	core.SignalsRejected:          {classEntityManagement, activityOther, "Reject", severityMedium, "connection"},
	core.UserRestricted:           {classAccountChange, activityOther, "Restrict", severityMedium, "user"},
	core.UserRestrictionLifted:    {classAccountChange, activityOther, "Lift Restriction", severityInformational, "user"},
	core.UserStepUpRequired:       {classAccountChange, activityOther, "Require Step Up", severityInformational, "user"},
	core.UserReactivationProposed: {classAccountChange, activityOther, "Propose Reactivation", severityMedium, "user"},
	core.UserUnlinked:             {classAccountChange, activityOther, "Unlink Identifier", severityMedium, "user"},
	core.UserRelinked:             {classAccountChange, activityOther, "Update", severityInformational, "user"},

	core.StreamCreated:   {classEntityManagement, 1, "Create", severityInformational, "stream"},
	core.StreamUpdated:   {classEntityManagement, 3, "Update", severityInformational, "stream"},
	core.StreamVerified:  {classEntityManagement, activityOther, "Verify", severityInformational, "stream"},
	core.StreamFailing:   {classEntityManagement, activityOther, "Fail", severityHigh, "stream"},
	core.StreamRecovered: {classEntityManagement, activityOther, "Recover", severityInformational, "stream"},
	core.StreamDeleted:   {classEntityManagement, 4, "Delete", severityMedium, "stream"},

	core.ReceiverCreated:      {classEntityManagement, 1, "Create", severityMedium, "receiver"},
	core.ReceiverUpdated:      {classEntityManagement, 3, "Update", severityInformational, "receiver"},
	core.ReceiverDeleted:      {classEntityManagement, 4, "Delete", severityMedium, "receiver"},
	core.ReceiverTokenIssued:  {classEntityManagement, 3, "Update", severityInformational, "receiver"},
	core.LogoutTargetCreated:  {classEntityManagement, 1, "Create", severityMedium, "logout_target"},
	core.LogoutTargetUpdated:  {classEntityManagement, 3, "Update", severityInformational, "logout_target"},
	core.LogoutTargetDeleted:  {classEntityManagement, 4, "Delete", severityMedium, "logout_target"},
	core.DeliveryDeadLettered: {classEntityManagement, activityOther, "Dead Letter", severityHigh, ""},
	core.DeliveryDisabled:     {classEntityManagement, 11, "Deactivate", severityHigh, ""},

	core.HookCreated:    {classEntityManagement, 1, "Create", severityMedium, "hook"},
	core.HookUpdated:    {classEntityManagement, 3, "Update", severityMedium, "hook"},
	core.HookFailing:    {classEntityManagement, activityOther, "Fail", severityHigh, "hook"},
	core.HookDeleted:    {classEntityManagement, 4, "Delete", severityMedium, "hook"},
	core.WebhookCreated: {classEntityManagement, 1, "Create", severityMedium, "webhook"},
	core.WebhookUpdated: {classEntityManagement, 3, "Update", severityMedium, "webhook"},
	core.WebhookDeleted: {classEntityManagement, 4, "Delete", severityMedium, "webhook"},

	core.GuestInvited:         {classAccountChange, 1, "Create", severityInformational, "user"},
	core.GuestAccepted:        {classAccountChange, 2, "Enable", severityInformational, "user"},
	core.GuestInvitationEnded: {classAccountChange, activityOther, "Withdraw", severityInformational, "user"},

	core.GuestSettingsChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},
	core.PartnerCreated:       {classEntityManagement, 1, "Create", severityMedium, "partner"},
	core.PartnerUpdated:       {classEntityManagement, 3, "Update", severityMedium, "partner"},
	core.PartnerEnded:         {classEntityManagement, 11, "Deactivate", severityMedium, "partner"},

	core.LinkCreated: {classEntityManagement, 1, "Create", severityMedium, "link"},
	core.LinkViewed:  {classEntityManagement, 2, "Read", severityMedium, "account"},
	core.LinkRefused: {classEntityManagement, activityOther, "Refuse", severityMedium, "link"},
	core.LinkEnded:   {classEntityManagement, 4, "Delete", severityInformational, "link"},

	core.MailGivenUp: {classEntityManagement, activityOther, "Give Up", severityMedium, "mail"},

	core.ImportStarted:  {classEntityManagement, activityOther, "Import", severityMedium, "import"},
	core.ImportFinished: {classEntityManagement, activityOther, "Import", severityMedium, "import"},

	core.PolicyCreated: {classEntityManagement, 1, "Create", severityMedium, "policy"},
	core.PolicyChanged: {classEntityManagement, 3, "Update", severityMedium, "policy"},
	core.PolicyRemoved: {classEntityManagement, 4, "Delete", severityMedium, "policy"},

	core.AppCreated:                 {classEntityManagement, 1, "Create", severityInformational, "app"},
	core.AppReconcileAccountChanged: {classEntityManagement, 3, "Update", severityMedium, "app"},
	core.AppUpdated:                 {classEntityManagement, 3, "Update", severityInformational, "app"},
	core.AppLoginsListed:            {classEntityManagement, 2, "Read", severityInformational, "app"},
	core.AppDryRunFailed:            {classEntityManagement, 99, "Dry Run Failed", severityMedium, "app"},
	core.AppDryRunRecovered:         {classEntityManagement, 99, "Dry Run Recovered", severityInformational, "app"},
	core.AccountCreated:             {classEntityManagement, 1, "Create", severityInformational, "account"},
	core.AccountShared:              {classUserAccess, 1, "Assign Privileges", severityInformational, "account"},
	core.AccountUnshared:            {classUserAccess, 2, "Revoke Privileges", severityInformational, "account"},
	core.AccountGrantExpired:        {classUserAccess, 2, "Revoke Privileges", severityInformational, "account"},
	core.AccountPasswordRevealed:    {classEntityManagement, 2, "Read", severityMedium, "account"},
	core.AccountPasswordFilled:      {classEntityManagement, 2, "Read", severityInformational, "account"},
	core.AccountCodeGiven:           {classEntityManagement, 2, "Read", severityInformational, "account"},
	core.AccountMessageRead:         {classEntityManagement, 2, "Read", severityInformational, "account"},
	core.AccountValidated:           {classEntityManagement, 10, "Activate", severityInformational, "account"},
	core.AccountDesynced:            {classEntityManagement, 11, "Deactivate", severityHigh, "account"},
	core.AccountOrphaned:            {classEntityManagement, activityOther, "Orphan", severityHigh, "account"},

	core.AccountDesyncSuspected:   {classEntityManagement, activityOther, "Suspect Desynchronization", severityMedium, "account"},
	core.AccountAppDisabled:       {classEntityManagement, 11, "Deactivate", severityHigh, "account"},
	core.AccountUnmanaged:         {classEntityManagement, 11, "Deactivate", severityHigh, "account"},
	core.AccountManaged:           {classEntityManagement, 10, "Activate", severityInformational, "account"},
	core.AccountDisableRequested:  {classEntityManagement, activityOther, "Request Disable", severityMedium, "account"},
	core.AccountEnableRequested:   {classEntityManagement, activityOther, "Request Enable", severityMedium, "account"},
	core.AccountDisabled:          {classAccountChange, 5, "Disable", severityMedium, "account"},
	core.AccountEnabled:           {classAccountChange, 1, "Enable", severityMedium, "account"},
	core.AccountSwitchBlocked:     {classEntityManagement, activityOther, "Block Disable or Enable", severityHigh, "account"},
	core.AccountAtRisk:            {classEntityManagement, activityOther, "Risk", severityHigh, "account"},
	core.AccountCheckRequested:    {classEntityManagement, activityOther, "Check", severityInformational, "account"},
	core.AccountPasswordStored:    {classAccountChange, activityOther, "Store Password", severityMedium, "account"},
	core.AccountTOTPStored:        {classAccountChange, 10, "MFA Factor Enable", severityMedium, "account"},
	core.AccountBackupCodesStored: {classEntityManagement, 3, "Update", severityMedium, "account"},
	core.AccountBackupCodeGiven:   {classEntityManagement, 2, "Read", severityMedium, "account"},
	core.AccountTOTPRemoved:       {classAccountChange, 11, "MFA Factor Disable", severityMedium, "account"},
	core.AccountAddressCreated:    {classEntityManagement, 3, "Update", severityMedium, "account"},
	core.AccountAddressRemoved:    {classEntityManagement, 3, "Update", severityMedium, "account"},
	core.AccountPhoneAssigned:     {classEntityManagement, 3, "Update", severityMedium, "account"},
	core.AccountPhoneRemoved:      {classEntityManagement, 3, "Update", severityMedium, "account"},
	core.AccountMessageReceived:   {classEntityManagement, activityOther, "Receive", severityInformational, "account"},
	core.SMSProviderCreated:       {classEntityManagement, 1, "Create", severityMedium, "sms_provider"},
	core.SMSProviderRemoved:       {classEntityManagement, 4, "Delete", severityMedium, "sms_provider"},
	core.AccountFillReported:      {classEntityManagement, activityOther, "Report", severityMedium, "account"},
	core.HealthSettingsChanged:    {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.AccountOwnerSucceeded:      {classUserAccess, 1, "Assign Privileges", severityMedium, "account"},
	core.AccountProposalDeclined:    {classUserAccess, activityOther, "Decline", severityInformational, "account"},
	core.TeamProposalDeclined:       {classUserAccess, activityOther, "Decline", severityInformational, "team"},
	core.AccountSuccessionChanged:   {classEntityManagement, 3, "Update", severityInformational, "account"},
	core.WorkspaceSuccessionChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.CertificateIssued:          {classAccountChange, activityOther, "Certify", severityInformational, "user"},
	core.CertificateSettingsChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.ReviewCampaignCreated: {classEntityManagement, 1, "Create", severityMedium, "review_campaign"},
	core.ReviewCampaignChanged: {classEntityManagement, 3, "Update", severityMedium, "review_campaign"},
	core.ReviewCampaignRemoved: {classEntityManagement, 4, "Delete", severityMedium, "review_campaign"},
	core.ReviewStarted:         {classEntityManagement, activityOther, "Start", severityInformational, "review"},
	core.ReviewReassigned:      {classEntityManagement, activityOther, "Reassign", severityInformational, "review"},
	core.ReviewItemDecided:     {classEntityManagement, activityOther, "Decide", severityInformational, "account"},
	core.ReviewCancelled:       {classEntityManagement, activityOther, "Cancel", severityMedium, "review"},
	core.ReviewClosed:          {classEntityManagement, activityOther, "Close", severityInformational, "review"},
	core.ReviewSigned:          {classEntityManagement, activityOther, "Certify", severityInformational, "review"},
	core.ReviewSettingsChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.AccountTagged:      {classEntityManagement, 3, "Update", severityInformational, "account"},
	core.AccountRiskChanged: {classEntityManagement, 3, "Update", severityInformational, "account"},

	core.ReassignmentStarted:  {classEntityManagement, activityOther, "Start Reassignment", severityMedium, "reassignment"},
	core.ReassignmentFinished: {classEntityManagement, activityOther, "Finish Reassignment", severityInformational, "reassignment"},

	core.RotationPassedOver:     {classAccountChange, activityOther, "Pass Over Rotation", severityMedium, "account"},
	core.RotationPlanned:        {classAccountChange, activityOther, "Plan Rotation", severityInformational, "account"},
	core.RotationStarted:        {classAccountChange, activityOther, "Start Rotation", severityInformational, "account"},
	core.RotationDelayed:        {classAccountChange, activityOther, "Delay Rotation", severityMedium, "account"},
	core.RotationBlocked:        {classAccountChange, activityOther, "Block Rotation", severityHigh, "account"},
	core.RotationReconciling:    {classAccountChange, 4, "Password Reset", severityMedium, "account"},
	core.AccountPasswordDrifted: {classAccountChange, activityOther, "Password Drift", severityHigh, "account"},
	core.AccountPasswordRotated: {classAccountChange, 3, "Password Change", severityInformational, "account"},

	core.SinkCreated:      {classEntityManagement, 1, "Create", severityMedium, "sink"},
	core.SinkUpdated:      {classEntityManagement, 3, "Update", severityMedium, "sink"},
	core.SinkDeleted:      {classEntityManagement, 4, "Delete", severityHigh, "sink"},
	core.SinkTested:       {classEntityManagement, activityOther, "Test", severityInformational, "sink"},
	core.SinkReplayed:     {classEntityManagement, activityOther, "Replay", severityInformational, "sink"},
	core.SinkDiscarded:    {classEntityManagement, activityOther, "Discard Dead Letters", severityHigh, "sink"},
	core.SinkMissed:       {classEntityManagement, activityOther, "Miss", severityHigh, "sink"},
	core.SinkPaused:       {classEntityManagement, 12, "Suspend", severityHigh, "sink"},
	core.SinkResumed:      {classEntityManagement, 13, "Resume", severityInformational, "sink"},
	core.SinkDeadLettered: {classEntityManagement, activityOther, "Dead Letter", severityHigh, "sink"},

	core.CheckpointSigned: {classEntityManagement, activityOther, "Sign Checkpoint", severityInformational, "audit_log"},
	core.RecordUnreadable: {classEntityManagement, activityOther, "Find Unreadable Record", severityHigh, "audit_log"},
	core.RetentionApplied: {classEntityManagement, activityOther, "Apply Retention", severityInformational, "audit_log"},
	core.AuditHoldPlaced:  {classEntityManagement, activityOther, "Place Hold", severityInformational, "audit_log"},
	core.AuditHoldLifted:  {classEntityManagement, activityOther, "Lift Hold", severityMedium, "audit_log"},
}

// userManagement is how 1.9 numbers the activities of Account Change in its successor.
var userManagement = map[string]int{
	"Create": 1, "Update": 2, "Delete": 3, "Enable": 4, "Disable": 5, "Password Change": 8,
}

// kindOf finds how an event is told in a version of the schema. A type that is not in the catalogue
// of this program, one from a newer program, is told as an entity's Other activity.
func kindOf(event core.EventType, version Version) kind {
	found, known := kinds[event]
	if !known {
		return kind{classEntityManagement, activityOther, string(event), severityInformational, ""}
	}
	if version == Version19 && found.class == classAccountChange {
		found.class = classUserManagement
		found.activity = activityOther
		if number, same := userManagement[found.name]; same {
			found.activity = number
		}
	}
	return found
}
