package api_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/rotation"
	"postern/gateway/api"
)

// bodies are what operations take; {app}, {user} and {other} stand for ids.
var bodies = map[string]string{
	"createApp":           `{"name":"Mail","domains":["mail.example.com"],"sign_in_url":"https://mail.example.com/login"}`,
	"changeApp":           `{"change_url":"https://wiki.example.com/password"}`,
	"putDisableOnLeave":   `{"disable":true}`,
	"putPace":             `{"at_once":1,"spacing_seconds":5}`,
	"putReconcileAccount": `{"account":"{account}"}`,
	"putRecipe":           `{"recording":{"title":"Wiki","steps":[{"type":"change","value":"{{current_password}}","selectors":["#p"]},{"type":"click","selectors":["#go"]}]}}`,
	"createAccount":       `{"app":"{app}","username":"second","password":"` + canary + `","owner":"{user}"}`,
	"shareAccount":        `{"user":"{other}","role":"collaborator","purpose":"on call"}`,
	"putUserRole":         `{"role":"admin"}`,

	"createLink":       `{"owner":"{user}","recipients":["ada@example.com"],"life_seconds":3600,"once":true,"purpose":"the audit"}`,
	"inviteGuest":      `{"email":"guest-{token}@example.com","name":"Gus"}`,
	"putGuestSettings": `{"inviters":"administrators"}`,

	"createConnection":       `{"name":"Another","kind":"generic","issuer":"https://idp.example.com","client_id":"client"}`,
	"replaceProvisioning":    `{"profile":"strict","journal_days":7}`,
	"replaceSignIn":          `{"scopes":["openid"],"max_age":60}`,
	"createConnectionToken":  `{}`,
	"putLogoutQuirks":        `{"quirks":["untyped"]}`,
	"putSessionSettings":     `{"idle":600,"life":3600,"reveal_age":300,"reveal_acr":["urn:acr:2"],"admin_age":0,"admin_acr":[]}`,
	"createConnectionClient": `{"expires":"2090-01-01T00:00:00Z"}`,

	"createStream":        `{"delivery":"push","issuer":"{transmitter}","access":{"method":"bearer","secret":"` + canary + `"}}`,
	"changeStream":        `{"description":"Postern"}`,
	"setStreamStatus":     `{"status":"enabled"}`,
	"addStreamSubject":    `{"subject":{"format":"email","email":"ana@example.com"}}`,
	"removeStreamSubject": `{"subject":{"format":"email","email":"ana@example.com"}}`,

	"createReceiver":       `{"name":"Globex {token}"}`,
	"createReceiverSecret": `{}`,
	"changeReceiver":       `{"subject_format":"iss_sub"}`,
	"setReceiverStatus":    `{"status":"paused"}`,
	"createLogoutTarget":   `{"name":"Shop {token}","kind":"back_channel","address":"https://shop.example/logout","client_id":"shop"}`,
	"changeLogoutTarget":   `{"client_id":"shop-2","state":"paused"}`,

	"createHook":       `{"kind":"standard","name":"Hook {token}","mapping":{"kinds":{"user.disabled":"account_disabled"},"subjects":[{"format":"email","pointer":"/data/email"}]},"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`,
	"changeHook":       `{"name":"Renamed {token}"}`,
	"rotateHookSecret": `{"overlap_seconds":60}`,
	"testHook":         `{"message":{"type":"user.disabled","data":{"email":"ana@example.com"}}}`,
	"backFillHook":     `{}`,

	"createWebhook":       `{"name":"Hook {token}","url":"https://hooks.example.com/x","types":["user.*"]}`,
	"changeWebhook":       `{"types":[]}`,
	"setWebhookState":     `{"state":"paused"}`,
	"rotateWebhookSecret": `{"overlap_seconds":60}`,
	"replayWebhook":       `{"since":"2026-01-01T00:00:00Z"}`,

	"createSink":             `{"name":"SIEM {token}","kind":"splunk","settings":{"urls":["https://splunk.example.com:8088"]},"credentials":{"token":"` + canary + `"}}`,
	"changeSink":             `{"filter":{"types":["user.*"]},"redaction":[{"field":"src_endpoint.ip","how":"hash"}]}`,
	"pauseSink":              `{"reason":"maintenance"}`,
	"replaySink":             `{"ranges":[{"from":1,"to":1}]}`,
	"discardSinkDeadLetters": `{"reason":"a test"}`,
	"placeLegalHold":         `{"reason":"a lawsuit"}`,

	"createPolicy":           `{"name":"Policy {token}","trigger":"logout"}`,
	"replacePolicy":          `{"name":"Renamed {token}","trigger":"sign_in","delay_seconds":3600}`,
	"previewPolicyDraft":     `{"name":"Draft","trigger":"schedule","schedule":{"days":7}}`,
	"setAccountTags":         `{"tags":["prod"]}`,
	"putAccountRisk":         `{"risk":5}`,
	"storePassword":          `{"password":"` + canary + `"}`,
	"unmanageAccount":        `{"reason":"handed over"}`,
	"reportFill":             `{"user":"{user}"}`,
	"putTOTP":                `{"secret":"` + totpCanary + `"}`,
	"getCode":                `{"user":"{user}"}`,
	"putBackupCodes":         `{"codes":["4711 0815","4711 0816"]}`,
	"useBackupCode":          `{"user":"{user}"}`,
	"putMailboxPhone":        `{"phone":"+49 30 123456"}`,
	"readMessage":            `{"user":"{user}"}`,
	"createSMSProvider":      `{"kind":"twilio","name":"Texts {token}","secret":"` + canary + `"}`,
	"putHealthSettings":      `{"interval_seconds":3600,"retention_days":30}`,
	"putCertificateSettings": `{"deadline_seconds":3600}`,
	"createPartner":          `{"name":"Partner {token}","domains":["partner-{token}.example.org"],"sponsor":"{user}"}`,
	"replacePartner":         `{"name":"Renamed","domains":["renamed.example.org"],"sponsor":"{user}"}`,
	"putAccountSuccession":   `{"successors":[{"manager":true},{"user":"{other}"}]}`,
	"putSuccession":          `{"successors":[{"manager":true}]}`,

	"previewReassignment":     `{"owners":[{"user":"{other}"}],"orphaned":{}}`,
	"createReassignment":      `{"owners":[{"user":"{other}"}],"accounts":["{account}"]}`,
	"createImport":            "url,username,password\nhttps://wiki.example.com,imported {token}," + canary + "\n",
	"createServiceAccount":    `{"name":"Service {token}","scopes":["service-accounts:write"],"owners":[{"user":"{user}"},{"user":"{other}"}]}`,
	"replaceServiceAccount":   `{"name":"Renamed {token}","risk":5}`,
	"addServiceOwner":         `{"user":"{other}"}`,
	"setServiceReaches":       `{"reaches":[{"name":"Wiki","app":"{app}","risk":2,"sensitivity":3}]}`,
	"addServiceCredential":    `{"name":"key","kind":"key","held":"vault","value":"` + canary + `"}`,
	"rotateServiceCredential": `{"value":"` + canary + `"}`,
	"advanceServiceRotation":  `{"to":"distributed"}`,
	"decideServiceFinding":    `{"state":"resolved","note":"a test"}`,
	"readCredential":          `{}`,
	"createReviewCampaign":    `{"name":"Campaign {token}","days":14}`,
	"replaceReviewCampaign":   `{"name":"Renamed {token}","days":10,"fallback":"keep"}`,
	"previewReview":           `{"role":"owner"}`,
	"decideReviewItems":       `{"decisions":[{"item":"{item}","decision":"keep","reason":"needed"}]}`,
	"reassignReviewItems":     `{"items":["{item}"],"to":"{other}"}`,
	"cancelReview":            `{"reason":"a mistake"}`,
	"putReviewSettings":       `{"triggers":[{"trigger":"unused","enabled":true,"days":14,"fallback":"revoke"}]}`,

	"putSignalPolicy":   `{"commands":["end_sessions"]}`,
	"putSignalSettings": `{"window_seconds":60,"retention_days":30}`,
}

