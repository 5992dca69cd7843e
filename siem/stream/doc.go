// Package stream carries events through Kafka.
//
//	Producer.Publish ──► topic, partition = hash(workspace) ──► Consumer.Run ──► Assignment: Fetch … Commit
//
// Events of one workspace keep their order. Publish returns once every in-sync replica has the
// events. An offset is committed only when the handler says so and only while its process still
// owns the partition. Where Kafka no longer has what a group has not read, Fetch says so instead
// of skipping it silently. An event may come twice after a crash; its id and sequence tell.
//
// It is the only importer of the Kafka client; nobody else sees one of its types.
package stream
