package postgres

import (
	"errors"
	"io"
	"net"
)

// connectionLost reports whether err is a connection that broke under a query: the server was
// stopped or the network failed.
func connectionLost(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}
