// Package postgresql runs a private PostgreSQL server from the binaries on the machine.
//
//	Find ──► bin/ ──► Start ──► initdb (once) ──► postgres on 127.0.0.1 ──► Stop
//
// The server listens on loopback alone, asks for a password nobody else has, keeps its data in one
// folder, and ends with the process that started it, even when that is killed. Started by root it
// runs as an ordinary user, because PostgreSQL refuses root.
//
// It never installs anything and never touches a server it did not start.
package postgresql
