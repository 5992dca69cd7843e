package core

import (
	"net/netip"
	"net/url"
)

// Loopback reports whether a host, a name or an IP address without a port, is this very machine: only there may a secret
// travel without TLS.
func Loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// SecureAddress reports whether an address is https, or http on this machine, without a user, a query or a fragment.
func SecureAddress(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return false
	}
	return parsed.Scheme == "https" || parsed.Scheme == "http" && Loopback(parsed.Hostname())
}
