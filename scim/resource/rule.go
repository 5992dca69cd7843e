package resource

import (
	"slices"

	"postern/core"
)

// Rule names one way in which a request departed from the RFCs and was understood all the same.
type Rule string

// The rules. Explain says of each what was sent and how it was read.
const (
	RuleStringBoolean       Rule = "string_boolean"
	RuleNumberForString     Rule = "number_for_string"
	RuleWrappedValue        Rule = "wrapped_value"
	RuleListForOne          Rule = "list_for_one"
	RuleOneForList          Rule = "one_for_list"
	RuleStringForObject     Rule = "string_for_object"
	RuleManagerString       Rule = "manager_string"
	RuleManagerList         Rule = "manager_list"
	RuleNullRemoves         Rule = "null_removes"
	RuleEmptyRemoves        Rule = "empty_removes"
	RuleNullReference       Rule = "null_reference"
	RuleRoleJSON            Rule = "role_json"
	RuleOperationCase       Rule = "operation_case"
	RuleMessageCase         Rule = "message_case"
	RuleMessageSchema       Rule = "message_schema"
	RuleOperationExtra      Rule = "operation_extra"
	RuleEmptyPath           Rule = "empty_path"
	RuleBareValue           Rule = "bare_value"
	RuleStringInFilter      Rule = "string_in_boolean_filter"
	RuleDottedKey           Rule = "dotted_key"
	RuleURNKey              Rule = "urn_key"
	RuleURNSpelling         Rule = "urn_spelling"
	RuleExtensionBare       Rule = "extension_without_urn"
	RuleCoreContainer       Rule = "core_container"
	RuleSchemasMissing      Rule = "schemas_missing"
	RuleSchemaUnknown       Rule = "schema_unknown"
	RuleSchemaUnlisted      Rule = "schema_unlisted"
	RuleUnknownAttribute    Rule = "unknown_attribute"
	RuleReadOnlyIgnored     Rule = "read_only_ignored"
	RulePasswordDropped     Rule = "password_dropped"
	RuleSecondPrimary       Rule = "second_primary"
	RuleReplaceCreates      Rule = "replace_creates"
	RuleAddCreates          Rule = "add_creates"
	RuleRemoveNamesValues   Rule = "remove_names_values"
	RuleRemoveFindsNothing  Rule = "remove_finds_nothing"
	RuleMemberString        Rule = "member_string"
	RuleMemberAlone         Rule = "member_alone"
	RuleMemberReferenceOnly Rule = "member_reference_only"
	RuleMemberDisplayName   Rule = "member_display_name"
	RuleMemberByFilter      Rule = "member_by_filter"
)

// reading is what a rule is about: the scimType a strict profile refuses with, what was sent, and
// how it was read.
type reading struct {
	rule       Rule
	code       string
	sent, read string
}

