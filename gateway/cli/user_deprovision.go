package cli

import (
	"context"

	"postern/core"
	"postern/core/jobs"
	"postern/core/rotation"
)

// deprovisionUser takes everything from a user.
type deprovisionUser struct {
	oneUser `embed:""`
}

// Help is shown by 'postern user deprovision --help'.
func (deprovisionUser) Help() string {
	return `Usually the identity provider says who left. This is for whom it does not: also for somebody whose departure waits in a hold, or left after all although the hold was rejected.

  postern user deprovision dana@acme.example --workspace acme

Sessions end, grants are revoked, and the workers of 'postern serve' rotate what they saw. The identity provider is not told: deactivate them there too, or it may make them active again. The last owner of a workspace is refused.`
}

func (d deprovisionUser) Run(ctx context.Context, terminal terminal) error {
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	user, err := d.find(ctx, s)
	if err != nil {
		return err
	}
	queue, err := jobs.NewQueue(s.db, nil)
	if err != nil {
		return err
	}
	people := s.departures()
	people.Rotations = &rotation.Rotations{DB: s.db, Accounts: people.Accounts, Queue: queue}
	effect, err := people.Dismiss(ctx, s.cause, s.workspace.ID, user.ID)
	if err != nil {
		return err
	}
	return d.show(terminal, struct {
		ID            core.ID   `json:"id"`
		UserName      string    `json:"user_name"`
		WasActive     bool      `json:"was_active"`
		SessionsEnded int       `json:"sessions_ended"`
		GrantsRevoked int       `json:"grants_revoked"`
		Rotations     []core.ID `json:"rotations"`
	}{user.ID, user.UserName, user.Active, effect.SessionsEnded, effect.GrantsRevoked, append([]core.ID{}, effect.Rotations...)}, func(sheet sheet) {
		if !user.Active && effect.GrantsRevoked+len(effect.Rotations) == 0 {
			sheet.say("%s is inactive already, and nothing was left to take.", user.Name())
			return
		}
		sheet.say("%s is deprovisioned: %d sessions ended, %d grants revoked, %d rotations planned.",
			user.Name(), effect.SessionsEnded, effect.GrantsRevoked, len(effect.Rotations))
	})
}
