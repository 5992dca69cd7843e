package guard

import (
	"net/netip"

	"postern/core"
)

// CodePrivateAddress is the code of the Denied error for an address the guard refuses.
const CodePrivateAddress = "private_address"

// closed are the ranges that netip's own predicates leave open and that lead to no public host.
var closed = prefixes(
	"0.0.0.0/8",        // this network
	"100.64.0.0/10",    // shared address space of carriers
	"168.63.129.16/32", // Azure's platform services: a metadata address that looks public
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata lives here
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"198.18.0.0/15",    // benchmarking
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"240.0.0.0/4",      // reserved, and broadcast
	"100::/64",         // discard
	"2001::/23",        // protocol assignments, Teredo among them
	"2001:db8::/32",    // documentation
	"3fff::/20",        // documentation
	"5f00::/16",        // segment routing
	"64:ff9b:1::/48",   // NAT64 within a network
	"fec0::/10",        // site-local, deprecated
)

var (
	compatible = netip.MustParsePrefix("::/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// Public reports whether an address belongs to the public Internet. IPv6 forms that carry an IPv4
// address are judged by the address they carry.
func Public(address netip.Addr) bool {
	if !address.IsValid() || address.Zone() != "" {
		return false
	}
	address = address.Unmap()
	if !address.IsGlobalUnicast() || address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast() {
		return false
	}
	for _, prefix := range closed {
		if prefix.Contains(address) {
			return false
		}
	}
	if address.Is4() {
		return true
	}
	bytes := address.As16()
	switch {
	case compatible.Contains(address):
		return false
	case nat64.Contains(address):
		return Public(netip.AddrFrom4([4]byte(bytes[12:16])))
	case sixToFour.Contains(address):
		return Public(netip.AddrFrom4([4]byte(bytes[2:6])))
	}
	return true
}

func refused(host string) error {
	return core.Denied("%s is not on the public Internet, and private addresses are not allowed here", host).WithCode(CodePrivateAddress)
}
