import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ConfigFile } from "../../../../shared/config/config-file.ts";

const text = `# A gateway
mqtt:
  listen: 127.0.0.1:1883
routes:
  - match: a/+
    topic: a
  - match: b/+
`;

suite("config file", () => {
  const file = ConfigFile.parse("agent.yaml", text);

  test("a key stands where its name begins", () => {
    assert.deepEqual(file.positionOf(["mqtt"]), { line: 2, column: 1 });
    assert.deepEqual(file.positionOf(["mqtt", "listen"]), { line: 3, column: 3 });
    assert.deepEqual(file.positionOf(["routes", 1, "match"]), { line: 7, column: 5 });
  });

  test("what is missing stands where it would have to be added", () => {
    assert.deepEqual(file.positionOf(["routes", 1, "topic"]), { line: 7, column: 5 });
    assert.deepEqual(file.positionOf(["mqtt", "insecure"]), { line: 2, column: 1 });
    assert.equal(file.positionOf(["uplink", "hub"]), undefined);
  });

  test("every mistake in the YAML itself is there with its place", () => {
    const broken = ConfigFile.parse("agent.yaml", 'a: "x\nb: 1\na: 2\n c: [\n');
    assert.ok(broken.problems.length > 0);
    for (const { source, line } of broken.problems) {
      assert.equal(source, "agent.yaml");
      assert.ok(line !== undefined);
    }
    assert.equal(broken.values, undefined);
  });

  test("a key given twice is a mistake, not the last one wins", () => {
    const [problem] = ConfigFile.parse("agent.yaml", "mqtt: {}\nlogLevel: info\nmqtt: {}\n").problems;
    assert.match(problem?.text ?? "", /unique/);
    assert.equal(problem?.line, 3);
  });
});
