package inbox_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postern/core/coretest"
	"postern/core/jobs"
	"postern/core/mailbox"
	"postern/core/postgres/postgrestest"
	"postern/webhooks/inbox"
)

func TestAMessageIsReceived(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	coretest.Must(t, err)
	w := open(t, func(r *inbox.Receiver) {
		r.Resolver.(zone)["k1._domainkey.example.com"] = []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}
	})
	before := w.Snapshot(t, w.globex.workspace, "messages", "message_digests", "audit_outbox")
	var signed strings.Builder
	coretest.Must(t, dkim.Sign(&signed, strings.NewReader(letter("1", "Your verification code is 482913.")), &dkim.SignOptions{Domain: "example.com", Selector: "k1", Signer: private}))
	coretest.Must(t, w.post(t, "bounce@example.com", strings.ToUpper(w.acme.addresses[0]), signed.String()))
	coretest.Must(t, w.post(t, "x@evil.example.net", w.acme.addresses[0], strings.Replace(signed.String(), "482913", "482914", 1)))
	coretest.Must(t, w.post(t, "", w.acme.addresses[0], letter("3", "No code here.")))
	got := w.opened(t, w.acme, 0)
	if len(got) != 3 {
		t.Fatalf("%d messages", len(got))
	}
	for i, want := range []mailbox.Message{
		{Number: 3, SPF: "none client.example.com", DKIM: "none"},
		{Number: 2, SPF: "fail evil.example.net", DKIM: "fail example.com", Code: true},
		{Number: 1, SPF: "pass example.com", DKIM: "pass example.com", Code: true},
	} {
		if one := got[i].Message; one.Number != want.Number || one.SPF != want.SPF || one.DKIM != want.DKIM || one.Code != want.Code || one.Sender != "no-reply@example.com" || one.Subject != "Signing in" {
			t.Errorf("%+v", one)
		}
	}
	if got[2].Pin.Reveal() != "482913" {
		t.Errorf("the code is %q", got[2].Pin.Reveal())
	}
	if after := w.Snapshot(t, w.globex.workspace, "messages", "message_digests", "audit_outbox"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("another workspace was touched")
	}
}

func TestWhatIsNotTaken(t *testing.T) {
	w := open(t, func(r *inbox.Receiver) { r.Limits.Message = 10_000 })
	address := w.acme.addresses[0]
	for _, nobody := range []string{"nobody@in.example.com", "postmaster@in.example.com", strings.Replace(address, "@in.", "@out.", 1), strings.SplitN(address, "@", 2)[0] + "+x@in.example.com"} {
		status(t, w.post(t, "a@example.com", nobody, letter("1", "code 1234")), 550)
	}
	status(t, w.post(t, "a@example.com", address, letter("2", strings.Repeat("The code is 1234. ", 1000))), 552)
	status(t, w.post(t, "a@example.com", address, letter("2", strings.Repeat("The code is 1234.\r\n", 100_000))), 552)
	client := w.dial(t)
	coretest.Must(t, client.Mail("a@example.com"))
	coretest.Must(t, client.Rcpt(address))
	status(t, client.Rcpt(w.acme.addresses[1]), 452)
	client = w.dial(t)
	coretest.Must(t, client.Mail("a@example.com"))
	_, err := client.Data()
	if err == nil {
		t.Error("a message for nobody was taken")
	}
	// Whoever tries addresses is sent away.
	client = w.dial(t)
	coretest.Must(t, client.Mail("a@example.com"))
	for n := range 10 {
		status(t, client.Rcpt(fmt.Sprintf("try%d@in.example.com", n)), 550)
	}
	if err := client.Rcpt(address); err == nil {
		t.Error("whoever tries addresses finds one")
	}
	// The same message again, as from a server that did not hear the answer.
	coretest.Must(t, w.post(t, "a@example.com", address, letter("3", "Your code is 551122")))
	coretest.Must(t, w.post(t, "a@example.com", address, letter("3", "Your code is 551122")))
	if got := w.opened(t, w.acme, 0); len(got) != 1 || got[0].Pin.Reveal() != "551122" {
		t.Errorf("%+v", got)
	}
}

// A flood to one account, from many clients, leaves the others' codes where they are: they come at once.
func TestAFloodDelaysNobodyElse(t *testing.T) {
	w := open(t, func(r *inbox.Receiver) { r.Limits.PerSource = 40 })
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				client, err := smtp.Dial(w.at)
				if err != nil {
					t.Error(err)
					return
				}
				_ = posted(client, "flood@evil.example.net", w.acme.addresses[0], letter(fmt.Sprintf("%d-%d", n, i), "Your code is 666666"))
				_ = client.Close()
			}
		})
	}
	coretest.Until(t, "the flood fills the account", func() bool {
		_, err := w.boxes.Expected(t.Context(), w.acme.addresses[0])
		return err != nil
	})
	for n, box := range map[int]side{1: w.acme, 0: w.globex} {
		ask, err := w.boxes.Codes(t.Context(), w.DB, box.workspace, box.logins[n].ID)
		coretest.Must(t, err)
		began := time.Now()
		coretest.Must(t, w.post(t, "a@example.com", box.addresses[n], letter("1", fmt.Sprint("Your code is 77110", n))))
		code, err := ask(t.Context())
		if err != nil || code.Reveal() != fmt.Sprint("77110", n) {
			t.Errorf("%s, %v", code.Reveal(), err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v in a flood", took)
		}
	}
	status(t, w.post(t, "a@example.com", w.acme.addresses[0], letter("1", "Your code is 123456")), 452)
	stop()
	group.Wait()
	if got := w.Count(t, w.acme.workspace, `select count(*) from messages where workspace_id = @workspace`, nil); got != 31 {
		t.Errorf("%d messages were taken of a flood, and one besides", got)
	}
}

