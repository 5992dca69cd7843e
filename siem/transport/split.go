package transport

import "postern/siem/stream"

// Split cuts events into requests of at most limit bytes, of which each event needs overhead beside its document. An
// event that is larger has a request of its own.
func Split(events []stream.Event, limit, overhead int) [][]stream.Event {
	var parts [][]stream.Event
	for start := 0; start < len(events); {
		size, end := 0, start
		for ; end < len(events); end++ {
			if size += len(events[end].Value) + overhead; size > limit && end > start {
				break
			}
		}
		parts, start = append(parts, events[start:end]), end
	}
	return parts
}
