package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"postern/core/directory"
	"postern/core/signals"
	"postern/webhooks/hooks"
	"postern/webhooks/ssf"
)

// The doors that are not signals'.
const (
	DoorSCIM   = "scim"
	DoorSignIn = "sign_in"
)

// Door is one way the identity provider reaches Postern, and how it went lately.
type Door struct {
	Door       string     `json:"door"`
	Configured bool       `json:"configured" doc:"As far as Postern can know: whether the provider uses it is for the provider to say"`
	Last       *time.Time `json:"last_success,omitempty"`
	Failures   []Failure  `json:"failures" nullable:"false" doc:"The last ones, the latest first"`
}

// Failure is something a door refused.
type Failure struct {
	At         time.Time `json:"at"`
	Stage      string    `json:"stage" doc:"The check that failed"`
	Says       string    `json:"says"`
	Advice     string    `json:"advice"`
	Subject    string    `json:"subject,omitempty"`
	Address    string    `json:"address,omitempty" doc:"Where it came from"`
	Suppressed int       `json:"suppressed" doc:"More of them, not kept"`
}

// StreamState is how a stream of Shared Signals goes.
type StreamState struct {
	ID        string     `json:"id" format:"uuid"`
	Issuer    string     `json:"issuer"`
	Delivery  string     `json:"delivery"`
	Status    string     `json:"status"`
	Verified  *time.Time `json:"verified,omitempty"`
	LastEvent *time.Time `json:"last_event,omitempty"`
	Wrong     string     `json:"wrong,omitempty"`
	Polled    bool       `json:"polled" doc:"A process polls it now"`
}

// remedies say what to do about each stage a token or a message fails at.
var remedies = map[string]string{
	"no_token":                 "the request had no Authorization: Bearer header: choose \"Signed JWT\" at the provider, and see that no proxy in front of Postern takes the header away",
	"malformed":                "what came is no signed token: check that the provider sends to this very address, and that no proxy changes bodies or headers",
	"type":                     "the token is of another kind, such as an ID token: the provider sends it to the wrong address, or does not type its tokens, which a quirk of the connection allows. The doctor's own self-test ends here too",
	"algorithm":                "sign with RS256, PS256 or ES256; \"none\" and shared secrets (HS256) are never believed",
	"issuer":                   "the token's iss is not the connection's: if it is the same provider's custom domain, add it: postern connection update NAME --logout-issuers URL",
	"audience":                 "the token is meant for another address or client: paste the address of this connection at the provider anew, and check that POSTERN_PUBLIC_URL is the address it uses",
	"key":                      "the provider's key set has no such key: if it was changed just now, this ends within half a minute; else check jwks_uri",
	"signature":                "somebody else signed it, or it was changed on its way",
	"subject":                  "the token is about nobody, or about another app: the client id at the provider must be the connection's",
	"sub_id":                   "whom the event is about cannot be read: see what the provider sends as subject, and the stream's profile",
	"expired":                  "the token came too late, lives too long or has no end where one is needed: compare the clocks; some versions of Keycloak need the quirk no_expiry",
	"not_yet":                  "the token is from the future or has no iat: compare the clocks",
	"id":                       "the token has no id of its own (jti), so it could be used twice",
	"replayed":                 "the same token came with another body: somebody may have caught it on its way",
	"event":                    "the token tells of no logout: the provider sends something else to this address",
	"events":                   "the event cannot be read: see the stream's profile",
	"authorization":            "the Authorization header is not the one of this stream: give the transmitter a new one: postern stream update STREAM --new-authorization",
	"request":                  "the request is no security event token: Content-Type application/secevent+jwt",
	"critical_subject_members": "the transmitter says that a part of the subject is critical which Postern does not go by",
	"state":                    "a verification came that nobody asked for: ask again: postern stream verify STREAM",
	"effect":                   "it was believed, but a command was refused: read the receipt: postern signal list",
	"connection":               "there is no such connection: paste the address anew",
	"rate_limited":             "too many wrong tokens came from one address; right ones are believed all the same",
}

// pollRemedies say what to do where a stream cannot be polled at all.
var pollRemedies = map[string]string{
	"poll":  "see that this machine reaches the transmitter's poll endpoint, and that the stream is still there: postern stream show",
	"token": "the transmitter's token endpoint gives no token: check the client and its secret",
}

// Remedy is what to do about a stage.
func Remedy(stage string) string {
	if advice, known := remedies[stage]; known {
		return advice
	}
	return "read the event in the activity: it says what was wrong"
}

