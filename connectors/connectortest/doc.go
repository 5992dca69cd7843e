// Package connectortest is the contract every connector keeps, as tests to run against a real app.
//
// It is for tests alone and never linked into the binary.
package connectortest
