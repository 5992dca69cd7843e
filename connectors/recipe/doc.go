// Package recipe reads recordings of how one signs in to an app and changes the password there, as the
// Recorder of Chrome's DevTools exports them.
//
//	recording.json ─► Import ─► steps kept ─► secrets become variables ─► Check ─► Recipe ─► the app's settings
//	                              └ noise left out     └ or it is refused, with the step's number
//
// A recipe holds the steps of a sign-in, of a change, or of both, in the Recorder's own format, so that Chrome opens
// what Encode writes. Where one typed, it has {{username}}, {{current_password}}, {{new_password}} or {{code}}.
//
// It guarantees that no recipe holds a text somebody typed, unless whoever imported it said of that very step that it
// is no secret; that it runs no script; and that it leads nowhere but to the app's domains. Whatever cannot be kept
// is refused as Invalid, with the number of the step and what to do.
//
// It never opens a page: connectors/browser follows a recipe, with all the guards it has without one.
package recipe
