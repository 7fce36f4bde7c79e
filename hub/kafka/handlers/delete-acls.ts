/** DeleteAcls: refused filter by filter, with the place where rules are unmade. */
import { handler } from "../handler.ts";
import { refuseAclChange } from "../refuse-acl-change.ts";
import { deleteAclsApi } from "../schemas/acls.ts";

export const deleteAcls = handler(deleteAclsApi, ({ filters }, context) => {
  const { wire, message } = refuseAclChange(context);
  return { filterResults: filters.map(() => ({ errorCode: wire, errorMessage: message, matchingAcls: [] })) };
});
