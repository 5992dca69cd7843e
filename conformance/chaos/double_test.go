package chaos

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/deploy/local/receiver"
	"postern/siem/transporttest"
)

// answerSeconds is how long a sink waits for an answer here.
const answerSeconds = 15

// What a double does to whoever comes, instead of answering.
const (
	answers = iota
	breaks  // the connection
	silent  // reads, and never answers
)

// double stands in for the Splunk of one sink, over TLS, at an address that stays.
type double struct {
	*receiver.Receiver
	w       *world
	token   seal.Secret
	address string
	sink    core.ID // the workspace's; zero is the operator's

	authority *transporttest.Authority
	server    *http.Server

	trouble  atomic.Int32
	troubled atomic.Int64 // requests that were not answered

	mutex    sync.Mutex
	statuses map[int]int // answers by their status
}

func (w *world) double(name string) *double {
	w.t.Helper()
	d := &double{w: w, token: seal.NewToken("pst_hec"), address: "127.0.0.1:0", authority: transporttest.NewAuthority(w.t), statuses: map[int]int{}}
	var err error
	d.Receiver, err = receiver.New(receiver.Options{Folder: w.Folder.In("receiver-" + name), Token: d.token})
	check(w.t, err)
	w.t.Cleanup(func() { d.Close() })
	d.open(d.authority)
	w.t.Cleanup(func() { d.server.Close() })
	return d
}

// open listens, with a certificate of an authority.
func (d *double) open(authority *transporttest.Authority) {
	d.w.t.Helper()
	listener, err := net.Listen("tcp", d.address)
	check(d.w.t, err)
	d.address = listener.Addr().String()
	server := &http.Server{Handler: d}
	d.server = server
	certificate := authority.Pair(d.w.t, "127.0.0.1")
	go func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
}

// shut has connections refused, once it has answered those who were there.
func (d *double) shut() {
	d.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	check(d.w.t, d.server.Shutdown(ctx))
}

// ServeHTTP implements http.Handler.
func (d *double) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if trouble := d.trouble.Load(); trouble != answers {
		if trouble == silent {
			_, _ = io.Copy(io.Discard, request.Body) // or nobody would notice that the other side gives up
			d.troubled.Add(1)
			<-request.Context().Done()
		} else {
			d.troubled.Add(1)
		}
		panic(http.ErrAbortHandler)
	}
	d.Receiver.ServeHTTP(&noted{answer, d}, request)
}

// noted counts the answer's status.
type noted struct {
	http.ResponseWriter
	by *double
}

func (n *noted) WriteHeader(status int) {
	n.by.mutex.Lock()
	n.by.statuses[status]++
	n.by.mutex.Unlock()
	n.ResponseWriter.WriteHeader(status)
}

func (d *double) answered(status int) int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.statuses[status]
}

func (d *double) settings() map[string]any {
	return map[string]any{"urls": []string{"https://" + d.address}, "timeout_seconds": answerSeconds, "tls": map[string]any{"ca": d.authority.PEM}}
}

// described is the file of an operator's sink.
func (d *double) described() string {
	text, err := json.Marshal(map[string]any{"kind": "splunk", "settings": d.settings(), "credentials": map[string]string{"token": d.w.secret("hec")}})
	check(d.w.t, err)
	return string(text)
}

// connect makes a sink of the workspace's, by the API, that begins with its first event.
func (d *double) connect() {
	t := d.w.t
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"name": "SIEM", "kind": "splunk", "settings": d.settings(), "credentials": map[string]string{"token": d.token.Reveal()}, "everything": true,
	})
	check(t, err)
	request, err := http.NewRequest(http.MethodPost, d.w.Stack.Gateway+"/api/v1/sinks", bytes.NewReader(body))
	check(t, err)
	request.Header.Set("Authorization", "Bearer "+d.w.Stack.APIToken)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	check(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	var made struct {
		ID core.ID `json:"id"`
	}
	if json.Unmarshal(text, &made) != nil || made.ID.IsZero() {
		t.Fatalf("making a sink: %d %s", answer.StatusCode, text)
	}
	d.sink = made.ID
}

// is waits until the sink is in a state.
func (d *double) is(want audit.SinkStatus) {
	d.w.t.Helper()
	what := "the operator's sink is " + string(want)
	if !d.sink.IsZero() {
		what = "the workspace's sink is " + string(want)
	}
	d.w.eventually(what, func() bool {
		if !d.sink.IsZero() {
			var state audit.SinkStatus
			err := d.w.DB.QueryRow(d.w.t.Context(), `select state from workspace_sinks where id = $1`, d.sink).Scan(&state)
			return err == nil && state == want
		}
		all, err := audit.SinkStates(d.w.t.Context(), d.w.DB)
		for _, one := range all {
			if one.Name == "splunk" && one.State == want {
				return true
			}
		}
		return err == nil && want == audit.SinkRunning && len(all) == 0
	})
}

// arrivals are what the receiver holds, in the order it came.
func (d *double) arrivals() []came {
	t := d.w.t
	t.Helper()
	held := d.Events()
	all := make([]came, len(held))
	for i, one := range held {
		id, err := core.ParseID(one.Fields["event_id"])
		check(t, err)
		workspace, err := core.ParseID(one.Fields["workspace"])
		check(t, err)
		sequence, err := strconv.ParseInt(one.Fields["sequence"], 10, 64)
		check(t, err)
		all[i] = came{id, workspace, sequence}
	}
	return all
}

// dead are the events among the sink's dead letters.
func (d *double) dead(workspaces []core.ID) map[core.ID]bool {
	all := map[core.ID]bool{}
	for _, workspace := range workspaces {
		letters, err := audit.DeadLetters(d.w.t.Context(), d.w.DB, workspace, 10)
		if err != nil {
			return nil
		}
		for _, one := range letters {
			if one.SinkID == d.sink {
				all[one.Event] = true
			}
		}
	}
	return all
}
