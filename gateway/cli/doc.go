// Package cli is the command line: serve, dev, demo, migrate, key, and the setting up
// of workspaces, connections, tokens and owners.
//
//	arguments + POSTERN_… ──► one struct per command ──► run(ctx) ──► exit code by core.Kind
//
// Flags, variables, defaults and help have one definition, in the struct. Ctrl-C and SIGTERM end a
// command cleanly; a second one ends it at once. Errors go to standard error in words that say what
// to do, and the exit code tells a script what kind of error it was.
package cli
