package connectortest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a connector and its app, and can be cut.
type proxy struct {
	address string
	lock    sync.Mutex
	open    []net.Conn
	dead    bool
}

func (a App) proxy(t *testing.T) *proxy {
	t.Helper()
	listener := listen(t)
	p := &proxy{address: listener.Addr().String()}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		all.Wait()
	})
	all.Go(func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", a.Address)
			if err != nil {
				_ = here.Close()
				continue
			}
			p.lock.Lock()
			p.open = append(p.open, here, there)
			dead := p.dead
			p.lock.Unlock()
			if dead { // it was connected when the way was cut, and had not been taken on yet
				p.cut()
				continue
			}
			for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
				all.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
	return p
}

// cut ends every connection, and lets no more through.
func (p *proxy) cut() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.dead = true
	for _, one := range p.open {
		_ = one.Close()
	}
	p.open = nil
}