// things are the ids of one workspace, by the part of the address in front of them.
type things struct {
	apps, accounts, grants, rotations, users, other string

	connections, token, client, secret, requests, holds, sessions string

	signals, signalHolds string

	streams, transmitter string

	receivers, logoutTargets string

	hooks, webhooks string

	events string
	sinks  string

	policies, imports       string
	certificates, proposals string
	reassignments           string

	links, guests, partners, message, smsProviders string
	// Two service accounts: what belongs to one is of the second.
	serviceAccounts, serviceOwners, serviceCredentials, serviceRotations, serviceFindings, credentials string
	campaigns, reviews, item, team                                                                     string
}

func (th things) fill(t *testing.T, text string) string {
	t.Helper()
	for prefix, id := range map[string]string{
		"/apps/": th.apps, "/accounts/": th.accounts, "/grants/": th.grants, "/rotations/": th.rotations, "/users/": th.users,
		"/connections/": th.connections, "/provisioning-requests/": th.requests, "/holds/": th.holds, "/sessions/": th.sessions, "/signals/": th.signals,
		"/signal-holds/": th.signalHolds, "/streams/": th.streams,
		"/receivers/": th.receivers, "/logout-targets/": th.logoutTargets, "/hooks/": th.hooks, "/webhooks/": th.webhooks, "/sinks/": th.sinks, "/policies/": th.policies,
		"/review-campaigns/": th.campaigns, "/reviews/": th.reviews, "/certificates/": th.certificates, "/proposals/": th.proposals, "/reassignments/": th.reassignments, "/links/": th.links, "/guests/": th.guests, "/partners/": th.partners, "/sms-providers/": th.smsProviders,
		"/imports/":          th.imports,
		"/events/":           th.events,
		"/service-accounts/": th.serviceAccounts, "/service-owners/": th.serviceOwners, "/service-credentials/": th.serviceCredentials,
		"/service-rotations/": th.serviceRotations, "/service-findings/": th.serviceFindings, "/credentials/": th.credentials,
	} {
		text = strings.Replace(text, prefix+"{id}", prefix+id, 1)
	}
	text = strings.NewReplacer("{app}", th.apps, "{account}", th.accounts, "{user}", th.users, "{other}", th.other, "{item}", th.item, "{team}", th.team, "{message}", th.message, "{token}", th.token, "{client}", th.client, "{secret}", th.secret, "{transmitter}", th.transmitter, "{case}", "risk_changed.high").Replace(text)
	if strings.Contains(text, "{id}") {
		t.Fatalf("whose id is it in %s? Say so in things", text)
	}
	return text
}

