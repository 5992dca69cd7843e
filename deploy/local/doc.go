// Package local stands up what is around the gateway on one machine, for development.
//
//	folder ─┬─ postgresql/  private PostgreSQL          ─┐
//	        ├─ kafka/       embedded broker              │
//	        ├─ idp/         development IdP              ├─► Stack (addresses, secrets) ─► the CLI starts
//	        ├─ app/         sample application           │                                the gateway on it
//	        └─ receiver/    Splunk and Sumo look-alike  ─┘
//
// Everything listens on loopback and keeps its state in one folder, so a restart finds people,
// passwords, events and addresses as they were. A folder serves one process at a time.
//
// It never imports the gateway and never touches anything outside its folder.
package local
