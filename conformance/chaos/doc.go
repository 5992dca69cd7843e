// Package chaos does its worst to the audit stream while events flow, with real parts in processes of their own, and
// counts what came out at the other end.
//
//	writers, SCIM ──► PostgreSQL ◄── serve gateway · relay · relay · sink ──► Apache Kafka ──► HEC receivers, kcat
//	                      ✗                      ✗                                ✗                ✗
//
// There are two receivers: of the operator's sink, which gets all events, and of one workspace's own.
//
// Every event arrives, in order within its workspace. What comes twice does so after a crash, and is known by its id;
// a planned restart repeats nothing. It is made of tests alone.
package chaos