func (w *world) things(t *testing.T) things {
	t.Helper()
	app, account, created := w.account(t)
	grant := items(w.must(t, 200, "GET", "/accounts/"+account+"/grants", ""))[0]["id"].(string)
	all := things{apps: app, accounts: account, grants: grant, rotations: created["verification"].(string), users: w.ana.ID.String(), other: w.ben.ID.String()}
	w.must(t, 200, "PUT", "/accounts/"+account+"/totp", bodies["putTOTP"])
	w.must(t, 200, "PUT", "/accounts/"+account+"/backup-codes", bodies["putBackupCodes"])
	all.message = w.messaged(t, account)
	all.smsProviders = w.must(t, 201, "POST", "/sms-providers", `{"kind":"standard","name":"Texts"}`)["id"].(string)
	w.must(t, 200, "PUT", "/apps/"+app+"/recipe", bodies["putRecipe"])
	w.provider(t, &all)
	all.sessions = w.session(t)
	w.streamed(t, &all)
	w.receiving(t, &all)
	w.hooking(t, &all)
	all.sinks = w.sinking(t)
	all.policies = w.must(t, 201, "POST", "/policies", `{"name":"After use","trigger":"sign_in"}`)["id"].(string)
	all.certificates, all.proposals = w.backAgain(t, account, "first")
	all.reassignments = w.must(t, 202, "POST", "/posture/reassignments", `{"owners":[{"user":"`+w.ana.ID.String()+`"}],"accounts":["`+account+`"]}`)["id"].(string)
	all.links = w.must(t, 201, "POST", "/accounts/"+account+"/links", `{"owner":"`+all.users+`","domains":["partner.example.org"]}`)["id"].(string)
	all.partners = w.must(t, 201, "POST", "/partners", `{"name":"Auditors","domains":["example.com"],"sponsor":"`+all.users+`"}`)["id"].(string)
	all.guests = w.must(t, 201, "POST", "/guests", `{"email":"gus@example.com"}`)["id"].(string)
	all.imports = w.imported(t, "first")
	if err := w.db.QueryRow(t.Context(), "select event_id::text from audit_outbox where workspace_id = $1 union all select event_id::text from audit_log where workspace_id = $1 limit 1", w.acme.ID).Scan(&all.events); err != nil {
		t.Fatal(err)
	}
	all.team = w.suspended(t)
	w.served(t, &all)
	all.campaigns, all.reviews, all.item = w.signedReview(t, "first")
	return all
}

