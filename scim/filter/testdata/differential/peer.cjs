// Reads a filter per line as a JSON string, and writes what scim2-parse-filter makes of it, or its error.
const { parse } = require("scim2-parse-filter");
const lines = require("fs").readFileSync(0, "utf8").trim().split("\n");
for (const line of lines) {
  try {
    console.log(JSON.stringify({ read: parse(JSON.parse(line)) }));
  } catch (error) {
    console.log(JSON.stringify({ refused: String(error.message || error) }));
  }
}
