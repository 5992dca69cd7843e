package inbox

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-smtp"

	"postern/core/mailbox"
)

// Receiver is an SMTP server for accounts' addresses.
type Receiver struct {
	Mailboxes *mailbox.Mailboxes
	Name      string          // of this host, as it greets
	Resolver  spf.DNSResolver // for SPF and DKIM; nil is the machine's
	// Certificate is asked for at each STARTTLS. Nil: it is not offered.
	Certificate func() (*tls.Certificate, error)
	Limits      Limits
	Log         *slog.Logger // nil: none
}

// Limits bound what clients may take. Zero values are good.
type Limits struct {
	Message     int64         // bytes of a message; default 1 MiB
	Connections int           // at a time; default 200
	PerSource   int           // of them of one IPv4 address, or IPv6 network of 64 bits; default 20
	Idle        time.Duration // for a command, or a whole message; default 1 minute
	Session     time.Duration // for a connection; default 10 minutes
	DNS         time.Duration // for SPF and DKIM; default 10 seconds
	Commit      time.Duration // for the database; default 20 seconds
}

func (l Limits) withDefaults() Limits {
	l.Message = cmp.Or(l.Message, 1<<20)
	l.Connections = cmp.Or(l.Connections, 200)
	l.PerSource = cmp.Or(l.PerSource, 20)
	l.Idle = cmp.Or(l.Idle, time.Minute)
	l.Session = cmp.Or(l.Session, 10*time.Minute)
	l.DNS = cmp.Or(l.DNS, 10*time.Second)
	l.Commit = cmp.Or(l.Commit, 20*time.Second)
	return l
}

// maxLine is how long a line may be: RFC 5321 4.5.3.1.6 has 1000 bytes, and some mail servers have their own mind.
const maxLine = 32 << 10

// farewell is how long connections may finish at a stop.
const farewell = 5 * time.Second

// Serve takes mail from a listener until ctx ends, and closes it.
func (r *Receiver) Serve(ctx context.Context, listener net.Listener) error {
	limits := r.Limits.withDefaults()
	server := smtp.NewServer(smtp.BackendFunc(func(connection *smtp.Conn) (smtp.Session, error) {
		return &session{receiver: r, ctx: ctx, limits: limits, connection: connection}, nil
	}))
	server.Domain, server.MaxRecipients, server.MaxMessageBytes = r.Name, 1, limits.Message
	server.MaxLineLength = maxLine
	server.ReadTimeout, server.WriteTimeout = limits.Idle, limits.Idle
	server.ErrorLog = quiet{r.log()}
	if r.Certificate != nil {
		server.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.Certificate() },
		}
	}
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		select {
		case <-ctx.Done():
		case <-stopped:
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = server.Shutdown(grace)
		_ = server.Close()
	}()
	err := server.Serve(newGate(listener, limits))
	if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
		return nil
	}
	return err
}

func (r *Receiver) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.New(slog.DiscardHandler)
}

// quiet is go-smtp's logger: what strangers do wrong is of no interest, and is said to them.
type quiet struct{ log *slog.Logger }

// Printf implements smtp.Logger. What a client sent may be among the arguments: they are left out.
func (q quiet) Printf(format string, _ ...any) { q.log.Debug("smtp", "what", format) }

// Println implements smtp.Logger.
func (q quiet) Println(...any) {}
