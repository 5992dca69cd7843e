package inbox

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate is a listener that holds so many connections at a time, of them so many of one source, each for so long.
type gate struct {
	net.Listener
	limits Limits

	lock    sync.Mutex
	total   int
	sources map[netip.Prefix]int
}

func newGate(listener net.Listener, limits Limits) *gate {
	return &gate{Listener: listener, limits: limits, sources: map[netip.Prefix]int{}}
}

// Accept implements net.Listener. Nobody waits in it for somebody else to go.
func (g *gate) Accept() (net.Conn, error) {
	for {
		connection, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := source(connection.RemoteAddr())
		if !g.enter(from) {
			go turnAway(connection)
			continue
		}
		end := time.AfterFunc(g.limits.Session, func() { _ = connection.Close() })
		return &held{Conn: connection, leave: func() { end.Stop(); g.leave(from) }}, nil
	}
}

func turnAway(connection net.Conn) {
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	_, _ = connection.Write([]byte("421 4.7.0 Too many connections, come again later\r\n"))
	_ = connection.Close()
}

func (g *gate) enter(from netip.Prefix) bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.total >= g.limits.Connections || g.sources[from] >= g.limits.PerSource {
		return false
	}
	g.total++
	g.sources[from]++
	return true
}

func (g *gate) leave(from netip.Prefix) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.total--
	if g.sources[from]--; g.sources[from] == 0 {
		delete(g.sources, from)
	}
}

// source is whom a connection counts for: an IPv4 address, or the network of an IPv6 address.
func source(address net.Addr) netip.Prefix {
	found, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := found.Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	network, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// held is a connection that counts until it is closed.
type held struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Read implements net.Conn. A client hangs up between two commands and says QUIT; in the middle of a chunk (RFC 3030) the
// library would take the end of the connection for the end of the message, and half a message for a whole one.
func (h *held) Read(into []byte) (int, error) {
	n, err := h.Conn.Read(into)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements net.Conn.
func (h *held) Close() error {
	h.once.Do(h.leave)
	return h.Conn.Close()
}
