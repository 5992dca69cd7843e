package plugin

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// image is a copy of a program's file in memory that nobody can write to any more, so that what is hashed is what is started. The
// name is how whoever is started with it as its first extra file finds it.
func image(path string) (file *os.File, name string, sum []byte, err error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, "", nil, err
	}
	defer func() { _ = source.Close() }()
	if about, err := source.Stat(); err != nil {
		return nil, "", nil, err
	} else if about.IsDir() || about.Mode()&0o111 == 0 {
		return nil, "", nil, os.ErrPermission
	}
	descriptor, err := unix.MemfdCreate("connector", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 it was not asked for
		descriptor, err = unix.MemfdCreate("connector", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, "", nil, err
	}
	made := os.NewFile(uintptr(descriptor), "connector")
	digest := sha256.New()
	if _, err = io.Copy(io.MultiWriter(made, digest), source); err == nil {
		const sealed = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
		_, err = unix.FcntlInt(made.Fd(), unix.F_ADD_SEALS, sealed)
	}
	if err != nil {
		_ = made.Close()
		return nil, "", nil, err
	}
	return made, "/proc/self/fd/3", digest.Sum(nil), nil
}
