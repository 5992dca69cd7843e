package guard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"postern/core"
)

// Resolver turns a name into addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Dialer connects to public addresses only. The zero value is ready to use and strict.
type Dialer struct {
	// AllowPrivate lets every address through: for development, and for apps inside the network.
	AllowPrivate bool
	// Timeout bounds resolving and connecting together. Default: 10 s.
	Timeout time.Duration
	// Resolver resolves names. Default: net.DefaultResolver.
	Resolver Resolver
}

// DialContext resolves the host once, refuses it if any of its addresses is refused, and connects to
// an address it has checked, so that a name cannot change its meaning in between. It fits
// http.Transport.DialContext.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, core.Invalid("address", "an address is host:port").Because(err)
	}
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{KeepAlive: 30 * time.Second}
	var last error
	for _, candidate := range addresses {
		connection, err := dialer.DialContext(ctx, network, net.JoinHostPort(candidate.String(), port))
		if err == nil {
			return connection, nil
		}
		last = err
	}
	return nil, unreachable(host, last)
}

func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	addresses, err := []netip.Addr(nil), error(nil)
	if literal, parsed := netip.ParseAddr(host); parsed == nil {
		addresses = []netip.Addr{literal}
	} else {
		var resolver Resolver = net.DefaultResolver
		if d.Resolver != nil {
			resolver = d.Resolver
		}
		if addresses, err = resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, unreachable(host, err)
		}
	}
	if len(addresses) == 0 {
		return nil, unreachable(host, errors.New("the name has no address"))
	}
	for i, address := range addresses {
		if !d.AllowPrivate && !Public(address) {
			return nil, refused(host)
		}
		addresses[i] = address.Unmap()
	}
	return addresses, nil
}

func unreachable(host string, cause error) error {
	code, said := "unreachable", "cannot be reached"
	if timeout, ok := errors.AsType[net.Error](cause); ok && timeout.Timeout() || errors.Is(cause, context.DeadlineExceeded) {
		code, said = "timeout", "did not answer in time"
	}
	return core.Unavailable(10*time.Second, "%s %s", host, said).WithCode(code).Because(cause)
}
