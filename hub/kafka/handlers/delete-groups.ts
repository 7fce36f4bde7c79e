/** DeleteGroups: empty groups only, together with their committed offsets. */
import { distinct, handler, inTurn, wireCode } from "../handler.ts";
import { deleteGroupsApi } from "../schemas/groups.ts";

export const deleteGroups = handler(deleteGroupsApi, async ({ groupsNames }, { groups }) => ({
  results: await inTurn(distinct(groupsNames, String), async (groupId) => ({
    groupId,
    errorCode: wireCode(await groups.delete(groupId)),
  })),
}));
