package stream

import (
	"context"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"postern/core"
	"postern/core/seal"
)

// Mechanisms are the ways to log in that Login knows.
var Mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

// Login is how to authenticate to the brokers (SASL: RFC 4616, RFC 5802, RFC 7677).
type Login struct {
	Mechanism string // one of Mechanisms
	User      string
	// Password is asked at each new connection, so that a replaced one holds from the next on.
	Password func() (seal.Secret, error)
}

// mechanism is nil when nobody logs in.
func (l Login) mechanism() (sasl.Mechanism, error) {
	switch l.Mechanism {
	case "":
		return nil, nil
	case "plain", "scram-sha-256", "scram-sha-512":
		return asking{l}, nil
	}
	return nil, core.Invalid("mechanism", "Kafka's login mechanism is one of %s", strings.Join(Mechanisms, ", "))
}

// asking is a mechanism whose password is asked at each connection.
type asking struct{ Login }

// Name implements sasl.Mechanism.
func (a asking) Name() string { return strings.ToUpper(a.Mechanism) }

// Start implements sasl.Mechanism.
func (a asking) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	password, err := a.Password()
	if err != nil {
		return nil, nil, err
	}
	if a.Mechanism == "plain" {
		return plain.Mechanism{Username: a.User, Password: password.Reveal()}.Start(ctx)
	}
	algorithm := scram.SHA256
	if a.Mechanism == "scram-sha-512" {
		algorithm = scram.SHA512
	}
	mechanism, err := scram.Mechanism(algorithm, a.User, password.Reveal())
	if err != nil {
		return nil, nil, core.Invalid("password", "Kafka's user or password holds characters that SCRAM does not take")
	}
	return mechanism.Start(ctx)
}
