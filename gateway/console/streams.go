package console

import (
	"context"

	"postern/core/directory"
	"postern/webhooks/ssf"
)

// heard is a stream of Shared Signals, and how it goes.
type heard struct {
	ssf.Stream
	State  badge
	What   string // was heard last
	Wrong  string // and where
	Events int
}

var streamStates = map[ssf.Status]badge{
	ssf.Enabled:  {Word: "Enabled", Tone: "good", Hint: "The transmitter sends what happens"},
	ssf.Paused:   {Word: "Paused", Tone: "warn", Hint: "The transmitter keeps what happens, and sends it later"},
	ssf.Disabled: {Word: "Disabled", Tone: "bad", Hint: "What happens is lost"},
	ssf.Creating: {Word: "Not made", Tone: "bad", Hint: "The transmitter did not answer when it was made: delete it and make it anew"},
}

// heardOf tells of a connection's streams.
func (s *Service) heardOf(ctx context.Context, connection directory.Connection) ([]heard, error) {
	found, err := s.Streams.StreamsOf(ctx, s.DB, connection.Workspace, connection.ID)
	if err != nil {
		return nil, err
	}
	var told []heard
	for _, stream := range found {
		one := heard{Stream: stream, State: streamStates[stream.Status], Events: len(stream.Delivered)}
		if stream.Reason != "" {
			one.State.Hint = stream.Reason
		}
		if stream.LastEventType != "" {
			one.What = ssf.ShortEvent(stream.LastEventType)
		}
		if stream.LastError != "" {
			one.Wrong = "failed at " + words(stream.LastErrorStage) + ": " + stream.LastError
			if stream.Status == ssf.Enabled && stream.Failures > 0 {
				one.State = badge{Word: "Failing", Tone: "bad", Hint: "Tried again and again"}
			}
		}
		told = append(told, one)
	}
	return told, nil
}
