// Applies PATCH requests with two other engines. Each line of the input is {"document", "operations"}; each
// line of the output is {"scim-patch", "scimmy"}: the document afterwards, or {"error"}.
const readline = require("node:readline");
const { scimPatch } = require("scim-patch");
const { default: loaded, ...named } = require("scimmy");
const SCIMMY = loaded ?? named;

SCIMMY.Resources.declare(SCIMMY.Resources.User).extend(SCIMMY.Schemas.EnterpriseUser, false);
SCIMMY.Schemas.User.definition.extend?.(SCIMMY.Schemas.EnterpriseUser.definition, false);

const schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
const copy = (value) => JSON.parse(JSON.stringify(value));

async function byScimmy(document, operations) {
    const message = new SCIMMY.Messages.PatchOp({ schemas, Operations: operations });
    const before = new SCIMMY.Schemas.User(document, "in");
    const after = await message.apply(before, (changed) => changed);
    return after ?? before;
}

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const { document, operations } = JSON.parse(line);
        const answer = {};
        try {
            answer["scim-patch"] = copy(scimPatch(copy(document), copy(operations)));
        } catch (fault) {
            answer["scim-patch"] = { error: String(fault.scimCode ?? fault.message) };
        }
        try {
            answer.scimmy = copy(await byScimmy(copy(document), copy(operations)));
        } catch (fault) {
            answer.scimmy = { error: String(fault.scimType ?? fault.message) };
        }
        console.log(JSON.stringify(answer));
    }
})();
