package replay

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// seedBatch bounds the rows written in one transaction.
const seedBatch = 500

// seed makes what the entries refer to and do not make: it is older than the journal. It is made as it
// is now, under its own id, since nobody knows any more how it was; who has been deleted since was
// there then. A group comes with its members.
func (p *player) seed(ctx context.Context) error {
	there, err := read(ctx, p.live, p.workspace, p.connection.ID, slices.Collect(maps.Keys(p.mentions)))
	if err != nil {
		return err
	}
	var missing []core.ID
	for member := range there.members {
		if _, found := there.people[member.User]; !found && !p.made[member.User] {
			p.mentions[member.User] = true
			missing = append(missing, member.User)
		}
	}
	others, err := read(ctx, p.live, p.workspace, p.connection.ID, missing)
	if err != nil {
		return err
	}
	maps.Copy(there.people, others.people)
	maps.DeleteFunc(there.people, func(id core.ID, one person) bool { return one.Deleted && p.absent[id] })
	maps.DeleteFunc(there.groups, func(id core.ID, one group) bool { return one.Deleted && p.absent[id] })
	if !p.first.IsZero() {
		p.scratch.at.Store(&p.first)
	}
	people := both(there.people, nil)
	for batch := range slices.Chunk(people, seedBatch) {
		if err := p.seedPeople(ctx, there, batch); err != nil {
			return err
		}
	}
	members := map[core.ID][]core.ID{}
	for member := range there.members {
		if _, found := there.people[member.User]; found {
			members[member.Group] = append(members[member.Group], member.User)
		}
	}
	for _, id := range both(there.groups, nil) {
		if err := p.seedGroup(ctx, there.groups[id], members[id]); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) seedPeople(ctx context.Context, there state, batch []core.ID) error {
	var seeded []Seeded
	err := p.scratch.db.Tx(ctx, func(tx pgx.Tx) error {
		seeded = nil
		for _, id := range batch {
			one := there.people[id]
			outcome := Seeded{Kind: "user", ID: id, Name: one.UserName}
			err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error { // a savepoint: one that collides is passed over
				_, err := p.scratch.directory.InsertUser(ctx, inner, directory.User{
					ID: id, Workspace: p.scratch.workspace, Connection: p.scratch.connection.ID, UserName: one.UserName, ExternalID: one.ExternalID,
					DisplayName: one.DisplayName, GivenName: one.GivenName, FamilyName: one.FamilyName, Email: one.Email,
					Active: one.Active || one.Deleted, Role: directory.Role(one.Role), Attributes: one.Attributes,
				})
				return err
			})
			if err != nil && core.KindOf(err) != core.KindConflict {
				return err
			}
			if err != nil {
				outcome.Reason = "not taken: somebody else has the name by now"
			}
			seeded = append(seeded, outcome)
		}
		return nil
	})
	p.report.Seeded = append(p.report.Seeded, seeded...)
	return err
}

func (p *player) seedGroup(ctx context.Context, one group, members []core.ID) error {
	id := one.ID
	outcome := Seeded{Kind: "group", ID: id, Name: one.DisplayName}
	slices.SortFunc(members, func(a, b core.ID) int { return bytes.Compare(a[:], b[:]) })
	err := p.scratch.db.Tx(ctx, func(tx pgx.Tx) error {
		made, err := p.scratch.directory.InsertTeam(ctx, tx, directory.Team{
			ID: id, Workspace: p.scratch.workspace, Connection: p.scratch.connection.ID, DisplayName: one.DisplayName, ExternalID: one.ExternalID,
			Attributes: one.Attributes,
		})
		if err != nil {
			return err
		}
		_, err = p.scratch.directory.AddMembers(ctx, tx, made.Workspace, made.ID, members)
		return err
	})
	if core.KindOf(err) == core.KindConflict && err != nil {
		outcome.Reason, err = "not taken: another group has the name by now", nil
	}
	p.report.Seeded = append(p.report.Seeded, outcome)
	return err
}
