package core

import "net/netip"

// Loopback reports whether a host, a name or an IP address without a port, is this very machine: only there may a secret
// travel without TLS.
func Loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
