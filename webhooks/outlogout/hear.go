package outlogout

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/webhooks/delivery"
)

// Types implements delivery.Listener: what ends all of a person's sessions.
func (s *Service) Types() []core.EventType {
	return []core.EventType{core.UserLoggedOut, core.UserDepartureHeld, core.UserDeprovisioned}
}

// leaver is the payload of a delivery: whom a target is told of, by the name it knows them by. It is the name
// they had when it happened.
type leaver struct {
	User    core.ID `json:"user"`
	Issuer  string  `json:"issuer,omitempty"` // with iss_sub
	Subject string  `json:"subject"`
}

// Hear implements delivery.Listener.
func (s *Service) Hear(ctx context.Context, tx pgx.Tx, events []core.Event) error {
	targets := map[core.ID][]Target{}
	people := map[core.ID]map[core.ID]directory.Addressee{}
	for _, event := range events {
		workspace := event.Workspace
		if _, read := targets[workspace]; !read {
			var err error
			if targets[workspace], err = s.Targets(ctx, tx, workspace); err != nil {
				return err
			}
			if people[workspace], err = s.Directory.Addressees(ctx, tx, workspace, named(events, workspace)); err != nil {
				return err
			}
		}
		for _, target := range targets[workspace] {
			if event.Occurred.Before(target.Created) {
				continue
			}
			for _, user := range event.Targets {
				person, known := people[workspace][user.ID]
				if user.Kind != "user" || !known {
					continue
				}
				if err := s.tell(ctx, tx, target, event, person); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Service) tell(ctx context.Context, tx pgx.Tx, target Target, event core.Event, person directory.Addressee) error {
	who, known := s.name(target, person)
	if !known {
		return nil // an app that knows people by a name this one does not have does not know them
	}
	payload, err := json.Marshal(who)
	if err != nil {
		return core.Internal(err)
	}
	return s.Deliveries.Add(ctx, tx, delivery.Delivery{
		Workspace: target.Workspace, Lane: target.ID, Event: event.ID, Type: "logout " + person.ID.String(), Payload: payload,
	})
}

// name is what a target calls a person.
func (s *Service) name(target Target, person directory.Addressee) (leaver, bool) {
	who := leaver{User: person.ID}
	switch target.SubjectFormat {
	case ByEmail:
		who.Subject = person.Email
	case ByUserID:
		who.Subject = person.ID.String()
	case ByExternalID:
		who.Subject = person.ExternalID
	case ByIssSub:
		if len(person.Issuers) > 0 {
			who.Issuer, who.Subject = person.Issuers[0], person.Subjects[0]
		}
	}
	return who, who.Subject != ""
}

func named(events []core.Event, workspace core.ID) []core.ID {
	var ids []core.ID
	for _, event := range events {
		if event.Workspace != workspace {
			continue
		}
		for _, target := range event.Targets {
			if target.Kind == "user" && !slices.Contains(ids, target.ID) {
				ids = append(ids, target.ID)
			}
		}
	}
	return ids
}
