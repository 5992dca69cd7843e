package vectors

import _ "embed"

// The vectors of each door, as JSON.
var (
	//go:embed universal_logout.json
	UniversalLogout []byte
	//go:embed back_channel_logout.json
	BackChannelLogout []byte
	//go:embed shared_signals.json
	SharedSignals []byte
)
