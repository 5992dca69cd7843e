package plugin

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"time"

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

// Connector is a connector whose program only verifies.
type Connector struct{ program }

// Changer is one whose program changes passwords too.
type Changer struct{ *Connector }

var (
	_ rotation.Connector = (*Connector)(nil)
	_ rotation.Changer   = Changer{}
)

// Open starts the program and asks what it can do: the connector is a rotation.Changer if it can change passwords. A
// program that has another checksum is Denied, one that is no connector Unavailable. Close ends it.
func Open(ctx context.Context, options Options) (rotation.Connector, error) {
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
	c := &Connector{program{options: options}}
	described, err := c.describe(ctx)
	if err != nil {
		c.close()
		return nil, err
	}
	if described.GetChanges() {
		return Changer{c}, nil
	}
	return c, nil
}

// Close ends the program. Attempts still running end soon after, as when it dies.
func (c *Connector) Close() error {
	c.close()
	return nil
}

// Verify implements rotation.Connector.
func (c *Connector) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	a := &attempt{program: &c.program, secrets: []seal.Secret{credential.Password}, code: credential.Code}
	return a.run(ctx, task(target, credential, seal.Secret{}))
}

// Change implements rotation.Changer.
func (c Changer) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	a := &attempt{program: &c.program, secrets: []seal.Secret{current.Password, next}, code: current.Code, release: release}
	return a.run(ctx, task(target, current, next))
}