// request is a complete one for an operation.
func request(t *testing.T, one operation, with things) *http.Request {
	t.Helper()
	made := httptest.NewRequest(one.Method, with.fill(t, one.Path), nil)
	if one.OperationID == "tailActivity" {
		made.URL.RawQuery = "seconds=1"
	}
	if len(one.RequestBody) > 0 {
		body, known := bodies[one.OperationID]
		if !known {
			t.Fatalf("what does %s take? Say so in bodies", one.OperationID)
		}
		made = httptest.NewRequest(one.Method, with.fill(t, one.Path), strings.NewReader(with.fill(t, body)))
		made.Header.Set("Content-Type", "application/json")
	}
	if one.OperationID == "createImport" {
		made.URL.RawQuery = "owner=" + with.users
		made.Header.Set("Content-Type", "text/csv")
	}
	return made
}

func TestEveryOperationAsksForALiveToken(t *testing.T) {
	w := newWorld(t)
	all := w.things(t)
	cause := core.NewCause(core.System, time.Now())
	var scim, expired string
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		connection, err := w.directory.CreateConnection(t.Context(), tx, cause, w.acme.ID, directory.NewConnection{Name: "Okta", Kind: directory.Okta})
		if err != nil {
			return err
		}
		token, err := w.directory.CreateConnectionToken(t.Context(), tx, cause, w.acme.ID, connection.ID, nil)
		if err != nil {
			return err
		}
		scim = token.Reveal()
		account, err := w.directory.CreateServiceAccount(t.Context(), tx, cause, w.acme.ID, "old", api.Scopes())
		if err != nil {
			return err
		}
		token, err = w.directory.CreateServiceAccountToken(t.Context(), tx, cause, w.acme.ID, account.ID, new(time.Now().Add(-time.Second)))
		expired = token.Reveal()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	good := w.tokens["acme"]
	for _, one := range w.document.operations {
		for name, authorization := range map[string]string{
			"none": "", "an empty one": "Bearer ", "another scheme": "Basic " + good, "no scheme": good, "an unknown one": "Bearer pst_api_unknown",
			"one letter more": "Bearer " + good + "x", "an expired one": "Bearer " + expired, "an IdP's": "Bearer " + scim,
		} {
			asked := request(t, one, all)
			asked.Header.Set("Authorization", authorization)
			if recorder, got := w.send(t, asked); recorder.Code != 401 || got["code"] != "unauthenticated" {
				t.Errorf("%s with %s token: %d %v", one.OperationID, name, recorder.Code, got)
			}
		}
	}
}

