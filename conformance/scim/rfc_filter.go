package scim

import (
	"net/http"
	"strings"
)

// filterCase is a filter on one user, whose values stand in braces.
type filterCase struct {
	name, title, filter string
	match               bool
	enterprise          bool
}

// filterCases are asked of a user with the attributes of filterUser.
var filterCases = []filterCase{
	{name: "eq", title: "eq finds", filter: `userName eq "{name}"`, match: true},
	{name: "eq-other", title: "eq does not find another value", filter: `userName eq "{name}x"`},
	{name: "eq-case", title: "userName is compared without regard to case", filter: `userName eq "{NAME}"`, match: true},
	{name: "names-case", title: "Attribute names and operators are read without regard to case", filter: `USERNAME EQ "{name}"`, match: true},
	{name: "ne", title: "ne leaves out", filter: `{me} and displayName ne "{display}"`},
	{name: "ne-other", title: "ne finds another value", filter: `{me} and displayName ne "somebody else"`, match: true},
	{name: "co", title: "co finds a part", filter: `{me} and displayName co "ind m"`, match: true},
	{name: "co-other", title: "co does not find what is not in it", filter: `{me} and displayName co "zzz"`},
	{name: "co-wildcard", title: "% and _ are letters like others", filter: `{me} and displayName co "F%m"`},
	{name: "sw", title: "sw finds a beginning", filter: `{me} and displayName sw "Find"`, match: true},
	{name: "sw-other", title: "sw does not find a part", filter: `{me} and displayName sw "ind me"`},
	{name: "ew", title: "ew finds an end", filter: `userName ew "{end}"`, match: true},
	{name: "pr", title: "pr finds what has a value", filter: `{me} and title pr`, match: true},
	{name: "pr-absent", title: "pr does not find what has none", filter: `{me} and nickName pr`},
	{name: "gt-time", title: "gt compares times", filter: `{me} and meta.created gt "2011-05-13T04:42:34Z"`, match: true},
	{name: "lt-time", title: "lt compares times", filter: `{me} and meta.lastModified lt "2011-05-13T04:42:34Z"`},
	{name: "ge-text", title: "ge compares text", filter: `{me} and name.familyName ge "Jensen"`, match: true},
	{name: "gt-text", title: "gt leaves out the same text", filter: `{me} and name.familyName gt "Jensen"`},
	{name: "le-text", title: "le compares text", filter: `{me} and name.familyName le "Jensen"`, match: true},
	{name: "boolean", title: "A boolean is compared with true", filter: `{me} and active eq true`, match: true},
	{name: "boolean-other", title: "A boolean is compared with false", filter: `{me} and active eq false`},
	{name: "or", title: "or finds either", filter: `userName eq "nobody" or userName eq "{name}"`, match: true},
	{name: "precedence", title: "and binds before or", filter: `userName eq "{name}" or title eq "no" and active eq false`, match: true},
	{name: "grouping", title: "Parentheses go first", filter: `(userName eq "{name}" or title eq "no") and active eq false`},
	{name: "not", title: "not turns round", filter: `{me} and not (title eq "Tour Guide")`},
	{name: "not-other", title: "not finds what does not match", filter: `{me} and not (title eq "Boss")`, match: true},
	{name: "sub-attribute", title: "A sub-attribute is named with a dot", filter: `{me} and name.familyName eq "JENSEN"`, match: true},
	{name: "multi-valued", title: "Any value of a multi-valued attribute may match", filter: `emails.value eq "{home}"`, match: true},
	{name: "multi-valued-whole", title: "A multi-valued attribute without a sub-attribute stands for its value", filter: `{me} and emails co "home.example.org"`, match: true},
	{name: "value-path", title: "A value path asks one value for all conditions", filter: `{me} and emails[type eq "home" and value eq "{home}"]`, match: true},
	{name: "value-path-one", title: "Conditions of a value path meet in one value", filter: `{me} and emails[type eq "work" and value eq "{home}"]`},
	{name: "value-path-not", title: "A value path takes not and or", filter: `{me} and emails[not (type eq "work") and (value co "home" or value co "zzz")]`, match: true},
	{name: "urn", title: "Attributes are named with their URN as well", filter: userSchema + `:userName eq "{name}"`, match: true},
	{name: "id", title: "id can be filtered on", filter: `id eq "{id}"`, match: true},
	{name: "external-id", title: "externalId can be filtered on", filter: `externalId eq "{external}"`, match: true},
	{name: "external-id-case", title: "externalId is case-exact", filter: `{me} and externalId eq "{EXTERNAL}"`},
	{name: "resource-type", title: "meta.resourceType can be filtered on", filter: `{me} and meta.resourceType eq "User"`, match: true},
	{name: "extension", title: "Attributes of an extension can be filtered on", filter: enterpriseSchema + `:employeeNumber eq "{number}"`, match: true, enterprise: true},
	{name: "extension-core", title: "Core and extension can be in one filter", filter: `{me} and ` + enterpriseSchema + `:department eq "Tours"`, match: true, enterprise: true},
	{name: "extension-other", title: "An extension's attribute of another value does not match", filter: `{me} and ` + enterpriseSchema + `:department eq "Other"`, enterprise: true},
	{name: "escape", title: "JSON escapes in a value are read", filter: `{me} and userName eq "\u0070{rest}"`, match: true},
}

