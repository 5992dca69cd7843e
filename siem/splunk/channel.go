package splunk

import (
	"net/http"
	"net/http/cookiejar"
	"sync"

	"postern/core"
)

// channel is the line on which acknowledgements of requests are asked for. It is used by one delivery at a time.
// It keeps cookies: what balances load before indexers leads a channel to the same one by them.
type channel struct {
	id     string
	client *http.Client
}

// channels lends them out. There are as many as deliveries at once.
type channels struct {
	mutex sync.Mutex
	free  []*channel
}

func (c *channels) take(client *http.Client) *channel {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if last := len(c.free) - 1; last >= 0 {
		one := c.free[last]
		c.free = c.free[:last]
		return one
	}
	own := *client
	own.Jar, _ = cookiejar.New(nil) // never fails
	return &channel{id: core.NewID().String(), client: &own}
}

// back returns a channel on which nothing is waited for. Others are not used again.
func (c *channels) back(one *channel) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.free = append(c.free, one)
}
