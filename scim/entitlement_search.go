package scim

import "postern/core/directory"

// What people hold, as their resources show it, for filters and orders: accounts.Held as a list of each
// kind. Whoever holds nothing has no list.
const (
	heldUsage = `(select jsonb_agg(jsonb_build_object('value', g.account_id || '-collaborator', 'display', 'Use ' || p.name || ' (' || a.username || ')',
	'type', 'Entitlement') order by a.created, a.id)` + heldFrom + `'collaborator')`
	heldOwnership = `(select jsonb_agg(jsonb_build_object('value', g.account_id || '-owner', 'display', 'Own ' || p.name || ' (' || a.username || ')',
	'type', 'Role') order by a.created, a.id)` + heldFrom + `'owner')`
	heldFrom = `
	from grants g
	join accounts a on a.workspace_id = g.workspace_id and a.id = g.account_id
	join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
	where g.workspace_id = @workspace and g.user_id = users.id and g.revoked is null and (g.expires is null or g.expires > now()) and g.role = `
)

// held is where a search finds what people hold of this kind.
func (g grantable) held() directory.Name {
	if g.attribute == usage.attribute {
		return directory.Name{Text: g.attribute, From: heldUsage}
	}
	return directory.Name{Text: g.attribute, From: heldOwnership}
}
