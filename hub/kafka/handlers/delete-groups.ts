/** DeleteGroups: empty groups only, together with their committed offsets. */
import { mayGroup } from "../../access/authorize.ts";
import { distinct, handler, inTurn, wireCode } from "../handler.ts";
import { deleteGroupsApi } from "../schemas/groups.ts";

export const deleteGroups = handler(deleteGroupsApi, async ({ groupsNames }, context) => ({
  results: await inTurn(distinct(groupsNames, String), async (groupId) => ({
    groupId,
    errorCode: wireCode(
      mayGroup(context, "delete", groupId) ? await context.groups.delete(groupId) : "GROUP_AUTHORIZATION_FAILED",
    ),
  })),
}));
