package devidp

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"postern/core"
)

// Person is somebody this provider knows.
type Person struct {
	ID          string            `json:"id"`        // in Okta's form, "00u…": externalId and sub for clients of Okta's style
	ObjectID    string            `json:"object_id"` // in Entra's form: externalId and oid for clients of Entra's style
	UserName    string            `json:"user_name"`
	Email       string            `json:"email"`
	GivenName   string            `json:"given_name"`
	FamilyName  string            `json:"family_name"`
	DisplayName string            `json:"display_name"`
	Password    string            `json:"password"` // for development; the sign-in page shows it
	Title       string            `json:"title,omitempty"`
	Active      bool              `json:"active"`
	Pushed      map[string]string `json:"pushed,omitempty"` // target → the id its SCIM server gave
}

// Team is a group of people.
type Team struct {
	ID       string                `json:"id"`
	ObjectID string                `json:"object_id"`
	Name     string                `json:"name"`
	Members  []string              `json:"members"`          // ids of people
	Pushed   map[string]PushedTeam `json:"pushed,omitempty"` // by target
}

// PushedTeam is what a target was told about a team.
type PushedTeam struct {
	ID      string   `json:"id"`      // the id its SCIM server gave
	Members []string `json:"members"` // ids of people
}

// Has reports whether the person is in the team.
func (t Team) Has(person Person) bool { return slices.Contains(t.Members, person.ID) }

func newPerson(given, family, title, email string) Person {
	name, _, _ := strings.Cut(email, "@")
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return Person{
		ID: oktaID("00u"), ObjectID: uuid.NewString(), UserName: email, Email: email, GivenName: given, FamilyName: family,
		DisplayName: given + " " + family, Title: title, Active: true,
		Password: name + "-" + strings.ToLower(rand.Text()[:6]),
	}
}

func newTeam(name string, members ...Person) Team {
	team := Team{ID: oktaID("00g"), ObjectID: uuid.NewString(), Name: name}
	for _, member := range members {
		team.Members = append(team.Members, member.ID)
	}
	return team
}

// oktaID is an id in the form of Okta's: a prefix that says what it is, twenty characters in all.
func oktaID(prefix string) string {
	return prefix + strings.ToLower(rand.Text()[:17])
}

// firstPeople are those a new folder begins with.
func firstPeople() ([]Person, []Team) {
	ana := newPerson("Ana", "Lima", "Accountant", "ana.lima@acme.example")
	ben := newPerson("Ben", "Okoro", "Support lead", "ben.okoro@acme.example")
	chloe := newPerson("Chloé", "Martin", "Engineer", "chloe.martin@acme.example")
	dana := newPerson("Dana", "Reyes", "IT administrator", "dana.reyes@acme.example")
	return []Person{ana, ben, chloe, dana}, []Team{
		newTeam("Finance", ana, ben),
		newTeam("Support", ben, chloe),
		newTeam("IT", dana, chloe),
	}
}

// People lists everybody, in the order they were added.
func (s *Server) People() []Person {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.state.clone().People
}

// Teams lists the teams.
func (s *Server) Teams() []Team {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.state.clone().Teams
}

// Person finds somebody by user name, whatever its case.
func (s *Server) Person(userName string) (Person, error) {
	for _, person := range s.People() {
		if strings.EqualFold(person.UserName, userName) {
			return person, nil
		}
	}
	return Person{}, core.NotFound("person").WithCode("person")
}

func (s *Server) personByID(id string) (Person, error) {
	for _, person := range s.People() {
		if person.ID == id {
			return person, nil
		}
	}
	return Person{}, core.NotFound("person").WithCode("person")
}

func (s *Server) team(name string) (Team, error) {
	for _, team := range s.Teams() {
		if strings.EqualFold(team.Name, name) {
			return team, nil
		}
	}
	return Team{}, core.NotFound("team").WithCode("team")
}

// AddPerson makes somebody new, active and known to no target yet. A taken address is a Conflict.
func (s *Server) AddPerson(given, family, email string) (Person, error) {
	given, family, email = strings.TrimSpace(given), strings.TrimSpace(family), strings.TrimSpace(email)
	if given == "" || family == "" || !strings.Contains(email, "@") {
		return Person{}, core.Invalid("email", "a person needs a given name, a family name and an e-mail address")
	}
	if _, err := s.Person(email); err == nil {
		return Person{}, core.Conflict("email", "somebody has this address")
	}
	person := newPerson(given, family, "", email)
	return person, s.change(func(state *state) error {
		state.People = append(state.People, person)
		return nil
	})
}

// edit changes one person in the folder.
func (s *Server) edit(id string, change func(*Person)) error {
	return s.change(func(state *state) error {
		for i := range state.People {
			if state.People[i].ID == id {
				change(&state.People[i])
				return nil
			}
		}
		return fmt.Errorf("devidp: person %s is gone", id)
	})
}
