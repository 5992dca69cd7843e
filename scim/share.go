package scim

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/time/rate"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/seal"
)

// The defaults of a Share.
const (
	DefaultQueue   = 128
	DefaultWait    = 5 * time.Second
	DefaultArrival = 10 * time.Second
)

// Share is how the endpoint is divided between those who ask at the same time. The zero value is the
// default.
//
// A workspace holds at most three quarters of the places and waits in turn with the others, so that
// it gets through however much another asks for. Whoever shows a token that was not good before, or
// asks for one, waits among the strangers, who hold a quarter of the places together and take turns by
// address: a flood of forged tokens pushes no workspace aside.
//
// A request takes its place when its body is there. Until then it holds the memory of what has come: of
// all memory for bodies, a workspace at most a half.
type Share struct {
	// Places is how many requests are worked on at once. Default: three for each processor, but at least six
	// and at most seven eighths of the database pool. More at once are not done sooner: they take turns on the
	// processors instead of at the door, and the last of them waits twice as long.
	Places int
	// Queue is how many requests of one connection, or of one unknown address, may wait. Default 128.
	Queue int
	// Wait is how long one may wait. Default 5 s.
	Wait time.Duration
	// Arrival is how long a body may take to come, and a second more for each 64 KiB of it. Default 10 s.
	Arrival time.Duration
}

const (
	// maxKnown bounds how many tokens and addresses are remembered.
	maxKnown = 10_000
	// forgeries is how many bad tokens of one address are looked up at once, and forgeryRate how many
	// a second after that. The others are sent away before the database is asked.
	forgeries   = 100
	forgeryRate = 10
)

// shares is the state behind a Share.
type shares struct {
	prepared  sync.Once
	turnstile turnstile
	known     recent[[sha256.Size]byte, acquaintance] // tokens that were good, by their hash
	forgers   recent[laneKey, *rate.Limiter]          // addresses that sent bad ones
	throttled audit.Throttle
}

// acquaintance is whose token it was. It decides where a request waits, never what it may do.
type acquaintance struct {
	workspace, connection core.ID
	name                  string
}

// sharing fills in what the zero value leaves open, so that a literal is ready for use.
func (s *Service) sharing() *shares {
	own := &s.shares
	own.prepared.Do(func() {
		places := s.Share.Places
		if places <= 0 {
			places = min(max(6, 3*runtime.GOMAXPROCS(0)), max(1, int(s.DB.Stat().MaxConns())*7/8))
		}
		own.turnstile.places, own.turnstile.queue, own.turnstile.wait = places, DefaultQueue, DefaultWait
		if s.Share.Queue > 0 {
			own.turnstile.queue = s.Share.Queue
		}
		if s.Share.Wait > 0 {
			own.turnstile.wait = s.Share.Wait
		}
		own.known.most, own.forgers.most = maxKnown, maxKnown
		own.throttled.Burst, own.throttled.Every = 1, time.Minute
	})
	return own
}

// admit lets a request in when it is its turn, before anything is asked of the database. leave gives
// the place back. A request without a token that could be one needs no place: it is refused as it is.
func (r *request) admit(client string) (leave func(), err error) {
	token, err := bearerToken(r.Header)
	if err != nil {
		return func() {}, nil //nolint:nilerr // whoever carries it out refuses it
	}
	who, known := r.sharing().known.get(sha256.Sum256([]byte(token.Reveal())))
	if !known {
		return r.admitStranger(r.Context(), client)
	}
	leave, err = r.enter(r.Context(), who.workspace, laneKey(who.connection))
	if core.KindOf(err) == core.KindRateLimited {
		r.recordThrottled(who, client)
	}
	return leave, err
}

// admitStranger lets somebody in of whom only the address is known.
func (s *Service) admitStranger(ctx context.Context, client string) (leave func(), err error) {
	lane := addressLane(client)
	if err := s.suspect(lane); err != nil {
		return nil, err
	}
	leave, err = s.enter(ctx, core.ID{}, lane)
	if err != nil {
		return nil, err
	}
	// Others of the address may have failed while this one waited.
	if err := s.suspect(lane); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

func (s *Service) enter(ctx context.Context, party core.ID, lane laneKey) (leave func(), err error) {
	turnstile := &s.sharing().turnstile
	ticket, err := turnstile.enter(ctx, party, lane, s.now)
	if err != nil {
		return nil, err
	}
	return func() { turnstile.leave(ticket, s.now()) }, nil
}

// addressLane is where an address waits: one customer has a /64 of IPv6 to choose from.
func addressLane(client string) laneKey {
	address, err := netip.ParseAddr(client)
	if err != nil {
		return laneKey{}
	}
	if address = address.Unmap(); address.Is6() {
		if prefix, err := address.WithZone("").Prefix(64); err == nil {
			address = prefix.Addr()
		}
	}
	return address.As16()
}

// suspect refuses an address that has sent too many bad tokens.
func (s *Service) suspect(lane laneKey) error {
	limiter, known := s.sharing().forgers.get(lane)
	if known && limiter.TokensAt(s.now()) < 1 {
		return busy(time.Second)
	}
	return nil
}

// blame counts a bad token or a bad secret against the address it came from.
func (s *Service) blame(client string) {
	forgers, lane := &s.sharing().forgers, addressLane(client)
	limiter, known := forgers.get(lane)
	if !known {
		limiter = rate.NewLimiter(forgeryRate, forgeries)
		forgers.put(lane, limiter)
	}
	limiter.AllowN(s.now(), 1)
}

// judge remembers what the database said of a token.
func (s *Service) judge(token seal.Secret, connection directory.Connection, client string, err error) {
	hash := sha256.Sum256([]byte(token.Reveal()))
	if err == nil {
		s.sharing().known.put(hash, acquaintance{connection.Workspace, connection.ID, connection.Name})
		return
	}
	if core.KindOf(err) == core.KindUnauthenticated {
		s.sharing().known.drop(hash)
		s.blame(client)
	}
}

// recordThrottled tells that a connection asked for more than its share, once a minute.
func (r *request) recordThrottled(who acquaintance, client string) {
	suppressed, ok := r.sharing().throttled.Allow(r.received, who.connection)
	if !ok {
		return
	}
	cause := core.NewCause(core.Actor{Kind: core.ActorConnection, ID: who.connection, Name: who.name}, r.received)
	cause.Origin = core.Origin{Address: client, UserAgent: core.Cut(r.UserAgent(), maxUserAgent)}
	event := core.NewEvent(core.ConnectionThrottled, who.workspace, cause, r.received, core.Target{Kind: "connection", ID: who.connection, Name: who.name}).
		Failed("more requests at once than its share").With("protocol", "scim")
	if suppressed > 0 {
		event = event.With("suppressed", strconv.Itoa(suppressed))
	}
	r.record(r.Context(), event)
}

// record appends an event in a transaction of its own. That it could not be written changes no answer.
func (s *Service) record(ctx context.Context, event core.Event) {
	// The client may be gone by now; what it did is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, event) })
	if err != nil {
		s.log().WarnContext(ctx, "an event could not be recorded", "type", string(event.Type), "correlation", event.Correlation.String(), "error", err.Error())
		return
	}
	if s.Lifecycle != nil && s.Lifecycle.Wake != nil {
		s.Lifecycle.Wake()
	}
}
