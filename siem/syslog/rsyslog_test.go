package syslog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"postern/siem/sink"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

// TestRsyslogOverTLS sends to Debian's rsyslog: a receiver that nobody here wrote.
func TestRsyslogOverTLS(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	running := transporttest.StartRsyslog(t, authority, true)
	certificate, key := authority.Sign(t, "postern")
	settings := Settings{Address: running.Address, EnterpriseNumber: 99999, Hostname: "gateway", TLS: transport.TLS{CA: authority.PEM, ServerName: "rsyslog", Certificate: certificate}}
	receiver, sent := made(t, settings, key), transporttest.Events(t, 300)
	for part := range 3 {
		if got := receiver.Send(t.Context(), sent[part*100:part*100+100]); got.Verdict != sink.Accepted || got.Reason != "" {
			t.Fatalf("%+v", got)
		}
	}
	transporttest.Eventually(t, "everything arrived", func() bool { return len(running.Messages(t)) >= len(sent) })
	messages := running.Messages(t)
	if len(messages) != len(sent) {
		t.Fatalf("%d messages of %d events", len(messages), len(sent))
	}
	for place, fields := range messages {
		event := sent[place]
		// Facility 13, severity 6.
		if fields[0] != "110" || fields[2] != "gateway" || fields[3] != "postern" || fields[4] != string(event.Type) {
			t.Fatalf("%q", fields)
		}
		if want := fmt.Sprintf(`[postern@99999 id="%s" workspace="%s" sequence="%d"`, event.ID, event.Workspace, event.Sequence); !strings.HasPrefix(fields[5], want) {
			t.Fatalf("%s, want %s", fields[5], want)
		}
		// rsyslog takes the byte order mark away, or passes it on; the text is the document.
		text := strings.TrimPrefix(strings.TrimSpace(fields[6]), mark)
		var document struct{ Metadata struct{ UID string } }
		if err := json.Unmarshal([]byte(text), &document); err != nil || document.Metadata.UID != event.ID.String() || text != string(event.Value) {
			t.Fatalf("%q: %v", text, err)
		}
	}
}

func TestRsyslogOverAConnectionThatIsKept(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	running := transporttest.StartRsyslog(t, authority, false)
	receiver, sent := made(t, Settings{Address: running.Address, KeepOpen: true, TLS: transport.TLS{CA: authority.PEM}}, ""), transporttest.Events(t, 50)
	for place := range sent {
		if got := receiver.Send(t.Context(), sent[place:place+1]); got.Verdict != sink.Accepted {
			t.Fatalf("%+v", got)
		}
	}
	transporttest.Eventually(t, "everything arrived", func() bool { return len(running.Messages(t)) == len(sent) })
}

func TestRsyslogWantsACertificate(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	running := transporttest.StartRsyslog(t, authority, true)
	got := made(t, Settings{Address: running.Address, TLS: transport.TLS{CA: authority.PEM}}, "").Send(t.Context(), transporttest.Events(t, 1))
	if got.Verdict == sink.Accepted {
		t.Fatalf("without a certificate: %+v", got)
	}
	t.Logf("%+v", got)
	if messages := running.Messages(t); len(messages) != 0 {
		t.Fatal(messages)
	}
}
