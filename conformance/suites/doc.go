// Package suites runs what others wrote against Postern, and holds the manifests it is installed from.
//
//	package.json       scimmy, scim-patch, scim2-parse-filter   servers and parsers to compare with
//	package.json       axe-core, run by the tests of gateway/console  what keeps people from using a page
//	requirements.txt   scim2-tester, driven by tester.py        a conformance suite
//	schemathesis.txt   Schemathesis, run by the tests of gateway  a suite for any API
//	oasdiff/go.mod     oasdiff, run by them too                 what a change of the API's document breaks
//	collector/go.mod   an OpenTelemetry Collector, run by the tests of siem/splunk and siem/otlp  a receiver of events
//	pom.xml            a SCIM SDK, driven by Client.java        a client
//	keycloak/pom.xml   Keycloak; package.json: oidc-provider    identity providers, started by conformance/optest
//
// deploy/tools/install test installs them, in exact versions, into a folder that $POSTERN_SUITES names.
// Nothing of theirs is in this repository.
package suites
