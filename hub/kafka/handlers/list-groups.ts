/** ListGroups: all of them, or those in given states and of given types. */
import { handler, NO_ERROR } from "../handler.ts";
import { listGroupsApi } from "../schemas/groups.ts";

/** The only type: groups of the newer protocol (KIP-848) do not exist here. */
const GROUP_TYPE = "classic";

export const listGroups = handler(listGroupsApi, ({ statesFilter, typesFilter }, { groups }) => {
  const states = new Set(statesFilter.map((each) => each.toLowerCase()));
  const types = new Set(typesFilter.map((each) => each.toLowerCase()));
  const listed = types.size === 0 || types.has(GROUP_TYPE) ? groups.list() : [];
  return {
    errorCode: NO_ERROR,
    groups: listed
      .filter(({ state }) => states.size === 0 || states.has(state.toLowerCase()))
      .map(({ group, protocolType, state }) => ({
        groupId: group,
        protocolType,
        groupState: state,
        groupType: GROUP_TYPE,
      })),
  };
});
