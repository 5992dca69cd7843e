package splunk

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
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
	return newChannel(client, core.NewID().String())
}

func newChannel(client *http.Client, id string) *channel {
	own := *client
	own.Jar, _ = cookiejar.New(nil) // never fails
	return &channel{id: id, client: &own}
}

// cookies are what is sent to an address.
func (c *channel) cookies(address string) map[string]string {
	at, err := url.Parse(address)
	if err != nil {
		return nil
	}
	kept := map[string]string{}
	for _, one := range c.client.Jar.Cookies(at) {
		kept[one.Name] = one.Value
	}
	return kept
}

// take has cookies sent to an address.
func (c *channel) take(address string, kept map[string]string) {
	at, err := url.Parse(address)
	if err != nil {
		return
	}
	for name, value := range kept {
		c.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
	}
}

// back returns a channel on which nothing is waited for. Others are not used again.
func (c *channels) back(one *channel) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.free = append(c.free, one)
}
