package cli

import (
	"context"

	"postern/deploy/local"
	"postern/deploy/local/demo"
)

// demoCommand plays the main job against a running stack.
type demoCommand struct {
	Data string `help:"Folder of the running 'postern dev'." default:"${data}" env:"POSTERN_DATA" type:"path"`
}

func (d demoCommand) Run(ctx context.Context, terminal terminal) error {
	descriptor, err := local.ReadDescriptor(d.Data)
	if err != nil {
		return err
	}
	return play(ctx, screen{terminal.out}, descriptor)
}

// play runs the main job twice, once in the shapes of each IdP.
func play(ctx context.Context, screen screen, descriptor local.Descriptor) error {
	for _, scene := range demo.Scenes() {
		screen.title(scene.Title)
		took, err := scene.Play(ctx, descriptor, screen.step)
		if err != nil {
			return err
		}
		screen.lockout(took)
	}
	return nil
}
