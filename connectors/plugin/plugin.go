package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"time"

	"postern/connectors/plugin/connectorpb"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// Options say which program is a connector.
type Options struct {
	Name   string // of the connector, as apps give it
	Path   string // of the program, absolute
	SHA256 []byte // of its file
	// Log is told when the program starts and breaks off, and nothing of what it says. Default: nothing.
	Log *slog.Logger
	Now func() time.Time // default time.Now

	environment []string // of tests
}

// Connector is a connector whose program does the work. It can do what its program says it can.
type Connector struct {
	program
	can map[rotation.Capability]bool
}

var (
	_ rotation.Changer    = (*Connector)(nil)
	_ rotation.Resetter   = (*Connector)(nil)
	_ rotation.Disabler   = (*Connector)(nil)
	_ rotation.Revoker    = (*Connector)(nil)
	_ rotation.Lister     = (*Connector)(nil)
	_ rotation.Recoverer  = (*Connector)(nil)
	_ rotation.Enroller   = (*Connector)(nil)
	_ rotation.Issuer     = (*Connector)(nil)
	_ rotation.Particular = (*Connector)(nil)
)

// Open starts the program and asks what it can do. A
// program that has another checksum is Denied, one that is no connector Unavailable. Close ends it.
func Open(ctx context.Context, options Options) (*Connector, error) {
	if len(options.SHA256) != sha256.Size {
		return nil, core.Invalid("sha256", "the connector %s needs the SHA-256 checksum of its program", options.Name)
	}
	if !filepath.IsAbs(options.Path) {
		return nil, core.Invalid("path", "the connector %s needs the absolute path of its program", options.Name)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	c := &Connector{program: program{options: options}}
	described, err := c.describe(ctx)
	if err != nil {
		c.close()
		return nil, err
	}
	c.can = map[rotation.Capability]bool{
		rotation.CanVerify: true, rotation.CanChange: described.GetChanges(), rotation.CanReset: described.GetResets(),
		rotation.CanDisable: described.GetDisables(), rotation.CanRevoke: described.GetRevokes(), rotation.CanList: described.GetLists(),
		rotation.CanRecover: described.GetRecovers(), rotation.CanEnrol: described.GetEnrols(), rotation.CanIssue: described.GetIssues(),
	}
	return c, nil
}

// Close ends the program. Attempts still running end soon after, as when it dies.
func (c *Connector) Close() error {
	c.close()
	return nil
}

// Can implements rotation.Particular: it is the same in every app.
func (c *Connector) Can(_ json.RawMessage, capability rotation.Capability) bool {
	return c.can[capability]
}

func (c *Connector) attempt(possible []rotation.Outcome, open call, credential rotation.Credential, secrets ...seal.Secret) *attempt {
	return &attempt{program: &c.program, possible: possible, open: open, code: credential.Code, secrets: append(secrets, credential.Password)}
}

// Verify implements rotation.Connector.
func (c *Connector) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	return c.attempt(ofVerify, connectorpb.ConnectorClient.Verify, credential).run(ctx, task(target, credential, seal.Secret{}))
}

// Change implements rotation.Changer.
func (c *Connector) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	a := c.attempt(ofChange, connectorpb.ConnectorClient.Change, current, next)
	a.release = release
	return a.run(ctx, task(target, current, next))
}

// Reset implements rotation.Resetter.
func (c *Connector) Reset(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	a := c.attempt(ofReset, connectorpb.ConnectorClient.Reset, admin, next)
	a.release = release
	wanted := task(target, admin, next)
	wanted.Whom = username
	return a.run(ctx, wanted)
}

// SetEnabled implements rotation.Disabler.
func (c *Connector) SetEnabled(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, enabled bool) rotation.Report {
	a := c.attempt(ofAct, connectorpb.ConnectorClient.SetEnabled, admin)
	wanted := task(target, admin, seal.Secret{})
	a.acts, wanted.Whom, wanted.Enabled = true, username, enabled
	return a.run(ctx, wanted)
}

// Revoke implements rotation.Revoker.
func (c *Connector) Revoke(ctx context.Context, target rotation.Target, admin rotation.Credential, username string) rotation.Report {
	a := c.attempt(ofAct, connectorpb.ConnectorClient.Revoke, admin)
	wanted := task(target, admin, seal.Secret{})
	a.acts, wanted.Whom = true, username
	return a.run(ctx, wanted)
}

// Users implements rotation.Lister.
func (c *Connector) Users(ctx context.Context, target rotation.Target, admin rotation.Credential, each func(user rotation.User) error) rotation.Report {
	a := c.attempt(ofAct, connectorpb.ConnectorClient.Users, admin)
	a.acts, a.each = true, each
	return a.run(ctx, task(target, admin, seal.Secret{}))
}

// Recover implements rotation.Recoverer.
func (c *Connector) Recover(ctx context.Context, target rotation.Target, forgotten rotation.Forgotten, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	a := c.attempt(ofRecover, connectorpb.ConnectorClient.Recover, rotation.Credential{}, next)
	a.release, a.link = release, forgotten.Link
	wanted := task(target, rotation.Credential{}, next)
	wanted.Whom, wanted.Address = forgotten.Username, forgotten.Address
	return a.run(ctx, wanted)
}

// Enrol implements rotation.Enroller.
func (c *Connector) Enrol(ctx context.Context, target rotation.Target, credential rotation.Credential, keep func(ctx context.Context, secret seal.Secret) (seal.Secret, error)) rotation.Report {
	a := c.attempt(ofEnrol, connectorpb.ConnectorClient.Enrol, credential)
	a.keep = keep
	return a.run(ctx, task(target, credential, seal.Secret{}))
}
