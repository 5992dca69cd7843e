package inbox

import (
	"bytes"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // the charsets mails are written in
	"github.com/emersion/go-message/mail"

	"postern/core/mailbox"
)

const (
	maxParts  = 100
	maxDepth  = 10
	maxHeader = 256 << 10
	maxText   = 256 << 10 // of the plain parts together, and of the HTML ones
)

// read takes of a message what it says to a person. What cannot be read is left out; of what is no message at all, all is
// its text.
func read(raw []byte) mailbox.Incoming {
	entity, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if entity == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return mailbox.Incoming{Text: secret(string(raw[:min(len(raw), maxText)]))}
	}
	header := mail.Header{Header: entity.Header}
	subject, err := header.Subject()
	if err != nil {
		subject = header.Get("Subject")
	}
	in := mailbox.Incoming{ID: strings.TrimSpace(header.Get("Message-Id")), Sender: sender(header), Subject: secret(subject)}
	parts := &parts{}
	parts.add(entity, 0)
	in.Text, in.HTML = secret(parts.text.String()), secret(parts.html.String())
	return in
}

func sender(header mail.Header) string {
	if list, err := header.AddressList("From"); err == nil && len(list) > 0 {
		return list[0].Address
	}
	return strings.TrimSpace(header.Get("From"))
}

// parts collects the texts of a message.
type parts struct {
	count      int
	text, html strings.Builder
}

func (p *parts) add(entity *message.Entity, depth int) {
	if p.count++; p.count > maxParts || depth > maxDepth {
		return
	}
	if many := entity.MultipartReader(); many != nil {
		for p.count <= maxParts {
			part, err := many.NextPart()
			if part == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return
			}
			p.add(part, depth+1)
		}
		return
	}
	if disposition, _, _ := entity.Header.ContentDisposition(); strings.EqualFold(disposition, "attachment") {
		return
	}
	kind, _, err := entity.Header.ContentType()
	if err != nil {
		kind = "text/plain"
	}
	switch strings.ToLower(kind) {
	case "", "text/plain":
		take(&p.text, entity.Body)
	case "text/html":
		take(&p.html, entity.Body)
	}
}

// take reads as much of a part as it can.
func take(into *strings.Builder, from io.Reader) {
	if into.Len() > 0 {
		into.WriteByte('\n')
	}
	_, _ = io.Copy(into, io.LimitReader(from, int64(max(0, maxText-into.Len()))))
}
