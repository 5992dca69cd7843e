package browser

import (
	"os"
	"os/exec"

	"postern/core"
)

// Find returns the browser to run: the one given, $POSTERN_BROWSER, or the first of the usual ones.
// The headless shell comes first, since it needs less than half of what a full browser does.
func Find(given string) (string, error) {
	for _, name := range []string{given, os.Getenv("POSTERN_BROWSER")} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			return "", core.NotFound("browser " + name).Because(err)
		}
		return path, nil
	}
	for _, name := range []string{
		// Debian's file on the PATH is a shell script around this one.
		"/usr/lib/chromium/chromium-headless-shell",
		"chrome-headless-shell", "headless-shell", "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", core.NotFound("package chromium-headless-shell (or another Chromium) on this machine; `make tools` installs it, or set POSTERN_BROWSER")
}
