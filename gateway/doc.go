// Package gateway composes Postern: it reads the configuration, wires every part by hand in one
// place, and runs the roles a process was given.
//
//	Config ─► New ─┬─ gateway  HTTP: scim · oidc · webhooks · api · console · health · metrics
//	               ├─ worker   jobs: rotations in a real browser
//	               ├─ relay    sequencer, then PostgreSQL → Kafka
//	               └─ sink     Kafka → Splunk, Sumo Logic
//
// Every role is stateless and may run many times. All faults of a configuration are reported
// together, before anything starts. A stop lets requests and jobs under way finish within the grace
// period; what is cut off then is taken up by the next process.
//
// It holds no rules of its own: those live in core.
package gateway
