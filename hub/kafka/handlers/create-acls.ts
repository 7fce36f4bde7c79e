/** CreateAcls: refused rule by rule, with the place where rules are made. */
import { handler } from "../handler.ts";
import { refuseAclChange } from "../refuse-acl-change.ts";
import { createAclsApi } from "../schemas/acls.ts";

export const createAcls = handler(createAclsApi, ({ creations }, context) => {
  const { wire, message } = refuseAclChange(context);
  return { results: creations.map(() => ({ errorCode: wire, errorMessage: message })) };
});
