package plugin

// With gives a program an environment, for tests that are programs themselves.
func (o Options) With(environment ...string) Options {
	o.environment = environment
	return o
}

// Process is the id of the program's process, or empty.
func (c *Connector) Process() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.current == nil {
		return ""
	}
	return c.current.client.ID()
}