func filterChecks() []Check {
	const source = "RFC 7644 §3.4.2.2"
	var checks []Check
	for _, one := range filterCases {
		checks = append(checks, must("rfc/filter/"+one.name, one.title+": "+one.filter, source, func(p *probe) { p.filterCase(one) }))
	}
	refused := func(name, title, filter string) Check {
		return must("rfc/filter/"+name, title+": "+filter, source, func(p *probe) {
			p.claimed("filter")
			p.get("/Users", "filter", filter).refused("Refuse a filter that cannot be understood with 400 and invalidFilter: one that is ignored gives everybody.", http.StatusBadRequest, "invalidFilter")
		})
	}
	return append(checks,
		refused("unknown-operator", "An unknown operator is refused", `userName like "x"`),
		refused("broken", "A filter that breaks off is refused", `userName eq`),
		refused("parentheses", "A parenthesis too many is refused", `(userName eq "x"`),
		refused("quote", "An open quote is refused", `userName eq "x`),
		refused("trailing", "Words after the end are refused", `userName eq "x" userName`),
		refused("gt-boolean", "Booleans have no order", `active gt true`),
		must("rfc/filter/too-many", "A filter that matches everybody is answered in full, or refused with tooMany", "RFC 7644 §3.4.2.1, §3.12", func(p *probe) {
			p.claimed("filter")
			_, made := p.crowd(3)
			a := p.get("/Users", "filter", `not (userName eq "`+p.name()+`")`, "count", "1")
			if a.status != http.StatusOK {
				a.refused("Refuse what matches more than you return with 400 and tooMany.", http.StatusBadRequest, "tooMany")
			} else if a.list(); a.total() < len(made) {
				a.fail("totalResults of at least "+show(len(made)), show(a.total()), "Count all matches, or refuse with 400 and tooMany: fewer look like all.")
			}
		}),
		must("rfc/filter/group", "Groups are found by displayName", source, func(p *probe) {
			p.claimed("filter")
			group := p.group()
			p.finds("/Groups", `displayName eq "`+group.string("displayName")+`"`, group.id(), true)
			p.finds("/Groups", `displayName eq "`+p.name()+`"`, group.id(), false)
		}),
		must("rfc/filter/members", "Groups are found by a member", source, func(p *probe) {
			p.claimed("filter")
			user := p.user(nil)
			group := p.group(user.id())
			p.finds("/Groups", `members.value eq "`+user.id()+`"`, group.id(), true)
			p.finds("/Groups", `members[value eq "`+user.id()+`"]`, group.id(), true)
			p.finds("/Groups", `members.value eq "`+p.name()+`" and id eq "`+group.id()+`"`, group.id(), false)
		}),
	)
}

func (p *probe) filterCase(one filterCase) {
	p.claimed("filter")
	name, changes := p.name(), object{}
	home, number := name+"@home.example.org", "N"+name
	if one.enterprise {
		p.enterprise()
		changes["schemas"] = list{userSchema, enterpriseSchema}
		changes[enterpriseSchema] = object{"employeeNumber": number, "department": "Tours"}
	}
	changes["userName"], changes["displayName"], changes["title"] = name, "Find me", "Tour Guide"
	changes["externalId"] = "ext-" + name
	changes["emails"] = list{object{"value": name + "@work.example.org", "type": "work", "primary": true}, object{"value": home, "type": "home"}}
	a := p.user(changes)
	filter := strings.NewReplacer(
		"{me}", `userName eq "`+name+`"`, "{name}", name, "{NAME}", upper(name), "{display}", "Find me", "{end}", name[1:], "{rest}", name[1:],
		"{home}", home, "{id}", a.id(), "{external}", "ext-"+name, "{EXTERNAL}", "EXT-"+name, "{number}", number,
	).Replace(one.filter)
	p.finds("/Users", filter, a.id(), one.match)
}

// finds wants a resource among what a filter matches, or not.
func (p *probe) finds(endpoint, filter, id string, match bool) {
	a := p.get(endpoint, "filter", filter)
	resources := a.list()
	found := with(resources, "id", id) != nil
	const advice = "Read the filter as RFC 7644, section 3.4.2.2 says; refuse with invalidFilter what you do not support."
	if found != match {
		a.fail(map[bool]string{true: "a match for ", false: "no match for "}[match]+filter, show(a.total())+" matches, "+map[bool]string{true: "it among them", false: "it not among them"}[found], advice)
	}
	if len(resources) > 0 && a.total() < len(resources) {
		a.fail("totalResults of at least "+show(len(resources)), show(a.total()), "Count all matches.")
	}
}
