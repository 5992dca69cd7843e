// Package jsonl writes events to files, a document per line: for object storage and for proof without Postern.
//
//	FOLDER/<workspace>/open-20260102T030405.000000006Z.jsonl      being written, every batch synced to disk
//	                        │ large enough, or old enough
//	                        ▼
//	FOLDER/<workspace>/00000000000000000001-00000000000000004096.jsonl.gz   finished: the first and last sequence in it
//
// A finished file appears whole, under its final name, and is never touched again: what copies files to object storage
// takes everything that does not begin with "open-" or a dot. An event is written once: one that comes again, after a
// crash, is recognised by its sequence and its id. A line that a crash cut short is removed before anything is added.
//
// Events are accepted once they are on disk. Several processes may share a folder on one file system with locks.
// It deletes no finished file and keeps nothing but documents in them.
package jsonl