var readings = []reading{
	{RuleStringBoolean, "invalidValue", "A boolean came as text (\"True\", \"False\")", "it was read as true or false"},
	{RuleNumberForString, "invalidValue", "A number came where the schema has text", "its digits were kept as text"},
	{RuleWrappedValue, "invalidValue", "A plain value came wrapped in an object ({\"value\": …})", "the value inside was taken"},
	{RuleListForOne, "invalidValue", "A list came for an attribute that has one value", "its only element was taken"},
	{RuleOneForList, "invalidValue", "One value came for an attribute that is a list", "it was read as a list of one"},
	{RuleStringForObject, "invalidValue", "Plain text came as an element of a list of objects", "it was read as the element's value"},
	{RuleManagerString, "invalidValue", "The manager came as the id alone", "it was read as {\"value\": id}"},
	{RuleManagerList, "invalidValue", "The manager came as a list", "its only element was taken"},
	{RuleNullRemoves, "invalidValue", "A PATCH set an attribute to null", "the attribute was removed"},
	{RuleEmptyRemoves, "invalidValue", "An attribute was given as \"\" or as an empty list though it has one value", "the attribute was removed"},
	{RuleNullReference, "invalidValue", "A $ref came as null", "it was left out"},
	{RuleRoleJSON, "invalidValue", "A role's value was the text of a JSON object", "its value and displayName were taken as the role's value and display, everything else in it was kept beside them"},
	{RuleOperationCase, "invalidSyntax", "The op of a PATCH was not in lower case (Add, Replace, Remove)", "it was read without regard to case"},
	{RuleMessageCase, "invalidSyntax", "The names of a PATCH message were in another case (operations, Path)", "they were read without regard to case"},
	{RuleMessageSchema, "invalidSyntax", "A PATCH did not name the PatchOp schema, or named others", "it was read as a PatchOp"},
	{RuleOperationExtra, "invalidSyntax", "An operation had more than op, path and value in it", "the rest was passed over"},
	{RuleEmptyPath, "invalidPath", "An operation had an empty path", "it was read as having none"},
	{RuleBareValue, "invalidFilter", "A value in a filter had no quotes, or single ones", "it was read as text"},
	{RuleStringInFilter, "invalidFilter", "A filter compared a boolean with text (primary eq \"True\")", "it was compared with true or false"},
	{RuleDottedKey, "invalidSyntax", "A key was a path (name.givenName, emails[type eq \"work\"].value)", "it was read as the attribute the path leads to"},
	{RuleURNKey, "invalidSyntax", "A key was an attribute with its schema's URN before it", "it was read as that attribute of that schema"},
	{RuleURNSpelling, "invalidSyntax", "A schema's URN came in another spelling or with a colon missing, or was the one of SCIM 1.1", "it was read as the schema it resembles"},
	{RuleExtensionBare, "invalidPath", "An attribute of an extension came without the extension's URN", "it was read as the extension's"},
	{RuleCoreContainer, "invalidSyntax", "Attributes of the core schema stood under its URN", "they were read as if they stood outside"},
	{RuleSchemasMissing, "invalidValue", "schemas did not name the schema of the resource", "the resource was read by that schema all the same"},
	{RuleSchemaUnknown, "invalidValue", "schemas named a schema that is not known here", "it was passed over"},
	{RuleSchemaUnlisted, "invalidValue", "An extension was used without being named in schemas", "it was read all the same"},
	{RuleUnknownAttribute, "invalidSyntax", "An attribute is in none of the schemas", "it was kept, and is returned as it was sent"},
	{RuleReadOnlyIgnored, "mutability", "A PATCH gave a value to an attribute that cannot be changed (id, meta, groups)", "that value was passed over"},
	{RulePasswordDropped, "invalidValue", "A password was sent", "it was dropped: none is ever kept"},
	{RuleSecondPrimary, "invalidValue", "More than one value of an attribute was primary", "the first of them stayed primary"},
	{RuleReplaceCreates, "noTarget", "A replace's filter matched no value", "the value was made"},
	{RuleAddCreates, "noTarget", "An add's filter matched no value", "the value was made; further operations with the same filter change that one"},
	{RuleRemoveNamesValues, "invalidSyntax", "A remove named what to remove in its value, not by a filter in its path", "only the values named were removed"},
	{RuleRemoveFindsNothing, "noTarget", "A remove's filter matched no value", "there was nothing to do"},
	{RuleMemberString, "invalidValue", "A member came as the id alone", "it was read as {\"value\": id}"},
	{RuleMemberAlone, "invalidValue", "One member came without a list around it", "it was read as a list of one"},
	{RuleMemberReferenceOnly, "invalidValue", "A member came with a $ref and no value", "the id was taken from the end of the $ref"},
	{RuleMemberDisplayName, "invalidSyntax", "A member came with attributes that members do not have (displayName)", "they were passed over: a member's name is the user's own"},
	{RuleMemberByFilter, "invalidPath", "A member to add was named by a filter in the path, without a value", "the user whose id the filter asks for was added"},
}

// AllRules is every rule there is.
var AllRules = func() []Rule {
	rules := make([]Rule, len(readings))
	for i, r := range readings {
		rules[i] = r.rule
	}
	return rules
}()

func (r Rule) reading() reading {
	if i := slices.IndexFunc(readings, func(one reading) bool { return one.rule == r }); i >= 0 {
		return readings[i]
	}
	return reading{rule: r, code: "invalidSyntax", sent: "The request departed from the RFCs in a way this version does not know", read: "it was understood"}
}

// Explain says in one sentence, for an administrator, what was sent and how it was read. A rule of
// another version is explained in general terms.
func Explain(rule Rule) string {
	r := rule.reading()
	return r.sent + "; " + r.read + "."
}

// Rules are those that fired while one request was read, and what they tell of its sender. The zero
// value is ready; a nil *Rules takes and keeps none. One request at a time may use it.
type Rules struct {
	fired []Rule
	maker string // whose habits these are, if they are anybody's
}

// Fire notes that a rule was needed.
func (r *Rules) Fire(rule Rule) {
	if r != nil && !slices.Contains(r.fired, rule) {
		r.fired = append(r.fired, rule)
	}
}

// Any reports whether any rule fired.
func (r *Rules) Any() bool { return r != nil && len(r.fired) > 0 }

// List is the rules that fired, each once, in the order in which they first did.
func (r *Rules) List() []Rule {
	if r == nil {
		return nil
	}
	return slices.Clone(r.fired)
}

func (r *Rules) suspect(maker string) {
	if r != nil && r.maker == "" {
		r.maker = maker
	}
}

// refusal is how a strict profile answers what a rule would have read.
func refusal(rule Rule, field, code string) error {
	r := rule.reading()
	if code == "" {
		code = r.code
	}
	return core.Invalid(field, "this connection is read strictly: %s", lowerFirst(r.sent)).WithCode(code)
}

func lowerFirst(text string) string {
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' || len(text) > 1 && text[1] == ' ' {
		return string(text[0]|0x20) + text[1:]
	}
	return text
}
