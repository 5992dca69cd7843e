package transporttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/core"
)

// Rsyslog is a running rsyslog with an input over TLS, which writes what it gets to a file.
type Rsyslog struct {
	Address string
	file    string
}

// One line per message: priority, time, host, application, message id, structured data, text.
const rsyslogSettings = `
global(workDirectory="%[1]s" maxMessageSize="512k" DefaultNetstreamDriverCAFile="%[1]s/ca.pem" DefaultNetstreamDriverCertFile="%[1]s/cert.pem" DefaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="%[3]s")
template(name="fields" type="string" string="%%PRI%%\t%%TIMESTAMP:::date-rfc3339%%\t%%HOSTNAME%%\t%%APP-NAME%%\t%%MSGID%%\t%%STRUCTURED-DATA%%\t%%msg%%\n")
input(type="imtcp" address="127.0.0.1" port="%[2]s")
action(type="omfile" file="%[1]s/received" template="fields")
`

// StartRsyslog starts one with a certificate of an authority. With clients it takes only those who show a certificate
// of it too. The test is skipped where there is no rsyslog.
func StartRsyslog(t testing.TB, authority *Authority, clients bool) *Rsyslog {
	t.Helper()
	partstest.Long(t, "rsyslog")
	const program = "/usr/sbin/rsyslogd"
	if _, err := os.Stat(program); err != nil {
		partstest.Need(t, "rsyslog", core.NotFound("rsyslog: run 'make test-tools'"))
	}
	folder, address := t.TempDir(), freeAddress(t)
	certificate, key := authority.Sign(t, "rsyslog")
	write(t, folder, "ca.pem", authority.PEM)
	write(t, folder, "cert.pem", certificate)
	write(t, folder, "key.pem", key)
	mode := "anon"
	if clients {
		mode = "x509/certvalid"
	}
	_, port, _ := strings.Cut(address, ":")
	settings := write(t, folder, "rsyslog.conf", fmt.Sprintf(rsyslogSettings, folder, port, mode))
	running := run(t, program, "-n", "-f", settings, "-i", filepath.Join(folder, "pid"))
	listening(t, running, address)
	return &Rsyslog{Address: address, file: filepath.Join(folder, "received")}
}

// Messages are the lines so far, cut into their fields.
func (r *Rsyslog) Messages(t testing.TB) [][]string {
	t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var found [][]string
	for line := range strings.Lines(string(text)) {
		if whole, ok := strings.CutSuffix(line, "\n"); ok {
			found = append(found, strings.SplitN(whole, "\t", 7))
		}
	}
	return found
}
