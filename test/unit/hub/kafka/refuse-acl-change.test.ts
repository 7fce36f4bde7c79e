/** CreateAcls and DeleteAcls: rules are made in the configuration only, and the answer says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { aclAuthorizer } from "../../../../hub/access/acl-authorizer.ts";
import type { Operation } from "../../../../hub/access/authorizer.ts";
import { createAclsApi, deleteAclsApi } from "../../../../hub/kafka/schemas/acls.ts";
import { ask, kafkaServices, testPeer } from "../../../support/kafka-hub.ts";

const creation = {
  resourceType: 2,
  resourceName: "t",
  resourcePatternType: 3,
  principal: "User:bob",
  host: "*",
  operation: 3,
  permissionType: 3,
};
const filter = {
  resourceTypeFilter: 1,
  resourceNameFilter: null,
  patternTypeFilter: 1,
  principalFilter: null,
  hostFilter: null,
  operation: 1,
  permissionType: 1,
};

/** Error code and message for each of two creations, and of two filters. */
async function refusals(operations: readonly Operation[] | undefined, version: number) {
  const services = kafkaServices();
  const acls = operations && [{ resource: "cluster", name: "*", pattern: "literal", operations } as const];
  const authorizer = acls && aclAuthorizer([{ name: "alice", isSuperuser: false, acls }]);
  const context = authorizer === undefined ? services : { ...services, authorizer };
  const peer = { ...testPeer(), principal: { name: "alice" } };
  const creating = { api: createAclsApi, version, request: { creations: [creation, creation] } };
  const deleting = { api: deleteAclsApi, version, request: { filters: [filter, filter] } };
  const created = (await ask(context, creating, peer))?.results ?? [];
  const deleted = (await ask(context, deleting, peer))?.filterResults ?? [];
  assert.ok(deleted.every(({ matchingAcls }) => matchingAcls.length === 0));
  return [...created, ...deleted].map(({ errorCode, errorMessage }) => ({ errorCode, errorMessage }));
}

for (const version of [1, 2, 3]) {
  test(`v${version}: without users there is no security to change (54)`, async () => {
    const answers = await refusals(undefined, version);
    assert.deepEqual(
      answers.map(({ errorCode }) => errorCode),
      [54, 54, 54, 54],
    );
  });

  test(`v${version}: who may not alter the cluster is refused as such (31)`, async () => {
    const answers = await refusals(["describe"], version);
    assert.deepEqual(
      answers.map(({ errorCode }) => errorCode),
      [31, 31, 31, 31],
    );
  });

  test(`v${version}: who may is told where rules are made (44)`, async () => {
    const answers = await refusals(["alter"], version);
    assert.equal(answers.length, 4);
    for (const { errorCode, errorMessage } of answers) {
      assert.equal(errorCode, 44);
      assert.match(errorMessage ?? "", /users\[\]\.acls of the hub's configuration/);
    }
  });
}
