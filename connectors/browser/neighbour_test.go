package browser

import (
	"context"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/sampleapp"
)

// A change that waits for its app watches every request of the browser, and holds up nobody else's.
func TestAHangingChangeHoldsUpNobodyElse(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	if err := app.SetPassword("pier", first); err != nil {
		t.Fatal(err)
	}
	app.Behave(sampleapp.Behaviour{HangAfterChange: true})
	patient := target
	patient.Settings = []byte(`{"timeout_seconds": 300}`) // it waits longer than the neighbours take
	waiting, giveUp := context.WithCancel(t.Context())
	done := make(chan rotation.Report)
	go func() {
		done <- b.Change(waiting, patient, credential("quay", first), seal.NewSecret(second), new(counter).release)
	}()
	until(t, "the app has the change", func() bool { return app.Works("quay", second) })
	for range 2 {
		expect(t, b.Verify(short(t), target, credential("pier", first)), rotation.Accepted, rotation.StageVerify)
	}
	giveUp()
	if report := <-done; report.Outcome != rotation.Unknown || !report.Released {
		t.Errorf("the change was left %s", report.Outcome)
	}
}
