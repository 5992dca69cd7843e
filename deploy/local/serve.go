package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// site is one HTTP server on loopback.
type site struct {
	name    string
	address string // URL
	server  *http.Server
	failed  chan error
}

// serveSite listens and serves until stop. The listener is there when it returns, so an address that
// was announced answers.
func serveSite(name string, port int, handler http.Handler) (*site, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := &site{
		name: name, address: "http://" + listener.Addr().String(), failed: make(chan error, 1),
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute},
	}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	return s, nil
}

func (s *site) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return s.server.Close() // a page that streams does not end by itself
	}
	return nil
}