// doors fills in how each door does, and returns what was seen of sign-ins.
func (d *Doctor) doors(ctx context.Context, connection directory.Connection, out *Diagnosis) (directory.SignedIn, error) {
	seen, err := d.Directory.SignedIn(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		return seen, err
	}
	provisioning, err := d.provisioned(ctx, connection)
	if err != nil {
		return seen, err
	}
	refused, err := d.signInsRefused(ctx, connection)
	if err != nil {
		return seen, err
	}
	if err := d.credentials(ctx, connection, &provisioning, out); err != nil {
		return seen, err
	}
	signsIn := connection.Issuer != "" && connection.ClientID != ""
	out.Doors = append(out.Doors, Door{Door: DoorSignIn, Configured: signsIn, Last: seen.Last, Failures: refused}, provisioning)
	for _, one := range out.Doors {
		d.door(one, out)
	}
	streams, err := d.Streams.StreamsOf(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		return seen, err
	}
	delivery := map[signals.Door]bool{}
	for _, one := range streams {
		delivery[map[ssf.Delivery]signals.Door{ssf.Push: signals.SSFPush, ssf.Poll: signals.SSFPoll}[one.Delivery]] = true
		d.stream(one, out)
	}
	called, err := d.hooks(ctx, connection, out)
	if err != nil {
		return seen, err
	}
	failures, err := d.Signals.Failures(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		return seen, err
	}
	for _, door := range signals.Doors {
		one := Door{Door: string(door), Failures: []Failure{}}
		found, err := d.Signals.List(ctx, d.DB, connection.Workspace, signals.Query{Connection: connection.ID, Door: door, Limit: 1})
		if err != nil {
			return seen, err
		}
		if len(found) > 0 {
			one.Last = &found[0].Received
		}
		switch door {
		case signals.UniversalLogout, signals.BackChannelLogout, signals.FrontChannelLogout:
			one.Configured = signsIn
		case signals.SSFPush, signals.SSFPoll:
			one.Configured = delivery[door]
		case signals.OktaEventHook, signals.Graph, signals.StandardWebhook, signals.SignedWebhook:
			one.Configured = called[door]
		case signals.Console:
			continue // an administrator's, and not the provider's
		}
		remedy := Remedy
		if called[door] {
			remedy = hookRemedy
		}
		for _, failed := range failures {
			if failed.Door == door {
				one.Failures = append(one.Failures, Failure{failed.At, failed.Stage, failed.Message, remedy(failed.Stage), failed.Subject, failed.Address, failed.Suppressed})
			}
		}
		if one.Configured || one.Last != nil || len(one.Failures) > 0 {
			out.Doors = append(out.Doors, one)
			d.door(one, out)
		}
	}
	return seen, nil
}

// door says what the last words of a door mean.
func (d *Doctor) door(one Door, out *Diagnosis) {
	if len(one.Failures) == 0 {
		return
	}
	last := one.Failures[0]
	if one.Last != nil && one.Last.After(last.At) {
		return // it has worked since
	}
	if d.now().Sub(last.At) > 7*24*time.Hour || last.Stage == "type" || last.Stage == hooks.StageSelfTest {
		out.find(Note, one.Door, "the last it refused, "+ago(d.now(), last.At)+", failed at "+last.Stage, last.Advice)
		return
	}
	out.find(Warning, one.Door, fmt.Sprintf("the last it refused, %s, failed at %s: %s", ago(d.now(), last.At), last.Stage, last.Says), last.Advice)
}

func (d *Doctor) stream(one ssf.Stream, out *Diagnosis) {
	polled := one.Delivery == ssf.Poll && one.Held != nil && one.Held.After(d.now())
	row := StreamState{one.ID.String(), one.Issuer, string(one.Delivery), string(one.Status), one.Verified, one.LastEvent, one.LastError, polled}
	out.Streams = append(out.Streams, row)
	about := "stream " + row.ID
	if one.Delivery == ssf.Poll && !polled && one.Status != ssf.Creating && d.now().Sub(one.Created) > time.Minute {
		out.find(Fault, about, "nobody polls it", "see that a process with the role worker runs, and what it logs")
	}
	switch {
	case one.Failures > 0:
		out.find(Fault, about, fmt.Sprintf("polling failed %d times in a row, at %s: %s", one.Failures, one.LastErrorStage, one.LastError), cmp.Or(pollRemedies[one.LastErrorStage], Remedy(one.LastErrorStage)))
	case one.LastError != "":
		out.find(Fault, about, "at "+one.LastErrorStage+": "+one.LastError, Remedy(one.LastErrorStage)+"; then: postern stream verify "+row.ID)
	case one.Status == ssf.Paused || one.Status == ssf.Disabled:
		out.find(Warning, about, "the transmitter has it "+row.Status+" "+one.Reason, "have it send again: postern stream resume "+row.ID)
	case one.Verified == nil:
		out.find(Warning, about, "no verification event ever came by it", "ask for one: postern stream verify "+row.ID)
	default:
		out.find(Good, about, "enabled, last verified "+ago(d.now(), *one.Verified), "")
	}
}