func TestMessagesAsTheyAreWritten(t *testing.T) {
	w := open(t, nil)
	head := "From: Wiki <no-reply@example.com>\r\nSubject: x\r\n"
	for n, one := range []struct{ name, message, code, sender, text string }{
		{"quoted-printable, latin-1", head + "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nIhr Best=E4tigungs=\r\ncode lautet 482913", "482913", "no-reply@example.com", "Bestätigungscode"},
		{"base64, UTF-8", head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte("Código: 771204")), "771204", "no-reply@example.com", "Código"},
		{"ISO-2022-JP", head + "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$BG'>Z%3!<%I\x1b(B: 554210", "554210", "no-reply@example.com", "認証コード"},
		{"alternatives", head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the other part.\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Your code is <b>905112</b></p>\r\n--b--\r\n", "905112", "no-reply@example.com", "other part"},
		{"an attachment", head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=x.txt\r\n\r\nThe code is 111111\r\n--b\r\n\r\nThe code is 222222\r\n--b--\r\n", "222222", "no-reply@example.com", "222222"},
		{"a boundary that never comes", head + "Content-Type: multipart/alternative; boundary=b\r\n\r\nYour code is 333333\r\n", "", "no-reply@example.com", ""},
		{"cut short", head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nYour code is 444444\r\n", "444444", "no-reply@example.com", "444444"},
		{"an unknown charset", head + "Content-Type: text/plain; charset=klingon\r\n\r\nYour code is 555555", "555555", "no-reply@example.com", "555555"},
		{"an unknown encoding", head + "Content-Transfer-Encoding: rot13\r\n\r\nYour code is 666666", "666666", "no-reply@example.com", "666666"},
		{"broken base64", head + "Content-Transfer-Encoding: base64\r\n\r\n!!!! no base64 !!!!", "", "no-reply@example.com", ""},
		{"NUL", head + "\r\nYour code\x00 is 777777", "777777", "no-reply@example.com", "777777"},
		{"bytes of no charset", head + "Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe Your code is 888888", "888888", "no-reply@example.com", "888888"},
		{"a long line", head + "\r\n" + strings.Repeat("x ", 5000) + "\r\nYour code is 454545", "454545", "no-reply@example.com", "454545"},
		{"no header", "Your code is 999999\r\n", "999999", "a@example.com", "999999"},
		{"nothing", "\r\n", "", "a@example.com", ""},
		{"garbage", strings.Repeat("\x00\x01\xff\r\n: :\r\n", 50), "", "a@example.com", ""},
		{"a sender that is none", "From: \xff\x00garbage\r\n\r\nYour code is 121212", "121212", "??garbage", "121212"},
		{"an encoded subject", "From: no-reply@example.com\r\nSubject: =?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte("Ihr Code: 343434")) + "?=\r\n\r\nHallo", "343434", "no-reply@example.com", "Hallo"},
		{"a subject in no charset", "From: no-reply@example.com\r\nSubject: =?klingon?Q?=FF?= code 565656\r\n\r\nHallo", "565656", "no-reply@example.com", "Hallo"},
		{"as deep as it goes", head + nested(60), "", "no-reply@example.com", ""},
		{"many parts", head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n", 2000) + "--b--\r\n", "", "no-reply@example.com", "x"},
		{"a code for another host", head + "\r\nYour code is 787878.\r\n\r\n@evil.example.net #787878\r\n", "", "no-reply@example.com", "787878"},
		{"a code for this one", head + "\r\nYour code is 898989.\r\n\r\n@wiki.example.com #898989\r\n", "898989", "no-reply@example.com", "898989"},
	} {
		t.Run(one.name, func(t *testing.T) {
			box, at := w.acme, n%2
			coretest.Must(t, w.post(t, "a@example.com", box.addresses[at], one.message))
			got := w.opened(t, box, at)[0]
			if got.Pin.Reveal() != one.code || got.Sender != one.sender || !strings.Contains(got.Text.Reveal(), one.text) {
				t.Errorf("code %q of %q, in %q", got.Pin.Reveal(), got.Sender, got.Text.Reveal())
			}
		})
	}
}

func nested(depth int) string {
	if depth == 0 {
		return "Content-Type: text/plain\r\n\r\nYour code is 232323\r\n"
	}
	return fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s--b%d--\r\n", depth, depth, nested(depth-1), depth)
}

// While the database is away a client is told to come again, and what it then brings is taken.
func TestTheDatabaseIsAway(t *testing.T) {
	server := postgrestest.Server(t, nil)
	db := postgrestest.Database(t, server, "inbox", jobs.Migrate)
	w := over(t, coretest.On(t, db, nil), func(r *inbox.Receiver) { r.Limits.Commit = 2 * time.Second })
	client := w.dial(t)
	coretest.Must(t, client.Mail("a@example.com"))
	coretest.Must(t, client.Rcpt(w.acme.addresses[0]))
	data, err := client.Data()
	coretest.Must(t, err)
	coretest.Must(t, server.Kill())
	_, err = io.WriteString(data, letter("1", "Your code is 482913"))
	coretest.Must(t, err)
	status(t, data.Close(), 451)
	status(t, w.post(t, "a@example.com", w.acme.addresses[0], letter("1", "Your code is 482913")), 451)
	coretest.Must(t, server.Restart(t.Context()))
	coretest.Until(t, "the message is taken", func() bool {
		return w.post(t, "a@example.com", w.acme.addresses[0], letter("1", "Your code is 482913")) == nil
	})
	if got := w.opened(t, w.acme, 0); len(got) != 1 || got[0].Pin.Reveal() != "482913" {
		t.Errorf("%+v", got)
	}
}

func TestSTARTTLS(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	coretest.Must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.com"}, DNSNames: []string{"mx.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	coretest.Must(t, err)
	w := open(t, func(r *inbox.Receiver) {
		r.Certificate = func() (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
		}
	})
	trusted := x509.NewCertPool()
	issued, err := x509.ParseCertificate(der)
	coretest.Must(t, err)
	trusted.AddCert(issued)
	client := w.dial(t)
	coretest.Must(t, client.StartTLS(&tls.Config{ServerName: "mx.example.com", RootCAs: trusted}))
	coretest.Must(t, posted(client, "a@example.com", w.acme.addresses[0], letter("1", "Your code is 482913")))
	if got := w.opened(t, w.acme, 0); len(got) != 1 || got[0].SPF != "pass example.com" {
		t.Errorf("%+v", got)
	}
	// Without a certificate it is not offered.
	plain := open(t, nil)
	if offered, _ := plain.dial(t).Extension("STARTTLS"); offered {
		t.Error("STARTTLS is offered without a certificate")
	}
	if offered, _ := plain.dial(t).Extension("AUTH"); offered {
		t.Error("somebody could sign in")
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	idle := func(w *world) (kept []net.Conn) {
		for range 2 {
			connection, err := net.Dial("tcp", w.at)
			coretest.Must(t, err)
			t.Cleanup(func() { _ = connection.Close() })
			said, err := bufio.NewReader(connection).ReadString('\n')
			if err != nil || !strings.HasPrefix(said, "220 ") {
				t.Fatalf("%q, %v", said, err)
			}
			kept = append(kept, connection)
		}
		return kept
	}
	w := open(t, func(r *inbox.Receiver) { r.Limits.PerSource = 2 })
	idle(w)
	_, err := smtp.Dial(w.at)
	status(t, err, 421)
	// Who says nothing goes after a while, and makes room.
	w = open(t, func(r *inbox.Receiver) { r.Limits.PerSource, r.Limits.Session = 2, 2*time.Second })
	silent := idle(w)[0]
	_ = silent.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, silent); err != nil {
		t.Errorf("a silent connection was kept: %v", err)
	}
	coretest.Until(t, "there is room again", func() bool {
		client, err := smtp.Dial(w.at)
		if err == nil {
			_ = client.Close()
		}
		return err == nil
	})
}

// A client that hangs up in the middle of a message was told nothing, and comes again: the half is no message.
func TestHalfAMessageIsNone(t *testing.T) {
	w := open(t, nil)
	whole := letter("1", "Your verification code is 482913.")
	half := whole[:strings.Index(whole, "913")]
	for _, command := range []string{"DATA\r\n" + half, fmt.Sprintf("BDAT %d LAST\r\n", len(whole)) + half, fmt.Sprintf("BDAT %d\r\n", len(whole)) + half} {
		connection, err := net.Dial("tcp", w.at)
		coretest.Must(t, err)
		client, err := smtp.NewClient(connection, "mx.example.com")
		coretest.Must(t, err)
		coretest.Must(t, client.Mail("no-reply@example.com"))
		coretest.Must(t, client.Rcpt(w.acme.addresses[0]))
		_, err = client.Text.W.WriteString(command)
		coretest.Must(t, err)
		coretest.Must(t, client.Text.W.Flush())
		if strings.HasPrefix(command, "DATA") {
			_, _, err = client.Text.ReadResponse(354)
			coretest.Must(t, err)
		}
		coretest.Must(t, connection.(*net.TCPConn).CloseWrite())
		_, err = io.Copy(io.Discard, connection) // until the receiver has done with it
		coretest.Must(t, err)
		coretest.Must(t, connection.Close())
	}
	if got := w.opened(t, w.acme, 0); len(got) != 0 {
		t.Errorf("half a message was kept: %q", got[0].Text.Reveal())
	}
}
