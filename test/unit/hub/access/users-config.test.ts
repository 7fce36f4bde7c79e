import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as z from "zod";
import { formatCredential } from "../../../../hub/access/scram-credential.ts";
import { userNameProblem, usersOf, usersSection } from "../../../../hub/access/users-config.ts";
import { operations } from "../../../../hub/access/authorizer.ts";
import { findingsOf } from "../../../../shared/config/config-problem.ts";
import { schemaNode } from "../../../../shared/config/config-rows.ts";
import { testUser } from "../../../support/test-users.ts";

const { credentials } = await testUser("alice", "pencil");
const texts = credentials.map(formatCredential);
const alice = { name: "alice", credentials: texts };
const section = usersSection();

const problemsOf = (users: unknown): string[] =>
  (section.safeParse(users).error?.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`);

suite("users in the configuration", () => {
  test("without any, there are none", () => {
    assert.deepEqual(usersOf(section.parse(undefined)), []);
  });

  test("credentials and rules arrive at the hub; who says nothing else may do nothing", () => {
    const [found] = usersOf(section.parse([alice]));
    assert.deepEqual(found, { name: "alice", isSuperuser: false, acls: [], credentials });
  });

  test("rules are about a topic, a group or the hub; literal unless said otherwise", () => {
    const acls = [
      { topic: "sensors-", pattern: "prefixed", operations: ["read", "describe"] },
      { group: "*", operations: ["all"] },
      { cluster: true, operations: ["describe"] },
    ];
    const [found] = usersOf(section.parse([{ ...alice, superuser: true, acls }]));
    assert.equal(found?.isSuperuser, true);
    assert.deepEqual(found?.acls, [
      { resource: "topic", name: "sensors-", pattern: "prefixed", operations: ["read", "describe"] },
      { resource: "group", name: "*", pattern: "literal", operations },
      { resource: "cluster", name: "", pattern: "literal", operations: ["describe"] },
    ]);
  });

  test("all operations are a bare word, or a word in the list", () => {
    for (const all of ["all", ["all"], ["read", "all"]]) {
      const [found] = usersOf(section.parse([{ ...alice, acls: [{ topic: "t", operations: all }] }]));
      assert.deepEqual(found?.acls, [{ resource: "topic", name: "t", pattern: "literal", operations }]);
    }
  });

  test("a mistake in the operations is answered with both forms", () => {
    const acls = [{ topic: "t", operations: ["peek"] }];
    const issues = section.safeParse([{ ...alice, acls }]).error?.issues ?? [];
    const findings = issues.flatMap((issue) => findingsOf(issue, schemaNode(section), [{ ...alice, acls }]));
    assert.match(findings[0]?.text ?? "", /^found \["peek"\], allowed is all, or a list of /);
  });

  for (const [what, users, problem] of [
    ["two users of one name", [alice, alice], /^1\.name: alice is there twice/],
    ["a user without a name", [{ credentials: texts }], /^0\.name/],
    ["a user without credentials", [{ name: "alice", credentials: [] }], /^0\.credentials/],
    [
      "a credential that cannot be read",
      [{ ...alice, credentials: ["pencil"] }],
      /^0\.credentials\.0: the credential cannot/,
    ],
    [
      "two credentials of one mechanism",
      [{ ...alice, credentials: [texts[0], texts[0]] }],
      /two credentials for one mech/,
    ],
    ["a rule about nothing", [{ ...alice, acls: [{ operations: ["read"] }] }], /^0\.acls\.0: has to name one of/],
    [
      "a rule about two things",
      [{ ...alice, acls: [{ topic: "t", group: "g", operations: ["read"] }] }],
      /^0\.acls\.0: has to name one of/,
    ],
    [
      "a prefix of the cluster",
      [{ ...alice, acls: [{ cluster: true, pattern: "prefixed", operations: ["all"] }] }],
      /^0\.acls\.0\.pattern/,
    ],
    ["cluster: false", [{ ...alice, acls: [{ cluster: false, operations: ["all"] }] }], /^0\.acls\.0\.cluster/],
    ["an empty topic", [{ ...alice, acls: [{ topic: "", operations: ["read"] }] }], /^0\.acls\.0\.topic/],
    ["an unknown operation", [{ ...alice, acls: [{ topic: "t", operations: ["peek"] }] }], /^0\.acls\.0\.operations:/],
    [
      "a bare word other than all",
      [{ ...alice, acls: [{ topic: "t", operations: "read" }] }],
      /^0\.acls\.0\.operations:/,
    ],
    ["no operation", [{ ...alice, acls: [{ topic: "t", operations: [] }] }], /^0\.acls\.0\.operations/],
    ["an unknown key", [{ ...alice, password: "pencil" }], /password/],
  ] as const) {
    test(`${what} is refused`, () => {
      const problems = problemsOf(users);
      assert.match(problems[0] ?? "nothing was found", problem);
      assert.equal(problems.length, 1);
    });
  }

  test("names are plain, and nobody is called what stands for nobody", () => {
    for (const name of ["telegraf", "a.b_c-d@e+f", "Service/reader:1", "пользователь"]) {
      assert.equal(userNameProblem(name), undefined, name);
    }
    for (const name of ["", "a b", "a,b", "a=b", "*", "a\n", "ANONYMOUS", "a".repeat(250), "\ufb01", "e\u0301"]) {
      assert.notEqual(userNameProblem(name), undefined, name);
    }
  });

  test("the section has a JSON schema, of which the documentation is made", () => {
    assert.equal(z.toJSONSchema(section, { io: "input" }).type, "array");
  });
});
