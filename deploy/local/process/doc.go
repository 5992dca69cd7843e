// Package process runs the servers of a development machine as children that end when we do.
//
//	Start ──────► one process; the kernel signals it when the starting process dies
//	StartGroup ─► a program that forks workers; its whole group is killed when our pipe closes
//
// A child is in a process group of its own, so Ctrl-C in a terminal is for us to pass on. The end of
// what it printed is kept, to say why it failed. No child outlives us, however we end.
//
// It never touches a process it did not start.
package process