// credentials looks at how the provider gets in by SCIM.
func (d *Doctor) credentials(ctx context.Context, connection directory.Connection, door *Door, out *Diagnosis) error {
	tokens, err := d.Directory.ConnectionTokens(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		return err
	}
	clients, err := d.Directory.ConnectionClients(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		return err
	}
	live, soon := len(clients), false
	if connection.Provisioning.Assertion.Issuer != "" {
		live++
	}
	for _, one := range tokens {
		if one.Live(d.now()) {
			live++
			soon = soon || one.Expires != nil && one.Expires.Before(d.now().Add(14*24*time.Hour))
		}
	}
	switch {
	case live == 0:
		out.find(Fault, DoorSCIM, "it has no live token and no client: nobody is provisioned, and nobody's departure is heard of",
			"make one: postern connection token "+quoted(connection.Name))
	case soon:
		out.find(Warning, DoorSCIM, "a token ends within two weeks", "make the second one in time: postern connection token "+quoted(connection.Name))
	case door.Last == nil:
		out.find(Warning, DoorSCIM, "the provider has never asked for a change", "switch provisioning on there, and assign somebody: departures come by SCIM first of all")
	default:
		out.find(Good, DoorSCIM, "the provider last asked for a change "+ago(d.now(), *door.Last), "")
	}
	door.Configured = live > 0
	return nil
}

// people compares who signs in with what was ever heard of them.
func (d *Doctor) people(ctx context.Context, connection directory.Connection, seen directory.SignedIn, out *Diagnosis) error {
	users, active, err := d.Directory.CountUsers(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		return err
	}
	last := map[string]*time.Time{}
	streams := len(out.Streams) > 0
	for _, one := range out.Doors {
		last[one.Door] = one.Last
	}
	if seen.Last == nil && connection.Issuer != "" && users > 0 {
		out.find(Note, DoorSignIn, "nobody has signed in through it yet", "")
	}
	if seen.Last != nil {
		out.find(Good, DoorSignIn, fmt.Sprintf("somebody last signed in %s; %d sessions live, of %d active people", ago(d.now(), *seen.Last), seen.Live, active), "")
	}
	heard := last[string(signals.UniversalLogout)] != nil || last[string(signals.BackChannelLogout)] != nil || last[string(signals.SSFPush)] != nil || last[string(signals.SSFPoll)] != nil
	switch {
	case seen.Last == nil || heard:
	case out.Provider == Okta:
		out.find(Warning, string(signals.UniversalLogout), "people sign in, and no Universal Logout was ever seen",
			"switch it on: your app › Authentication › Logout. Then clear somebody's sessions with \"include logout enabled apps\" ticked: without it Okta tells nobody")
	case out.Provider == Keycloak:
		out.find(Warning, string(signals.BackChannelLogout), "people sign in, and no logout was ever heard of",
			"set the client's Backchannel logout URL; disabling a user sends nothing, so provision by SCIM or make a stream as well")
	case out.Provider == Entra:
		out.find(Note, "signals", "Entra ID sends no logout that can be trusted: a departure comes by SCIM, up to 40 minutes late", "keep sessions short: they are the bound on everything Entra ID does not tell")
	case out.Provider == Google:
		out.find(Note, "signals", "Google Workspace tells nothing by itself", "keep sessions short, or make a stream of Shared Signals")
	case !streams:
		out.find(Note, "signals", "people sign in, and no logout was ever heard of", "set the provider's back-channel logout address, or make a stream of Shared Signals")
	}
	return nil
}

// ago is how long since, in one unit.
func ago(now, at time.Time) string {
	gone := now.Sub(at)
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if count := int(gone / unit.size); count == 1 {
			return strings.Replace("a "+unit.name+" ago", "a h", "an h", 1)
		} else if count > 1 {
			return fmt.Sprintf("%d %ss ago", count, unit.name)
		}
	}
	return "just now"
}
