package scim

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	scimerrors "github.com/elimity-com/scim/errors"

	"postern/core"
)

const (
	// maxBody bounds a request's body in bytes.
	maxBody = 1 << 20
	// maxGroupBody does where a group is written: Okta sends all the members of a group with every change of
	// it, in some 170 bytes for each.
	maxGroupBody = 32 << 20
	// maxUnwanted is how much is taken of a body that is refused.
	maxUnwanted = 256 << 10
	// firstBuffer is what a body is given to begin with, and counts as at least.
	firstBuffer = 16 << 10
	// slowest is how many bytes a second a body may take longer for than it is given anyway.
	slowest = 64 << 10
	// allBodies bounds the bytes of all bodies in memory, those being read and those being worked on;
	// half of them may be one workspace's.
	allBodies = 128 << 20
)

// bodies counts the memory that the bodies of requests hold.
type bodies struct {
	mutex   sync.Mutex
	held    int
	parties map[core.ID]int // by workspace
}

// hold takes memory for a workspace, or reports that there is none.
func (b *bodies) hold(workspace core.ID, size int) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.held+size > allBodies || b.parties[workspace]+size > allBodies/2 {
		return false
	}
	if b.parties == nil {
		b.parties = map[core.ID]int{}
	}
	b.held += size
	b.parties[workspace] += size
	return true
}

// release gives memory back.
func (b *bodies) release(workspace core.ID, size int) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.held -= size
	if b.parties[workspace] -= size; b.parties[workspace] == 0 {
		delete(b.parties, workspace)
	}
}

// arrival is a body, or why there is none.
type arrival struct {
	text  []byte
	fault error
}

// receive reads the body before the request takes a place, so that one that trickles in holds nothing
// but its own connection and the bytes that came. Who shows a token for the first time has it looked at
// before anything is read for them. done gives the memory back. That a body is too large is told when
// the request is carried out; the error is that it did not come, or that there is no room for it.
func (r *request) receive(client string) (done func(), err error) {
	done = func() {}
	token, err := bearerToken(r.Header)
	if err != nil || !r.bears() || acceptable(r.Header) != nil {
		return done, nil //nolint:nilerr // whoever carries it out refuses it
	}
	who, known := r.sharing().known.get(sha256.Sum256([]byte(token.Reveal())))
	if !known {
		if err := r.introduce(client); err != nil {
			r.hurry()
			return done, err
		}
		who = acquaintance{r.connection.Workspace, r.connection.ID, r.connection.Name}
	}
	limit := r.longestBody()
	if r.ContentLength > int64(limit) {
		r.hurry()
		r.arrival.fault = tooLarge(limit)
		return done, nil
	}
	held := 0
	room := func(size int) bool {
		if !r.bodies.hold(who.workspace, size) {
			return false
		}
		held += size
		return true
	}
	done = func() { r.bodies.release(who.workspace, held) }
	r.arrival.text, err = r.readBody(limit, room)
	switch {
	case core.KindOf(err) == core.KindTooLarge && err != nil:
		r.hurry()
		r.arrival.fault = err
		return done, nil //nolint:nilerr // whoever carries it out refuses it
	case errors.Is(err, errNoRoom):
		r.hurry()
		r.recordThrottled(who, client)
		return done, busy(time.Second)
	}
	return done, err
}

// bears reports whether whoever carries the request out reads its body.
func (r *request) bears() bool {
	if r.Body == nil || r.Body == http.NoBody {
		return false
	}
	_, takes := r.routes[r.address][r.Method]
	return takes && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch)
}

// introduce finds out whose a token is that was not good before, in a place of its own.
func (r *request) introduce(client string) (err error) {
	leave, err := r.admitStranger(r.Context(), client)
	if err != nil {
		return err
	}
	defer leave()
	defer r.recover(&err)
	return r.authenticate(client, r.reading())
}

// longestBody is how many bytes the request may have.
func (r *request) longestBody() int {
	if r.address == groupType.Endpoint || r.address == groupType.Endpoint+"/{id}" {
		return maxGroupBody
	}
	return maxBody
}

func tooLarge(limit int) error { return core.TooLarge("this request may have %d bytes", limit) }

var (
	errNoRoom = errors.New("scim: no memory is left for bodies")
	errSlow   = scimerrors.ScimError{Status: http.StatusRequestTimeout, Detail: "the body did not arrive in time; send it again, faster"}
)

// readBody reads the body to its end, while there is room and it keeps coming.
func (r *request) readBody(limit int, room func(size int) bool) ([]byte, error) {
	size := firstBuffer
	if !room(size) {
		return nil, errNoRoom
	}
	if r.ContentLength >= 0 && r.ContentLength < firstBuffer {
		size = int(r.ContentLength) + 1 // the end is seen with the last byte
	}
	text := make([]byte, 0, size)
	body, control, began := http.MaxBytesReader(r.writer, r.Body, int64(limit)), http.NewResponseController(r.writer), time.Now()
	for {
		// Not every writer has deadlines; a server's has.
		_ = control.SetReadDeadline(began.Add(r.patience() + time.Duration(len(text))*time.Second/slowest))
		count, err := body.Read(text[len(text):cap(text)])
		text = text[:len(text)+count]
		switch {
		case errors.Is(err, io.EOF):
			_ = control.SetReadDeadline(time.Time{}) // the next request of the connection has its own
			return text, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errSlow
		case err != nil:
			if _, over := errors.AsType[*http.MaxBytesError](err); over {
				return nil, tooLarge(limit)
			}
			return nil, core.Invalid("", "the body could not be read to its end").WithCode("invalidSyntax").Because(err)
		}
		if len(text) < cap(text) {
			continue
		}
		// One byte more than there may be, so that the reader says so.
		size := min(2*max(cap(text), firstBuffer), limit+1)
		if r.ContentLength > 0 {
			size = min(size, max(int(r.ContentLength), len(text))+1)
		}
		if grown := size - max(cap(text), firstBuffer); grown > 0 && !room(grown) {
			return nil, errNoRoom
		}
		text = append(make([]byte, 0, size), text...)
	}
}

// hurry lets what is left of a body that nobody wants delay the answer no longer than a second. Some of
// it is taken: a client whose connection closes while it is still sending never reads the answer. A read
// that took too long ends the request's context, and what is still to be done for it does not depend on that.
func (r *request) hurry() {
	r.Request = r.WithContext(context.WithoutCancel(r.Context()))
	_ = http.NewResponseController(r.writer).SetReadDeadline(time.Now().Add(time.Second))
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxUnwanted)
	}
}

// patience is how long a body is waited for, however small it is.
func (s *Service) patience() time.Duration {
	if s.Share.Arrival > 0 {
		return s.Share.Arrival
	}
	return DefaultArrival
}
