/** ListGroups: all of them, or those in given states and of given types. */
import { mayCluster, mayGroup } from "../../access/authorize.ts";
import { handler, NO_ERROR } from "../handler.ts";
import { listGroupsApi } from "../schemas/groups.ts";

export const listGroups = handler(listGroupsApi, ({ statesFilter, typesFilter }, context) => {
  const { groups } = context;
  const seesAll = mayCluster(context, "describe");
  const states = new Set(statesFilter.map((each) => each.toLowerCase()));
  const types = new Set(typesFilter.map((each) => each.toLowerCase()));
  return {
    errorCode: NO_ERROR,
    groups: groups
      .list()
      .filter(({ type }) => types.size === 0 || types.has(type))
      .filter(({ group }) => seesAll || mayGroup(context, "describe", group))
      .filter(({ state }) => states.size === 0 || states.has(state.toLowerCase()))
      .map(({ group, type, protocolType, state }) => ({
        groupId: group,
        protocolType,
        groupState: state,
        groupType: type,
      })),
  };
});
