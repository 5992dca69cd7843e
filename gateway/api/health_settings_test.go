package api_test

import "testing"

func TestMailsAboutAccountsAreTurnedOff(t *testing.T) {
	w := newWorld(t)
	for _, quiet := range []bool{true, false} {
		body := map[bool]string{true: `{"interval_seconds":3600,"retention_days":30,"quiet":true}`, false: `{"interval_seconds":3600,"retention_days":30}`}[quiet]
		w.must(t, 200, "PUT", "/health-settings", body)
		if got, _ := w.must(t, 200, "GET", "/health-settings", "")["quiet"].(bool); got != quiet {
			t.Errorf("%v, want %v", got, quiet)
		}
	}
}
