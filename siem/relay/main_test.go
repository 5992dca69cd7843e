package relay_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The private PostgreSQL of the run is waited for and listened to until the process ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("postern/deploy/local/process.(*Process).start.func1"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"))
}
