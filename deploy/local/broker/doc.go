// Package broker runs a Kafka broker on one machine.
//
//	Embedded ──► kfake in this process, its log in a folder      (development, and every test run)
//	Kafka    ──► Apache Kafka 4, one node in KRaft mode, in Java (tests against the real thing)
//	Cluster  ──► several such nodes, which replicate for each other
//	Secured  ──► one with doors that ask for a password or a certificate, over TLS
//
// All listen on loopback alone, keep what they acknowledged in their folder, come back with it on
// the same port, and end with the process that started them.
//
// It never touches a broker it did not start. Neither is for production.
package broker
