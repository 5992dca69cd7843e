package scim

import (
	"net/http"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/scim/resource"
)

func (s *Service) createGroup(r *request) (answer, error) {
	wanted, members, _, err := r.group()
	if err != nil {
		return answer{}, err
	}
	team := directory.Team{Workspace: r.connection.Workspace, Connection: r.connection.ID}
	if err := writeGroup(&team, wanted); err != nil {
		return answer{}, err
	}
	made, err := r.recording(http.StatusCreated).CreateTeam(r.Context(), r.cause, team, members)
	if err != nil {
		return answer{}, r.nameGroup(memberError(err), team)
	}
	return r.showGroup(http.StatusCreated, made)
}

// group reads a group from the body; mentioned says that it told of an externalId.
func (r *request) group() (wanted *resource.Object, members []core.ID, mentioned bool, err error) {
	sent, err := r.document()
	if err != nil {
		return nil, nil, false, err
	}
	value, err := takeMembers(sent, r.profile)
	if err != nil {
		return nil, nil, false, err
	}
	if members, err = memberIDs(value, false, r.profile); err != nil {
		return nil, nil, false, err
	}
	_, mentioned = sent.Get("externalId")
	if wanted, err = groupType.Normalise(sent, r.profile); err != nil {
		return nil, nil, false, err
	}
	if _, left := wanted.Get("members"); left {
		return nil, nil, false, core.Invalid("members", "list them as members, once").WithCode("invalidSyntax")
	}
	_, there := wanted.Get("externalId")
	return wanted, members, mentioned || there, nil
}

// takeMembers takes the members out of a group: they are never kept with its attributes. They may stand
// under the URN of their schema, or have it before their name, as everything of that schema may.
func takeMembers(sent *resource.Object, profile resource.Profile) (any, error) {
	value, found := sent.Take("members")
	for name, inner := range sent.Clone().All() {
		also, rule := any(nil), resource.RuleURNKey
		if under, isObject := inner.(*resource.Object); isObject && groupType.IsCore(name) {
			if _, there := under.Get("members"); !there {
				continue
			}
			also, _ = under.Take("members")
			sent.Set(name, under)
			rule = resource.RuleCoreContainer
		} else if colon := strings.LastIndexByte(name, ':'); colon > 0 && strings.EqualFold(name[colon+1:], "members") && groupType.IsCore(name[:colon]) {
			also = inner
			sent.Delete(name)
		} else {
			continue
		}
		if err := profile.Departs(rule, "members"); err != nil {
			return nil, err
		}
		if found {
			return nil, core.Invalid("members", "they are given twice, once with the URN of their schema").WithCode("invalidSyntax")
		}
		value, found = also, true
	}
	return value, nil
}

// memberError hides which ids of others exist.
func memberError(err error) error {
	if e := core.AsError(err); e.Kind == core.KindInvalid && e.Field == "members" {
		return unknownMember()
	}
	return err
}

func (s *Service) getGroup(r *request) (answer, error) {
	team, err := r.team()
	if err != nil {
		return answer{}, err
	}
	if err := r.precondition(team.Version); err != nil {
		return answer{}, err
	}
	if r.unchanged(team.Version) {
		return answer{status: http.StatusNotModified, header: map[string]string{"ETag": etag(team.Version)}}, nil
	}
	return r.showGroup(http.StatusOK, team)
}

// team is the one the address names, if the connection made it.
func (r *request) team() (directory.Team, error) {
	id, err := r.resourceID("group")
	if err != nil {
		return directory.Team{}, err
	}
	return r.ownTeam(id)
}

func (r *request) ownTeam(id core.ID) (directory.Team, error) {
	team, err := r.Directory.Team(r.Context(), r.DB, r.connection.Workspace, id)
	if core.KindOf(err) == core.KindNotFound || err == nil && team.Connection != r.connection.ID {
		return directory.Team{}, core.NotFound("group")
	}
	return team, err
}

// replaceGroup is PUT: Okta's app from the wizard sends the whole group with every change. Members
// that are not mentioned are gone.
func (s *Service) replaceGroup(r *request) (answer, error) {
	wanted, members, mentioned, err := r.group()
	if err != nil {
		return answer{}, err
	}
	after, err := r.changeGroup(http.StatusOK, func(team *lifecycle.TeamEdit) error {
		o := wanted.Clone()
		if !mentioned && team.ExternalID != "" {
			o.Set("externalId", team.ExternalID)
		}
		team.Replace = &members
		return writeGroup(&team.Team, o)
	})
	if err != nil {
		return answer{}, err
	}
	return r.showGroup(http.StatusOK, after)
}

// patchGroup answers without a body: a group may be large, and neither Okta nor Entra ID reads it.
func (s *Service) patchGroup(r *request) (answer, error) {
	body, err := r.document()
	if err != nil {
		return answer{}, err
	}
	changes, err := groupType.Changes(body, r.profile)
	if err != nil {
		return answer{}, err
	}
	members := newMembership(r.profile)
	others := changes[:0:0]
	for _, change := range changes {
		if change.Attribute != nil && change.Attribute.Name == "members" {
			err = members.apply(change)
		} else {
			others = append(others, change)
		}
		if err != nil {
			return answer{}, err
		}
	}
	status := http.StatusNoContent
	if r.projection(groupType).Narrowed() {
		status = http.StatusOK
	}
	after, err := r.changeGroup(status, func(team *lifecycle.TeamEdit) error {
		members.edit(team)
		o, err := editableGroup(team.Team)
		if err != nil {
			return err
		}
		if err := groupType.Patch(o, others, r.profile); err != nil {
			return err
		}
		return writeGroup(&team.Team, o)
	})
	if err != nil {
		return answer{}, err
	}
	if status == http.StatusOK {
		return r.showGroup(status, after)
	}
	return answer{status: status, header: map[string]string{"ETag": etag(after.Version)}}, nil
}

func (r *request) changeGroup(status int, edit func(*lifecycle.TeamEdit) error) (directory.Team, error) {
	id, err := r.resourceID("group")
	if err != nil {
		return directory.Team{}, err
	}
	after, err := r.recording(status).ChangeTeam(r.Context(), r.cause, r.connection.Workspace, id, func(team *lifecycle.TeamEdit) error {
		if team.Connection != r.connection.ID {
			return core.NotFound("group")
		}
		if err := r.precondition(team.Version); err != nil {
			return err
		}
		return edit(team)
	})
	if core.KindOf(err) == core.KindNotFound {
		return directory.Team{}, core.NotFound("group")
	}
	if err != nil {
		return directory.Team{}, memberError(err)
	}
	return after, nil
}

func (s *Service) deleteGroup(r *request) (answer, error) {
	id, err := r.resourceID("group")
	if err != nil {
		return answer{}, err
	}
	err = r.recording(http.StatusNoContent).DeleteTeam(r.Context(), r.cause, r.connection.Workspace, id, func(team directory.Team) error {
		if team.Connection != r.connection.ID {
			return core.NotFound("group")
		}
		return r.precondition(team.Version)
	})
	if core.KindOf(err) == core.KindNotFound {
		return answer{}, core.NotFound("group")
	}
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// showGroup answers with a group.
func (r *request) showGroup(status int, team directory.Team) (answer, error) {
	projection := r.projection(groupType)
	o, err := r.fullGroup(team, projection)
	if err != nil {
		return answer{}, err
	}
	return answer{
		status: status, body: projection.Apply(o).Append(make([]byte, 0, 1024)),
		header: r.headers(groupType, team.ID, team.Version, status),
	}, nil
}
