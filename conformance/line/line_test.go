package line

import (
	"testing"

	"postern/deploy/local/demo"
)

// TestDemoScenesInBothShapes plays the main job as Okta and as Entra ID send it.
func TestDemoScenesInBothShapes(t *testing.T) {
	w := newWorld(t, worldOptions{RealKafka: true})
	w.serve()
	w.furnish(demo.Login{Username: "billing", Password: "First-voyage-1912"}, demo.Login{Username: "operations", Password: "Second-mate-1913"})
	for _, scene := range demo.Scenes() {
		took, err := scene.Play(t.Context(), w.Stack, func(step demo.Step) {
			t.Logf("%7.2fs %-60s %s", step.At.Seconds(), step.What, step.Seen)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("time to lockout: %s", took)
	}
	w.stop()
}
