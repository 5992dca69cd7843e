// Package connectorpb is what the gateway and a connector in a program of its own say to each other, in Protocol
// Buffers: connector.proto says what, the rest is generated from it.
package connectorpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative connector.proto
