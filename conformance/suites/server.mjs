// Serves SCIM with scimmy and scimmy-routers over maps in memory, and prints its address.
//
//     SUITES=folder node server.mjs
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import { join } from "node:path";

const require = createRequire(join(process.env.SUITES, "node_modules", "x.js"));
const express = require("express");
const { default: SCIMMY = require("scimmy") } = require("scimmy");
const routers = require("scimmy-routers");
const SCIMMYRouters = routers.default ?? routers;

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser);
for (const [type, unique] of [[SCIMMY.Resources.User, "userName"], [SCIMMY.Resources.Group, "displayName"]]) {
  const rows = new Map();
  SCIMMY.Resources.declare(type)
    .ingress((resource, data) => {
      const { id = randomUUID() } = resource;
      if (resource.id && !rows.has(id)) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
      for (const [other, row] of rows) {
        if (other !== id && row[unique].toLowerCase() === data[unique].toLowerCase()) throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} is taken`);
      }
      const now = new Date().toISOString();
      const row = { ...JSON.parse(JSON.stringify(data)), id, meta: { created: rows.get(id)?.meta.created ?? now, lastModified: now } };
      rows.set(id, row);
      return row;
    })
    .egress((resource) => {
      if (!resource.id) return resource.filter ? resource.filter.match([...rows.values()]) : [...rows.values()];
      if (!rows.has(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
      return rows.get(resource.id);
    })
    .degress((resource) => {
      if (!rows.delete(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
    });
}
SCIMMY.Config.set({ patch: true, filter: true, sort: true, bulk: true });

const app = express();
app.use("/scim/v2", new SCIMMYRouters({
  type: "bearer",
  handler: (request) => {
    if (request.header("Authorization") !== "Bearer secret") throw new Error("not authorized");
    return "somebody";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/scim/v2`));
