package apps

import (
	"bytes"
	"fmt"
	"os/exec"
)

// run runs a program to its end with a text on its standard input.
func run(command *exec.Cmd, input string) error {
	command.Stdin = bytes.NewReader([]byte(input))
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command.Path, err, bytes.TrimSpace(output))
	}
	return nil
}
