// Package conformance holds what is checked from outside: the shape of the house, and, in the
// folders below, protocols and the whole line over HTTP.
//
//	house_test.go   which package may import which; package docs; no test helper in the binary
//	line/           one deprovision, end to end, against real parts
//	scim/           SCIM shapes as the IdPs send them
//
// Nothing here reaches into a package's insides: it compiles against exported names or speaks HTTP.
package conformance
