// Package conformance holds what is checked from outside: the shape of the house, and, in the folders
// below, protocols and the whole line over HTTP.
//
//	house_test.go   which package may import which; package docs; no test helper in the binary
//	bodies_test.go  64 MiB to every route of the gateway
//	scim/           what the RFCs, Okta and Entra ID ask of a SCIM server: any server, by its URL
//	idp/            an identity provider that plays a population against one, over a bad network
//	suites/         what others wrote: test suites, clients and servers in Python, Java and JavaScript
//	optest/         real OpenID providers, for tests of sign-in and logout
//	line/           one deprovision, end to end, against real parts
//	posterntest/    Postern's SCIM endpoint over a real PostgreSQL, for the tests here
//	partstest/      what a test does on a machine that lacks a part it drives
//
// Nothing here reaches into a package's insides: it compiles against exported names or speaks HTTP.
// scim and idp are part of the binary (postern conformance); the rest is for tests alone.
package conformance
