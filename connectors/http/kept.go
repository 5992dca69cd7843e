package http

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"strconv"
	"sync"
	"time"

	"postern/core/rotation"
)

const (
	// early is how long before its time a token is taken for expired.
	early = 5 * time.Minute
	// mostKept is how many tokens are kept at a time.
	mostKept = 256
)

// kept are the tokens that administrators were given, until they expire: an identity provider asks not to be asked for one each
// time. No sign-in that is to prove something is made with them.
type kept struct {
	lock   sync.Mutex
	tokens map[[sha256.Size]byte]keptToken
}

type keptToken struct {
	values map[string]string
	until  time.Time
}

// secret keeps what is in memory from telling the password a key was made of.
var secret = func() []byte {
	made := make([]byte, 32)
	_, _ = rand.Read(made) // it does not fail
	return made
}()

// keyOf names a sign-in at an app: with another password, address or definition it is another.
func keyOf(address string, settings []byte, credential rotation.Credential) (key [sha256.Size]byte) {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{address, string(settings), credential.Username, credential.Password.Reveal()} {
		sum := sha256.Sum256([]byte(part))
		_, _ = mac.Write(sum[:])
	}
	return [sha256.Size]byte(mac.Sum(nil))
}

// into adds what was kept to the values; false if there is nothing.
func (k *kept) into(key [sha256.Size]byte, values map[string]string) bool {
	k.lock.Lock()
	defer k.lock.Unlock()
	found, ok := k.tokens[key]
	if ok = ok && time.Now().Before(found.until); ok {
		maps.Copy(values, found.values)
	}
	return ok
}

// add keeps what a sign-in gave for as many seconds as the app says.
func (k *kept) add(key [sha256.Size]byte, keep, values map[string]string, seconds string) {
	number, err := strconv.Atoi(seconds)
	until := time.Now().Add(time.Duration(min(number, 24*60*60))*time.Second - early)
	if err != nil || !time.Now().Before(until) {
		return
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	if len(k.tokens) >= mostKept {
		k.tokens = nil
	}
	if k.tokens == nil {
		k.tokens = map[[sha256.Size]byte]keptToken{}
	}
	token := keptToken{map[string]string{}, until}
	for name := range keep {
		token.values[name] = values[name]
	}
	k.tokens[key] = token
}

func (k *kept) drop(key [sha256.Size]byte) {
	k.lock.Lock()
	defer k.lock.Unlock()
	delete(k.tokens, key)
}
