package hostile

// Behaviour is how the application treats its visitors. The zero value is well behaved.
type Behaviour string

// The behaviours.
const (
	Obeys              Behaviour = ""
	LiesSuccess        Behaviour = "lies about success" // says that the password was changed, and leaves it
	LiesRefusal        Behaviour = "lies about refusal" // says that the password is too weak, and changes it
	AppliesLate        Behaviour = "applies late"       // changes it 4 minutes after it said so
	Truncates          Behaviour = "truncates"          // keeps the first 12 characters, of what is set and of what is typed in
	RefusesByPolicy    Behaviour = "refuses by policy"  // takes 8 to 16 letters and digits, and says so
	ReplacesField      Behaviour = "replaces the field" // a script puts its own suggestion in, once
	Encodes            Behaviour = "encodes"            // a script sends the passwords of a change in base64
	ExpiresSessions    Behaviour = "expires sessions"   // the first change page asks to sign in again
	LocksAfter         Behaviour = "locks"              // an account for 10 minutes after 3 failed sign-ins, also for the right password
	DemandsCaptcha     Behaviour = "demands a captcha"
	ChangesForm        Behaviour = "changes its form" // other names, other order and other labels every time
	AsksMore           Behaviour = "asks for more"    // for a ticket with every change, and complains that it has none
	RequiresMore       Behaviour = "requires more"    // and sends nothing without
	ThrowsDialogs      Behaviour = "throws dialogs"   // alert, confirm, and a question before leaving
	Redirects          Behaviour = "redirects"        // to another host for signing in
	HidesInFrame       Behaviour = "hides in a frame"
	HidesElsewhere     Behaviour = "hides in a frame of another site"
	OpensWindow        Behaviour = "opens a window to sign in"
	HidesInShadow      Behaviour = "hides in a shadow root"
	HidesInClosed      Behaviour = "hides in a closed shadow root"
	HidesInDeclared    Behaviour = "hides in a closed shadow root of its HTML" // within another
	LeavesLabelsOpen   Behaviour = "leaves its labels open"                    // so that each field is labelled with all of them
	Hangs              Behaviour = "hangs"                                     // the change page never comes
	HangsAfterApplying Behaviour = "hangs after applying"                      // the change is made and never answered
	FailsAfterApplying Behaviour = "fails after applying"                      // and answered with 500
	HidesTheWay        Behaviour = "hides the way"                             // to the change page, which only the well-known address leads to
	AnswersForAll      Behaviour = "answers for all"                           // does so too, and has a form of nothing at every address it does not have
)

// All are the behaviours.
var All = []Behaviour{
	Obeys, LiesSuccess, LiesRefusal, AppliesLate, Truncates, RefusesByPolicy, ReplacesField, Encodes, ExpiresSessions, LocksAfter, DemandsCaptcha, ChangesForm,
	AsksMore, RequiresMore, ThrowsDialogs, Redirects, HidesInFrame, HidesElsewhere, OpensWindow, HidesInShadow, HidesInClosed, HidesInDeclared, LeavesLabelsOpen, Hangs, HangsAfterApplying, FailsAfterApplying, HidesTheWay, AnswersForAll,
}
