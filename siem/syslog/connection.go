package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// connection is one to the receiver. Nothing but its end ever comes from there.
type connection struct {
	net.Conn
	ended chan struct{} // closed when the receiver ended it
	err   error         // how, once ended
}

// connect dials, and shakes hands unless it is plain.
func (r *Receiver) connect(ctx context.Context) (*connection, error) {
	raw, err := r.dial(ctx, "tcp", r.settings.Address)
	if err != nil {
		return nil, err
	}
	made := &connection{Conn: raw, ended: make(chan struct{})}
	if !r.settings.Plain {
		secure := tls.Client(raw, r.config)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		made.Conn = secure
	}
	go func() {
		_, made.err = io.Copy(io.Discard, made.Conn)
		close(made.ended)
	}()
	return made, nil
}

// write sends everything, or nothing is known of it.
func (c *connection) write(ctx context.Context, text []byte) error {
	select {
	case <-c.ended: // before anything was sent
		return errEnded
	default:
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := c.Write(text)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		// An alert or the end that the receiver sent says more than that nothing can be written.
		select {
		case <-c.ended:
			return cmpError(c.err, err)
		case <-time.After(time.Second):
		}
	}
	return err
}

// finish says that nothing more comes, and waits until the receiver has read everything and says so too. It ends the
// connection in any case.
func (c *connection) finish(ctx context.Context) error {
	defer c.Close()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the connection cannot be ended on one side")
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	if secure, ok := c.Conn.(*tls.Conn); ok {
		// Receivers that do not read close_notify read the end of the stream.
		if plain, ok := secure.NetConn().(interface{ CloseWrite() error }); ok {
			if err := plain.CloseWrite(); err != nil {
				return err
			}
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
	}
	// A receiver that lets go with something unread resets the connection; one that read everything ends it, some
	// without close_notify.
	if c.err != nil && !errors.Is(c.err, io.ErrUnexpectedEOF) {
		return c.err
	}
	return nil
}

var errEnded = errors.New("the receiver ended the connection")

func cmpError(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
