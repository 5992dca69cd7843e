// Package vaulttest looks through a whole database for secrets that were planted in it.
//
//	every table ─► every row as text (bytea as hexadecimal) ─► holds the canary? as itself, hexadecimal, base64
//
// It is for tests alone and never linked into the binary.
package vaulttest
