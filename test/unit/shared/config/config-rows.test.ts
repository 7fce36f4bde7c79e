import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as z from "zod";
import { agentSchema } from "../../../../agent/config.ts";
import { hubSchema } from "../../../../hub/config.ts";
import {
  configRows,
  describeAllowed,
  formatPath,
  nodeAt,
  schemaNode,
  variableName,
} from "../../../../shared/config/config-rows.ts";

const allowed = (schema: z.ZodType): string => describeAllowed(schemaNode(schema));

suite("config rows", () => {
  test("what is allowed is said in words", () => {
    assert.equal(allowed(z.int().min(1).max(64)), "a whole number from 1 to 64");
    assert.equal(allowed(z.int().min(1)), "a whole number, 1 or more");
    assert.equal(allowed(z.number()), "a number");
    assert.equal(allowed(z.union([z.int().min(1), z.literal(-1)])), "a whole number, 1 or more or -1");
    assert.equal(allowed(z.enum(["none", "all"])), "one of none, all");
    assert.equal(allowed(z.boolean()), "true or false");
    assert.equal(allowed(z.string()), "text");
    assert.equal(allowed(z.string().min(1)), "text that is not empty");
    assert.equal(allowed(z.string().meta({ allowed: "a name" })), "a name");
  });

  test("a key inside a list has no variable, for the list is set as a whole", () => {
    const rows = configRows(schemaNode(agentSchema));
    assert.equal(rows.find(({ path }) => path === "routes")?.variable, "TRIBUTARY_ROUTES");
    assert.equal(rows.find(({ path }) => path === "routes[].match")?.variable, undefined);
  });

  test("the schema at a path is found through lists and maps", () => {
    const root = schemaNode(agentSchema);
    assert.equal(nodeAt(root, ["routes", 3, "headers", "site"])?.type, "string");
    assert.equal(nodeAt(root, ["mqtt", "limits", "packetBytesMax"])?.type, "integer");
    assert.equal(nodeAt(root, ["mqtt", "nothing"]), undefined);
  });

  test("a path is written as people write it", () => {
    assert.equal(formatPath(["routes", 0, "headers", "site"]), "routes[0].headers.site");
    assert.equal(variableName(["mqtt", "webSocketListen"]), "TRIBUTARY_MQTT_WEB_SOCKET_LISTEN");
  });

  for (const [program, schema] of [
    ["agent", agentSchema],
    ["hub", hubSchema],
  ] as const) {
    test(`${program}: every key says what it is for, and no two share a variable`, () => {
      const rows = configRows(schemaNode(schema));
      const undescribed = rows.filter(({ description }) => !/[.!]$/.test(description)).map(({ path }) => path);
      assert.deepEqual(undescribed, []);
      const variables = rows.flatMap(({ variable }) => variable ?? []);
      assert.equal(new Set(variables).size, variables.length);
    });
  }
});
