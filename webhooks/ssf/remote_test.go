package ssf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// remote is a stream as the transmitter has it.
type remote struct {
	ID, Client, Method, URL, Header, Status, Description string
	Requested                                            []string
	queue                                                map[string]string // jti → token, of poll
	order                                                []string
	refused                                              map[string]map[string]string // jti → setErrs
	verified                                             int
}

func (x *transmitter) manage(w http.ResponseWriter, r *http.Request, client string) {
	body := map[string]any{}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch || r.Method == http.MethodPut {
		if r.Header.Get("Content-Type") != "application/json" {
			x.t.Errorf("%s %s with Content-Type %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			x.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
	}
	id := r.URL.Query().Get("stream_id")
	if text, ok := body["stream_id"].(string); ok {
		id = text
	}
	stream := x.streams[id]
	if stream != nil && stream.Client != client {
		stream = nil
	}
	if stream == nil && !(r.URL.Path == "/tx/streams" && (r.Method == http.MethodPost || r.Method == http.MethodGet && id == "")) {
		reply(w, 404, map[string]string{"description": "no such stream"})
		return
	}
	switch r.URL.Path {
	case "/tx/streams":
		x.configure(w, r, client, stream, body)
	case "/tx/status":
		if r.Method == http.MethodPost {
			stream.Status = body["status"].(string)
		}
		reply(w, 200, map[string]string{"stream_id": id, "status": stream.Status})
	case "/tx/verify":
		state, _ := body["state"].(string)
		if state == "" || len(body) != 2 {
			x.t.Errorf("verification asked with %v", body)
		}
		stream.verified++
		x.queue(stream, x.mint(x.claims(stream, map[string]any{"https://schemas.openid.net/secevent/ssf/event-type/verification": map[string]any{"state": state}},
			map[string]any{"format": "opaque", "id": id})))
		w.WriteHeader(204)
	case "/tx/add", "/tx/remove":
		subject, _ := body["subject"].(map[string]any)
		if subject["format"] == nil {
			x.t.Errorf("subject %v", body)
		}
		x.subjects = append(x.subjects, map[string]any{"op": r.URL.Path[4:], "subject": subject})
		w.WriteHeader(map[string]int{"/tx/add": 200, "/tx/remove": 204}[r.URL.Path])
	case "/tx/poll":
		x.poll(w, stream, body)
	}
}

func (x *transmitter) configure(w http.ResponseWriter, r *http.Request, client string, stream *remote, body map[string]any) {
	switch r.Method {
	case http.MethodGet:
		if stream != nil {
			reply(w, 200, x.describe(stream))
			return
		}
		all := []any{}
		for _, one := range x.streams {
			if one.Client == client {
				all = append(all, x.describe(one))
			}
		}
		reply(w, 200, all)
		return
	case http.MethodDelete:
		delete(x.streams, stream.ID)
		w.WriteHeader(204)
		return
	case http.MethodPost:
		if x.single {
			for _, one := range x.streams {
				if one.Client == client {
					reply(w, 409, map[string]string{"description": "one stream per client"})
					return
				}
			}
		}
		stream = x.add(client)
		if body["delivery"] == nil || body["events_requested"] == nil {
			x.t.Errorf("created with %v", body)
		}
	case http.MethodPatch:
		if x.noPatch {
			w.WriteHeader(405)
			return
		}
	case http.MethodPut:
		if body["delivery"] == nil || body["events_requested"] == nil {
			x.t.Errorf("replaced with %v", body)
		}
	}
	for _, forbidden := range []string{"iss", "aud", "events_supported", "events_delivered"} {
		if body[forbidden] != nil {
			x.t.Errorf("a receiver may not say %s", forbidden)
		}
	}
	if said, ok := body["delivery"].(map[string]any); ok {
		stream.Method, _ = said["method"].(string)
		stream.URL, _ = said["endpoint_url"].(string)
		stream.Header, _ = said["authorization_header"].(string)
		if stream.Method == "urn:ietf:rfc:8935" && (stream.URL == "" || stream.Header == "") {
			x.t.Errorf("push without address or header: %v", said)
		}
	}
	if said, ok := body["events_requested"].([]any); ok {
		stream.Requested = nil
		for _, one := range said {
			stream.Requested = append(stream.Requested, one.(string))
		}
	}
	if said, ok := body["description"].(string); ok {
		stream.Description = said
	}
	reply(w, map[string]int{http.MethodPost: 201}[r.Method]+map[bool]int{true: 200}[r.Method != http.MethodPost], x.describe(stream))
}

// add makes a stream as an administrator of the transmitter would.
func (x *transmitter) add(client string) *remote {
	x.number++
	one := &remote{ID: fmt.Sprint("stream-", x.number), Client: client, Status: "enabled", Method: "urn:ietf:rfc:8936", queue: map[string]string{}, refused: map[string]map[string]string{}}
	x.streams[one.ID] = one
	return one
}

func (x *transmitter) describe(one *remote) map[string]any {
	told := map[string]any{"method": one.Method, "endpoint_url": one.URL}
	if one.Method == "urn:ietf:rfc:8936" {
		told["endpoint_url"] = x.URL + "/tx/poll?stream_id=" + one.ID
	}
	return map[string]any{
		"stream_id": one.ID, "iss": x.issuer(), "aud": []string{x.audience(one.ID), x.audience(one.ID) + "/2"}, "delivery": told, "description": one.Description,
		"events_requested": one.Requested, "events_delivered": one.Requested, "events_supported": []string{"x"}, "min_verification_interval": 0,
	}
}

// poll is RFC 8936 to the letter.
func (x *transmitter) poll(w http.ResponseWriter, one *remote, body map[string]any) {
	x.polls++
	var acks []string
	for name, value := range body {
		switch name {
		case "maxEvents", "returnImmediately", "setErrs":
		case "ack":
			for _, jti := range value.([]any) {
				acks = append(acks, jti.(string))
			}
		default:
			x.t.Errorf("a poll says %s", name)
		}
	}
	if x.onPoll != nil && !x.onPoll(acks) {
		panic(http.ErrAbortHandler)
	}
	for _, jti := range acks {
		if one.queue[jti] == "" {
			x.t.Errorf("acknowledged %s, which was not sent", jti)
		}
		delete(one.queue, jti)
	}
	if refused, ok := body["setErrs"].(map[string]any); ok {
		for jti, why := range refused {
			said := why.(map[string]any)
			one.refused[jti] = map[string]string{"err": said["err"].(string), "description": said["description"].(string)}
			delete(one.queue, jti)
		}
	}
	most := int(body["maxEvents"].(float64))
	sets, more := map[string]string{}, false
	for _, jti := range one.order {
		if one.queue[jti] == "" {
			continue
		}
		if len(sets) == min(most, 2) { // small, so that there is more
			more = true
			break
		}
		sets[jti] = one.queue[jti]
	}
	reply(w, 200, map[string]any{"sets": sets, "moreAvailable": more})
}

// queue puts a token into a stream: to be polled, or pushed by push.
func (x *transmitter) queue(one *remote, compact string) string {
	jti := read(compact)["jti"].(string)
	one.queue[jti] = compact
	one.order = append(one.order, jti)
	return jti
}

// send queues an event about somebody and gives its jti.
func (x *transmitter) send(id string, events, subject map[string]any) string {
	x.lock.Lock()
	defer x.lock.Unlock()
	one := x.streams[id]
	return x.queue(one, x.mint(x.claims(one, events, subject)))
}

// deliver pushes what is queued, as RFC 8935 says, and gives the statuses.
func (x *transmitter) deliver(t testing.TB, id string) []int {
	t.Helper()
	x.lock.Lock()
	one := *x.streams[id]
	waiting := map[string]string{}
	for jti, compact := range one.queue {
		waiting[jti] = compact
	}
	x.lock.Unlock()
	var statuses []int
	for _, jti := range one.order {
		if waiting[jti] == "" {
			continue
		}
		status, _ := pushTo(t, one.URL, one.Header, waiting[jti])
		statuses = append(statuses, status)
		if status == http.StatusAccepted {
			x.lock.Lock()
			delete(x.streams[id].queue, jti)
			x.lock.Unlock()
		}
	}
	return statuses
}

// waiting is how many tokens a stream still has.
func (x *transmitter) waiting(id string) int {
	x.lock.Lock()
	defer x.lock.Unlock()
	return len(x.streams[id].queue)
}

// pushTo delivers one token and gives status and body.
func pushTo(t testing.TB, address, header, compact string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader([]byte(compact)))
	must(t, err)
	request.Header.Set("Content-Type", "application/secevent+jwt")
	request.Header.Set("Accept", "application/json")
	if header != "" {
		request.Header.Set("Authorization", header)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode == http.StatusAccepted && len(text) != 0 {
		t.Errorf("202 with the body %q", text)
	}
	return response.StatusCode, string(text)
}
