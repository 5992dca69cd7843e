package vectors

import _ "embed"

// The vectors of each door, as JSON. Those of Shared Signals are for both ways of delivery.
var (
	//go:embed universal_logout.json
	UniversalLogout []byte
	//go:embed back_channel_logout.json
	BackChannelLogout []byte
	//go:embed front_channel_logout.json
	FrontChannelLogout []byte
	//go:embed shared_signals.json
	SharedSignals []byte
	//go:embed okta_event_hook.json
	OktaEventHook []byte
	//go:embed graph.json
	Graph []byte
	//go:embed standard_webhook.json
	StandardWebhook []byte
	//go:embed signed_webhook.json
	SignedWebhook []byte
)
