// Package plugin is a connector in a program of its own, of which the gateway knows no more than its checksum.
//
//	gateway ─ Connector ─► gRPC, mutual TLS ─► Serve ─ rotation.Connector ─► the app
//	             ▲  task: target, credential, next        │
//	             └── may the change leave? ◄───────────────┤   release goes back to the gateway, and is asked for once
//	             └── a one-time code? ◄────────────────────┤
//	             └── report ◄──────────────────────────────┘
//
// It guarantees that only a program with the checksum configured is started, with none of the gateway's environment;
// that whatever it does, dies of, hangs in or sends ends in one of the outcomes there are, within the caller's time;
// that a change it says it sent without having asked is Unknown, and so is one it says nothing of once it was allowed;
// that a program that hangs or breaks off is replaced; and that what it prints goes nowhere, since it may print passwords.
//
// It never restarts an attempt, and it cannot watch what the program does besides: where it connects to is not under
// connectors/guard.
package plugin
