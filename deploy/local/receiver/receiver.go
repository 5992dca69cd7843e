package receiver

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"postern/core/seal"
)

// Options say where events are kept and which secrets are asked for.
type Options struct {
	// Folder keeps events.jsonl.
	Folder string
	// Token is the HEC token that is accepted.
	Token seal.Secret
	// SumoCode is the secret part of the Sumo Logic source's URL; empty: no such source.
	SumoCode seal.Secret
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Receiver is an http.Handler.
type Receiver struct {
	options Options
	routes  *http.ServeMux
	store   *store

	mutex     sync.Mutex
	behaviour Behaviour
	posts     int
}

// Behaviour makes the receiver answer as a troubled one would. The zero value is a healthy one.
type Behaviour struct {
	// Status answers every delivery so, with Code in the body; 0 answers as it should.
	Status int
	Code   int
	// RetryAfter is sent with Status, in seconds, when positive.
	RetryAfter int
	// Delay is how long each delivery waits.
	Delay time.Duration
	// Most is how many bytes a delivery may have before compression, if that is less than the receiver takes.
	Most int
	// Poison refuses a delivery that holds an event this reports true for, as invalid data.
	Poison func(event json.RawMessage) bool
	// Partly keeps the events before the refused one, as Splunk may.
	Partly bool
	// Nameless does not say which event was refused.
	Nameless bool
	// Forget says yes to a delivery and loses it.
	Forget bool
	// Body is what a Sumo delivery is answered with beside status 200.
	Body string
}

// New opens a receiver; events of an earlier run are still there.
func New(options Options) (*Receiver, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	opened, err := openStore(options.Folder)
	if err != nil {
		return nil, err
	}
	r := &Receiver{options: options, store: opened, routes: http.NewServeMux()}
	for _, path := range []string{"/services/collector", "/services/collector/event", "/services/collector/event/1.0"} {
		r.routes.HandleFunc("POST "+path, r.collect)
	}
	r.routes.HandleFunc("GET /services/collector/health", r.health)
	r.routes.HandleFunc("GET /services/collector/health/1.0", r.health)
	r.routes.HandleFunc("POST /receiver/v1/http/{code}", r.source)
	r.routes.HandleFunc("POST /services/search/v2/jobs/export", r.search)
	r.routes.HandleFunc("GET /events", r.list)
	r.routes.HandleFunc("GET /{$}", r.show)
	return r, nil
}

// Close closes the file. Events received afterwards are refused.
func (r *Receiver) Close() error { return r.store.close() }

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.routes.ServeHTTP(w, request)
}

// Behave switches the behaviour, from the next delivery on.
func (r *Receiver) Behave(behaviour Behaviour) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.behaviour = behaviour
}

// Posts counts the deliveries, refused ones included.
func (r *Receiver) Posts() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.posts
}

// Events are all events received, in the order of their arrival.
func (r *Receiver) Events() []Event { return r.store.after(0, 1<<31-1) }

func (r *Receiver) delivery() Behaviour {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.posts++
	return r.behaviour
}

func (r *Receiver) permitted(request *http.Request) (given, right bool) {
	header := request.Header.Get("Authorization")
	token := []byte("Splunk " + r.options.Token.Reveal())
	return header != "", subtle.ConstantTimeCompare([]byte(header), token) == 1
}

// list answers {"events": […], "next": n}; ?after=n&limit=m pages.
func (r *Receiver) list(w http.ResponseWriter, request *http.Request) {
	after, _ := strconv.Atoi(request.URL.Query().Get("after"))
	limit, err := strconv.Atoi(request.URL.Query().Get("limit"))
	if err != nil || limit <= 0 {
		limit = 100_000
	}
	found := r.store.after(max(after, 0), limit)
	answer(w, http.StatusOK, map[string]any{"events": found, "next": max(after, 0) + len(found)})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