func TestEveryOperationAsksForItsScope(t *testing.T) {
	w := newWorld(t)
	all := w.things(t)
	for _, one := range w.document.operations {
		for _, scope := range api.Scopes() {
			if scope == one.scope() {
				continue
			}
			asked := request(t, one, all)
			asked.Header.Set("Authorization", "Bearer "+w.tokens[scope])
			if recorder, got := w.send(t, asked); recorder.Code != 403 || got["code"] != "missing_scope" || !strings.Contains(got["detail"].(string), one.scope()) {
				t.Errorf("%s with %s alone: %d %v", one.OperationID, scope, recorder.Code, got)
			}
		}
		for _, id := range append(elsewhere(t, one, all), core.NewID().String()) {
			if recorder, got := w.narrowly(t, request(t, one, all), one.scope(), id); recorder.Code != 403 || got["code"] != "missing_scope" {
				t.Errorf("%s with %s of %s alone: %d %v", one.OperationID, one.scope(), id, recorder.Code, got)
			}
		}
	}
	// Taking a grant or everything back ends what the others need, so it comes last.
	var last []operation
	for _, one := range w.document.operations {
		if one.Method == http.MethodDelete || one.OperationID == "deprovisionUser" {
			last = append(last, one)
			continue
		}
		if one.OperationID == "rejectHold" {
			all.holds = w.depart(t, "second")
		}
		switch one.OperationID {
		case "enrolTOTP":
			w.rotations.Connectors = rotation.Connectors{"browser": &login{}}
			made := w.must(t, 201, "POST", "/accounts", `{"app":"`+all.apps+`","username":"bare","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)
			bare := all
			bare.accounts = made["id"].(string)
			w.allowed(t, one, bare)
			continue
		case "decideReviewItems", "reassignReviewItems", "cancelReview":
			_, all.reviews, all.item = w.reviewing(t, one.OperationID)
		case "proveEvent": // which a checkpoint has to cover
			stop := coretest.Run(t, (&audit.Sequencer{DB: w.db, Key: w.key, CheckpointEvery: 1}).Run)
			coretest.Until(t, "the log is signed", func() bool {
				backlog, err := audit.ReadBacklog(t.Context(), w.db, time.Now())
				return err == nil && backlog.Unsequenced == 0
			})
			stop()
		case "getReviewDocument":
			_, all.reviews, all.item = w.signedReview(t, one.OperationID)
		}
		switch one.OperationID { // which another account is to do
		case "resetAccount", "disableAccount", "enableAccount", "refreshLogins", "getListing":
			boss := w.must(t, 201, "POST", "/accounts", `{"app":"`+all.apps+`","username":"boss of `+one.OperationID+`","password":"`+canary+`","owner":"`+all.users+`"}`)["id"].(string)
			w.must(t, 200, "PUT", "/apps/"+all.apps+"/reconcile-account", `{"account":"`+boss+`"}`)
			if one.OperationID == "getListing" {
				w.must(t, 202, "POST", "/apps/"+all.apps+"/logins", "")
			}
		}
		if one.OperationID == "declineProposal" {
			_, all.proposals = w.backAgain(t, all.accounts, "second")
		}
		if one.OperationID == "declineTeamProposal" {
			all.team = w.suspended(t)
		}
		if one.OperationID == "rejectSignalHold" {
			_, all.signalHolds = w.signal(t, "second signals")
		}
		w.allowed(t, one, all)
	}
	w.must(t, 201, "POST", "/accounts/"+all.accounts+"/grants", `{"user":"`+w.ben.ID.String()+`","role":"owner"}`)
	all.imports = w.imported(t, "second")                  // the first is committed by now
	slices.SortStableFunc(last, func(a, b operation) int { // DELETE before POST, and a part before its whole
		return cmp.Or(strings.Compare(a.Method, b.Method), strings.Count(b.Path, "/")-strings.Count(a.Path, "/"))
	})
	for _, one := range last {
		w.allowed(t, one, all)
	}
}

// allowed asks with the operation's own scope and no other, limited to what the address names if it names anything.
func (w *world) allowed(t *testing.T, one operation, all things) {
	t.Helper()
	id := all.named(t, one)
	if recorder, got := w.narrowly(t, request(t, one, all), one.scope(), id); recorder.Code >= 300 {
		t.Errorf("%s with %s of %q: %d %v", one.OperationID, one.scope(), id, recorder.Code, got)
	}
}

func TestAnotherWorkspaceHasNoneOfIt(t *testing.T) {
	w := newWorld(t)
	mine := w.things(t)
	gus := w.gus.ID.String()
	began, passed := time.Now(), time.Duration(0)
	w.now = func() time.Time { return began.Add(passed) }
	for _, one := range w.document.operations {
		passed += 100 * time.Millisecond // below the rate of a service account, however fast this machine is
		asked := request(t, one, mine)
		if len(one.RequestBody) > 0 && one.OperationID == "shareAccount" {
			// A user of their own, so that only the account is another's.
			asked = request(t, one, things{accounts: mine.accounts, other: gus})
		}
		asked.Header.Set("Authorization", "Bearer "+w.tokens["globex"])
		recorder, got := w.send(t, asked)
		switch {
		case strings.Contains(one.Path, "{id}"):
			if recorder.Code != 404 || got["code"] != "not_found" {
				t.Errorf("%s of another workspace: %d %v", one.OperationID, recorder.Code, got)
			}
		case one.Method == http.MethodGet:
			if recorder.Code != 200 {
				t.Errorf("%s: %d %v", one.OperationID, recorder.Code, got)
			}
			for field, id := range mine.ids() { // the token's id is in names this test itself gives
				if field != "token" && strings.Contains(recorder.Body.String(), id) {
					t.Errorf("%s lists another workspace's %s: %s", one.OperationID, field, recorder.Body)
				}
			}
		}
	}
}

// pointers joins where an answer says the faults are.
func pointers(answer map[string]any) string {
	var places []string
	faults, _ := answer["errors"].([]any)
	for _, fault := range faults {
		for _, kind := range []string{"pointer", "parameter"} {
			if place, ok := fault.(map[string]any)[kind].(string); ok {
				places = append(places, place)
			}
		}
	}
	return strings.Join(places, " ")
}
