/** What CreateAcls and DeleteAcls have in common: rules are kept in the hub's configuration and change only there. */
import { StreamError } from "../../shared/errors.ts";
import { clusterRefused, mayCluster } from "../access/authorize.ts";
import type { RequestContext } from "./handler.ts";

export function refuseAclChange(context: Pick<RequestContext, "authorizer" | "peer">): StreamError {
  if (!context.authorizer.isEnabled) return new StreamError("SECURITY_DISABLED", "the hub has no users");
  if (!mayCluster(context, "alter")) return clusterRefused(context, "alter");
  return new StreamError(
    "POLICY_VIOLATION",
    "access control lists are in users[].acls of the hub's configuration: change them there and restart the hub",
  );
}
