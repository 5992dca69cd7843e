package plugin

import (
	"context"
	"errors"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"postern/connectors/plugin/connectorpb"
)

// handshake tells apart programs that were not started by a gateway, or by one of another version. It is no secret.
var handshake = goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "POSTERN_CONNECTOR", MagicCookieValue: "postern.connector.v1"}

// kind is what a program serves, in go-plugin's words.
const kind = "connector"

// wire is the plugin as go-plugin has it, on both sides; server is nil in the gateway.
type wire struct {
	goplugin.NetRPCUnsupportedPlugin
	server connectorpb.ConnectorServer
}

// GRPCServer implements goplugin.GRPCPlugin.
func (w wire) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	if w.server == nil {
		return errors.New("plugin: the gateway serves nothing")
	}
	connectorpb.RegisterConnectorServer(s, w.server)
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin.
func (wire) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return connectorpb.NewConnectorClient(connection), nil
}
