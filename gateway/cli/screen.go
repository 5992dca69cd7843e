package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"postern/deploy/local"
	"postern/deploy/local/demo"
)

// screen prints for a person at a terminal.
type screen struct {
	out io.Writer
}

// style codes are used only on a terminal that did not ask for none.
func (s screen) style(code, text string) string {
	file, ok := s.out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return text
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s screen) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s screen) title(text string) { s.say("\n%s\n", s.style("1", text)) }

func (s screen) started(part, address string) {
	s.say("  %s %-10s %s", s.style("32", "●"), part, s.style("2", address))
}

// step prints one line of a play: how long after the beginning, what happened, what was seen.
func (s screen) step(step demo.Step) {
	mark := s.style("32", "✓")
	if step.Failed {
		mark = s.style("31", "✗")
	}
	s.say("  %7.2fs  %s %-44s %s", step.At.Seconds(), mark, step.What, s.style("2", step.Seen))
}

func (s screen) lockout(took time.Duration) {
	s.say("\n           %s %s\n", s.style("1", "time to lockout"), s.style("1;32", fmt.Sprintf("%.2f s", took.Seconds())))
}

func (s screen) addresses(stack local.Descriptor, folder string) {
	s.title("Explore")
	for _, line := range [][2]string{
		{"console", stack.Gateway + "/  (sign in as " + stack.Owner + ", its owner)"},
		{"IdP", stack.IdP + "/  (push, deactivate, clear sessions)"},
		{"app", stack.App + "/  (what Postern rotates)"},
		{"events", stack.HEC + "/  (what a SIEM received)"},
		{"API", stack.Gateway + "/api/v1/openapi.json"},
		{"scripts", folder + "/dev.json  (addresses and tokens)"},
		{"log", folder + "/postern.log"},
	} {
		s.say("  %-10s %s", line[0], line[1])
	}
	s.say("\n  'make demo' plays the main job again. Ctrl-C stops everything.")
}
