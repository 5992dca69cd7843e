// Package push plays the provisioning side of an identity provider: it sends people and teams to a
// SCIM server in exactly the bodies Okta or Microsoft Entra ID would send.
//
//	PushUser ──► GET /Users?filter=userName eq … ──► POST /Users | PUT /Users/{id} | PATCH /Users/{id}
//	Deactivate ──► PATCH {"op":"replace","value":{"active":false}}        (Okta, catalogue app)
//	               PUT the whole user                                     (Okta, wizard app)
//	               PATCH {"op":"Replace","path":"active","value":"False"} (Entra)
//
// It returns every HTTP exchange with its bodies, so a person can see what happened; the token is
// never in them. It sends each request once and follows no redirect.
//
// It never decides who is sent, and never softens a shape because a server dislikes it.
package push
