package activity

import (
	"sync"
	"time"

	"postern/core"
)

// Places bounds how many tails and downloads there are at once. The zero Places has room for 128, 6 of them one
// party's: browsers allow no more to one host anyway. Use it by pointer.
type Places struct {
	mutex sync.Mutex
	taken int
	by    map[core.ID]int
}

const (
	maxPlaces = 128
	maxEach   = 6
)

// Take gives somebody a place until they leave it; without one left it is RateLimited.
func (p *Places) Take(who core.ID) (leave func(), err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.taken >= maxPlaces || p.by[who] >= maxEach {
		return nil, &core.Error{Kind: core.KindRateLimited, RetryAfter: 10 * time.Second, Message: "too many of these are open at once"}
	}
	if p.by == nil {
		p.by = map[core.ID]int{}
	}
	p.taken++
	p.by[who]++
	return sync.OnceFunc(func() { p.leave(who) }), nil
}

func (p *Places) leave(who core.ID) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.taken--
	if p.by[who]--; p.by[who] == 0 {
		delete(p.by, who)
	}
}
