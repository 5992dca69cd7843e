package syslog

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/transport"
)

// Settings are how a receiver is reached. The zero value of every field but Address is a good default.
type Settings struct {
	Address          string        `json:"address" doc:"host:port, such as syslog.example.com:6514"`
	Plain            bool          `json:"plain,omitempty" doc:"Leave TLS out: events are then seen by whoever is on the way"`
	Facility         *int          `json:"facility,omitempty" doc:"0 to 23 (RFC 5424, section 6.2.1). Default 13, log audit"`
	Hostname         string        `json:"hostname,omitempty" doc:"Of the header; postern when empty"`
	AppName          string        `json:"app_name,omitempty" doc:"Of the header; postern when empty"`
	EnterpriseNumber int           `json:"enterprise_number,omitempty" doc:"Of the organisation that defines the structured data: postern@NUMBER. Default 32473, which IANA keeps for examples"`
	OmitMark         bool          `json:"omit_mark,omitempty" doc:"Leave out the byte order mark that RFC 5424 wants before a text in UTF-8, for receivers that take it for a part of the text"`
	KeepOpen         bool          `json:"keep_open,omitempty" doc:"Send many batches over one connection, without seeing whether they were read"`
	MaxBytes         int           `json:"max_bytes,omitempty" doc:"Bytes of a batch. Default 500,000."`
	TimeoutSeconds   int           `json:"timeout_seconds,omitempty" doc:"Seconds one batch may take. Default 30."`
	TLS              transport.TLS `json:"tls,omitzero" doc:"For receivers whose certificate is not from a public authority, or that ask for one"`
}

// Secrets are read whenever they are needed, so that what was changed is used at once.
type Secrets struct {
	Key transport.Secret `json:"key,omitempty" doc:"Private key of the client certificate in tls, in PEM"`
}

// Abilities are those of the kind. Nobody says what a server has kept.
func (Settings) Abilities() sink.Abilities {
	return sink.Abilities{}
}

// Validate names the first field that is wrong.
func (s Settings) Validate() error {
	host, port, err := net.SplitHostPort(s.Address)
	if number, faulty := strconv.Atoi(port); err != nil || host == "" || faulty != nil || number < 1 || number > 65535 || strings.ContainsAny(host, " /@") {
		return core.Invalid("address", "host:port is needed, such as syslog.example.com:6514")
	}
	switch {
	case s.Facility != nil && (*s.Facility < 0 || *s.Facility > 23):
		return core.Invalid("facility", "0 to 23, such as 13 for log audit")
	case !printable(s.Hostname, 255):
		return core.Invalid("hostname", "at most 255 printable ASCII characters without space")
	case !printable(s.AppName, 48):
		return core.Invalid("app_name", "at most 48 printable ASCII characters without space")
	case s.EnterpriseNumber < 0:
		return core.Invalid("enterprise_number", "a number that IANA gave your organisation")
	case s.MaxBytes != 0 && (s.MaxBytes < 10_000 || s.MaxBytes > 10_000_000):
		return core.Invalid("max_bytes", "10000 to 10000000")
	case s.TimeoutSeconds < 0 || s.TimeoutSeconds > 600:
		return core.Invalid("timeout_seconds", "1 to 600")
	case s.Plain && s.TLS != transport.TLS{}:
		return core.Invalid("plain", "with certificates there is TLS: leave one of the two out")
	}
	return s.TLS.Validate("tls")
}

// printable reports whether a text is PRINTUSASCII of at most size bytes (RFC 5424, section 6).
func printable(text string, size int) bool {
	return len(text) <= size && !strings.ContainsFunc(text, func(r rune) bool { return r < 33 || r > 126 })
}

func (s Settings) maxBytes() int { return cmp.Or(s.MaxBytes, 500_000) }

func (s Settings) timeout() time.Duration {
	return time.Duration(cmp.Or(s.TimeoutSeconds, 30)) * time.Second
}
