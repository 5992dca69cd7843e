package ssf

import (
	"time"

	"postern/core"
)

// Delivery is how a stream's tokens come.
type Delivery string

// The ways.
const (
	Push Delivery = "push" // RFC 8935
	Poll Delivery = "poll" // RFC 8936
)

// Status is what a stream is at the transmitter, as far as we know.
type Status string

// The statuses of the framework, and the one before: a stream that was asked for, with no answer yet.
const (
	Creating Status = "creating"
	Enabled  Status = "enabled"
	Paused   Status = "paused"   // the transmitter keeps what happens, and sends it later
	Disabled Status = "disabled" // what happens is lost
)

// Stream is one stream of a transmitter's tokens to a connection.
type Stream struct {
	ID         core.ID `db:"id"`
	Workspace  core.ID `db:"workspace_id"`
	Connection core.ID `db:"connection_id"`
	Profile    Profile
	Delivery   Delivery
	Issuer     string   // the transmitter, and the iss of its tokens
	RemoteID   string   `db:"remote_id"` // what the transmitter calls the stream; "": not known
	Audiences  []string // one of which the aud of its tokens holds
	Metadata   Metadata
	Access     Access

	SecretVersion int      `db:"secret_version"` // of the sealed secret; 0: none
	PushHashes    [][]byte `db:"push_hashes"`    // of the Authorization headers that are accepted
	PollURL       string   `db:"poll_url"`
	Description   string
	Requested     []string
	Delivered     []string

	Status         Status
	Reason         string // of the status, in the transmitter's words
	Told           *time.Time
	VerifyInterval int        `db:"verify_interval"` // seconds
	VerifyStates   []string   `db:"verify_states"`
	VerifyAsked    *time.Time `db:"verify_asked"`
	Verified       *time.Time // when the last verification event came
	LastEvent      *time.Time `db:"last_event"`
	LastEventType  string     `db:"last_event_type"`
	Failures       int        // in a row, of poll
	Held           *time.Time `db:"lease_until"` // until when a process polls it, or keeps its subjects
	LastError      string     `db:"last_error"`  // "": nothing is wrong
	LastErrorStage string     `db:"last_error_stage"`
	LastErrorAt    *time.Time `db:"last_error_at"`
	Created        time.Time
	Updated        time.Time
}

// Target is the stream in an event.
func (s Stream) Target() core.Target {
	return core.Target{Kind: "stream", ID: s.ID, Name: s.Issuer}
}

// Metadata is what a transmitter says about itself (Shared Signals Framework 1.0 §7.1), as far as it is used.
type Metadata struct {
	SpecVersion  string   `json:"spec_version,omitempty"`
	Issuer       string   `json:"issuer"`
	JWKSURI      string   `json:"jwks_uri,omitempty"`
	Methods      []string `json:"delivery_methods_supported,omitempty"`
	Streams      string   `json:"configuration_endpoint,omitempty"`
	Status       string   `json:"status_endpoint,omitempty"`
	Add          string   `json:"add_subject_endpoint,omitempty"`
	Remove       string   `json:"remove_subject_endpoint,omitempty"`
	Verification string   `json:"verification_endpoint,omitempty"`
	Critical     []string `json:"critical_subject_members,omitempty"`
	Subjects     string   `json:"default_subjects,omitempty"` // ALL, NONE
	From         string   `json:"-"`                          // where it was found
}

// mustAsk reports whether the transmitter tells of nobody it was not asked about.
func (m Metadata) mustAsk() bool { return m.Subjects == "NONE" && m.Add != "" }

// Method is how Postern proves itself to a transmitter.
type Method string

// The methods.
const (
	MethodNone              Method = "none"                // it does not: an administrator manages the stream there
	MethodBearer            Method = "bearer"              // a static token
	MethodClientSecretBasic Method = "client_secret_basic" // OAuth client credentials
	MethodClientSecretPost  Method = "client_secret_post"
	MethodPrivateKeyJWT     Method = "private_key_jwt" // with the workspace's own key
)

// Access is how Postern gets in at a transmitter. The secret itself is sealed in the vault, or somewhere else.
type Access struct {
	Method        Method   `json:"method"`
	TokenEndpoint string   `json:"token_endpoint,omitempty"`
	ClientID      string   `json:"client_id,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
	// SecretReference leads to the secret (file: or env:). Empty: it is sealed in the vault.
	SecretReference string `json:"secret_reference,omitempty"`
}

func (a Access) oauth() bool {
	return a.Method == MethodClientSecretBasic || a.Method == MethodClientSecretPost || a.Method == MethodPrivateKeyJWT
}

// needsSecret reports whether the method goes by a secret.
func (a Access) needsSecret() bool {
	return a.Method == MethodBearer || a.Method == MethodClientSecretBasic || a.Method == MethodClientSecretPost
}
