// Package api is the administrator's API: what a script or another system may do with a service
// account's token.
//
//	Authorization: Bearer pst_api_… ──► scope of the operation ──► command of a slice ──► JSON
//	GET /api/v1/openapi.json           every operation, with its schemas, as OpenAPI 3.1
//
// It guarantees that an operation runs only with its scope and only in the token's workspace, that
// a change answers once it has committed, that long lists come in pages with a cursor, that a body is
// taken exactly as it was written or not at all, and that every error is a problem (RFC 9457) that
// names the faulty field.
//
// It never gives out a password but to the service account whose credential it is: otherwise only a signed-in
// person may use or see one.
package api
