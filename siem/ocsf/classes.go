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

	core.PolicyCreated: {classEntityManagement, 1, "Create", severityMedium, "policy"},
	core.PolicyChanged: {classEntityManagement, 3, "Update", severityMedium, "policy"},
	core.PolicyRemoved: {classEntityManagement, 4, "Delete", severityMedium, "policy"},

	core.AppCreated:              {classEntityManagement, 1, "Create", severityInformational, "app"},
	core.AccountCreated:          {classEntityManagement, 1, "Create", severityInformational, "account"},
	core.AccountShared:           {classUserAccess, 1, "Assign Privileges", severityInformational, "account"},
	core.AccountUnshared:         {classUserAccess, 2, "Revoke Privileges", severityInformational, "account"},
	core.AccountGrantExpired:     {classUserAccess, 2, "Revoke Privileges", severityInformational, "account"},
	core.AccountPasswordRevealed: {classEntityManagement, 2, "Read", severityMedium, "account"},
	core.AccountPasswordFilled:   {classEntityManagement, 2, "Read", severityInformational, "account"},
	core.AccountValidated:        {classEntityManagement, 10, "Activate", severityInformational, "account"},
	core.AccountDesynced:         {classEntityManagement, 11, "Deactivate", severityHigh, "account"},
	core.AccountOrphaned:         {classEntityManagement, activityOther, "Orphan", severityHigh, "account"},

	core.AccountOwnerSucceeded:      {classUserAccess, 1, "Assign Privileges", severityMedium, "account"},
	core.AccountProposalDeclined:    {classUserAccess, activityOther, "Decline", severityInformational, "account"},
	core.AccountSuccessionChanged:   {classEntityManagement, 3, "Update", severityInformational, "account"},
	core.WorkspaceSuccessionChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.CertificateIssued:          {classAccountChange, activityOther, "Certify", severityInformational, "user"},
	core.CertificateSettingsChanged: {classEntityManagement, 3, "Update", severityMedium, "workspace"},

	core.AccountTagged: {classEntityManagement, 3, "Update", severityInformational, "account"},

	core.RotationPassedOver:     {classAccountChange, activityOther, "Pass Over Rotation", severityMedium, "account"},
	core.RotationPlanned:        {classAccountChange, activityOther, "Plan Rotation", severityInformational, "account"},
	core.RotationStarted:        {classAccountChange, activityOther, "Start Rotation", severityInformational, "account"},
	core.RotationDelayed:        {classAccountChange, activityOther, "Delay Rotation", severityMedium, "account"},
	core.RotationBlocked:        {classAccountChange, activityOther, "Block Rotation", severityHigh, "account"},
	core.AccountPasswordDrifted: {classAccountChange, activityOther, "Password Drift", severityHigh, "account"},
	core.AccountPasswordRotated: {classAccountChange, 3, "Password Change", severityInformational, "account"},

	core.SinkPaused:       {classEntityManagement, 12, "Suspend", severityHigh, "sink"},
	core.SinkResumed:      {classEntityManagement, 13, "Resume", severityInformational, "sink"},
	core.SinkDeadLettered: {classEntityManagement, activityOther, "Dead Letter", severityHigh, "sink"},

	core.CheckpointSigned: {classEntityManagement, activityOther, "Sign Checkpoint", severityInformational, "audit_log"},
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
