package syslog

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/siem/ocsf"
	"postern/siem/stream"
)

// severities of syslog by those of OCSF: informational, notice, warning, error, critical, alert.
var severities = map[int]int{1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1}

// timestamp is RFC 3339 with microseconds, the most RFC 5424 takes (section 6.2.3).
const timestamp = "2006-01-02T15:04:05.000000Z07:00"

const mark = "\xEF\xBB\xBF"

// quoting escapes what would end a value of structured data (RFC 5424, section 6.3.3).
var quoting = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `]`, `\]`)

// frame appends an event as a counted message (RFC 5425, section 4.3).
func (s Settings) frame(to []byte, event stream.Event) []byte {
	facility := 13
	if s.Facility != nil {
		facility = *s.Facility
	}
	kind := string(event.Type)
	if kind = kind[:min(len(kind), 32)]; kind == "" || !printable(kind, 32) {
		kind = "-"
	}
	message := make([]byte, 0, len(event.Value)+400)
	message = append(message, '<')
	message = strconv.AppendInt(message, int64(facility*8+severities[ocsf.Severity(event.Value)]), 10)
	message = append(message, ">1 "...)
	message = event.Occurred.UTC().AppendFormat(message, timestamp)
	message = append(message, " "+cmp.Or(s.Hostname, "postern")+" "+cmp.Or(s.AppName, "postern")+" - "+kind+" [postern@"...)
	message = strconv.AppendInt(message, int64(cmp.Or(s.EnterpriseNumber, 32473)), 10)
	for _, parameter := range [][2]string{
		{"id", event.ID.String()}, {"workspace", event.Workspace.String()}, {"sequence", strconv.FormatInt(event.Sequence, 10)},
		{"correlation", event.Correlation.String()}, {"type", string(event.Type)},
	} {
		message = append(message, " "+parameter[0]+`="`+quoting.Replace(strings.ToValidUTF8(parameter[1], "\uFFFD"))+`"`...)
	}
	message = append(message, "] "...)
	if !s.OmitMark && !ascii(event.Value) && utf8.Valid(event.Value) {
		message = append(message, mark...)
	}
	message = append(message, event.Value...)
	to = strconv.AppendInt(to, int64(len(message)), 10)
	to = append(to, ' ')
	return append(to, message...)
}

func ascii(text []byte) bool {
	for _, one := range text {
		if one >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
