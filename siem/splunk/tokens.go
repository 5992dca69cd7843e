package splunk

import (
	"sync"
	"time"

	"postern/core/seal"
	"postern/siem/transport"
)

// again is after how long a token that was refused is tried first again.
const again = time.Minute

// tokens are the new one and the one before it.
type tokens struct {
	secrets Secrets

	mutex   sync.Mutex
	refused seal.Secret // the new one, when it was refused last
	at      time.Time
}

// open lists the tokens in the order to try them. The second is there only if it was given, can be read and is
// another one.
func (t *tokens) open(now time.Time) ([]seal.Secret, error) {
	current, err := transport.Token(t.secrets.Token, "the collector's token")
	if err != nil {
		return nil, err
	}
	if t.secrets.Previous == nil {
		return []seal.Secret{current}, nil
	}
	previous, err := transport.Token(t.secrets.Previous, "the collector's previous token")
	if err != nil || previous.Equal(current) { // then it is the new one alone
		return []seal.Secret{current}, nil
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.refused.Equal(current) && now.Before(t.at.Add(again)) {
		return []seal.Secret{previous, current}, nil
	}
	return []seal.Secret{current, previous}, nil
}

// refuse remembers that a token was refused.
func (t *tokens) refuse(token seal.Secret, now time.Time) {
	current, err := transport.Token(t.secrets.Token, "the collector's token")
	if err != nil || !current.Equal(token) {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.refused, t.at = token, now
}
