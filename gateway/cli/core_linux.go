package cli

import "golang.org/x/sys/unix"

// withoutCore has the kernel write no memory of this process to a file when it dies, as there are secrets in it, nor of
// what it starts: the browser and connectors of others. The limit, which they inherit, is 1 byte instead of none, since
// with none the kernel still hands the memory to a program that collects core dumps (core(5)).
func withoutCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
