package splunk

import (
	"cmp"
	"encoding/json"
	"strconv"

	"github.com/klauspost/compress/gzip"

	"postern/siem/stream"
	"postern/siem/transport"
)

// envelope is what stands in the envelope of every event: the rest is particular to it.
func (s Settings) envelope(index string) string {
	common := `,"host":` + quoted(cmp.Or(s.Host, "postern")) + `,"source":` + quoted(cmp.Or(s.Source, "postern")) +
		`,"sourcetype":` + quoted(cmp.Or(s.SourceType, "postern:ocsf"))
	if index != "" {
		common += `,"index":` + quoted(index)
	}
	return common
}

// encode writes the envelopes one after the other, as the collector wants them.
func encode(common string, events []stream.Event) ([]byte, error) {
	return transport.Gzip(func(writer *gzip.Writer) error {
		line := make([]byte, 0, 4096)
		for _, event := range events {
			line = append(line[:0], `{"time":`...)
			line = strconv.AppendFloat(line, float64(event.Occurred.UnixMicro())/1e6, 'f', 6, 64)
			line = append(line, common...)
			line = append(line, `,"fields":{"event_id":"`...)
			line = append(line, event.ID.String()...)
			line = append(line, `","workspace":"`...)
			line = append(line, event.Workspace.String()...)
			line = append(line, `","sequence":"`...)
			line = strconv.AppendInt(line, event.Sequence, 10)
			line = append(line, `"},"event":`...)
			line = append(line, event.Value...)
			line = append(line, '}', '\n')
			if _, err := writer.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// particular is the most an envelope has beside what is common to all and the event itself.
const particular = 192

func quoted(text string) string {
	value, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(value)
}
