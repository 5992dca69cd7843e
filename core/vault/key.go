package vault

import (
	"context"
	"fmt"
	"sync"
	"time"

	"postern/core"
	"postern/core/seal"
)

// keyLife bounds how long a workspace key stays in memory, and with it how long a revoked KMS key
// still opens anything.
const keyLife = 5 * time.Minute

// keyLimit bounds how many workspace keys are in memory at once.
const keyLimit = 1024

type keyName struct {
	workspace core.ID
	epoch     int
}

type cachedKey struct {
	key     seal.Secret
	expires time.Time
}

type keyCache struct {
	lock sync.Mutex
	keys map[keyName]cachedKey
}

func (c *keyCache) find(name keyName, now time.Time) (seal.Secret, bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	found, ok := c.keys[name]
	if !ok || !now.Before(found.expires) {
		return seal.Secret{}, false
	}
	return found.key, true
}

func (c *keyCache) keep(name keyName, key seal.Secret, now time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.keys == nil {
		c.keys = map[keyName]cachedKey{}
	}
	for other, cached := range c.keys {
		if !now.Before(cached.expires) || len(c.keys) >= keyLimit {
			delete(c.keys, other)
		}
	}
	c.keys[name] = cachedKey{key: key, expires: now.Add(keyLife)}
}

// workspaceKey unwraps a workspace's key, or takes it from memory when it was unwrapped within the
// last five minutes.
func (v *Vault) workspaceKey(ctx context.Context, workspace core.ID, epoch int, provider string, wrapped []byte) (seal.Secret, error) {
	name := keyName{workspace, epoch}
	if key, ok := v.cache.find(name, v.now()); ok {
		return key, nil
	}
	if provider != v.Keys.Name() {
		return seal.Secret{}, core.Unavailable(time.Minute, "this workspace's vault cannot be opened now").WithCode("key_provider").
			Because(fmt.Errorf("vault: the workspace key is wrapped by %s, and this process has %s", provider, v.Keys.Name()))
	}
	asked := v.now()
	key, err := v.Keys.Unwrap(ctx, wrapped, workspaceBinding(workspace, epoch))
	if err != nil {
		return seal.Secret{}, err
	}
	v.cache.keep(name, key, asked)
	return key, nil
}

func (v *Vault) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

func workspaceBinding(workspace core.ID, epoch int) string {
	return fmt.Sprintf("postern workspace key|%s|%d", workspace, epoch)
}

func vaultBinding(workspace, vault core.ID, epoch int) string {
	return fmt.Sprintf("postern vault key|%s|%s|%d|%s", workspace, vault, epoch, seal.Suite)
}
