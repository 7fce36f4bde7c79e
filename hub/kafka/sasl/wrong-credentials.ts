/** One error for an unknown user and a wrong password, whatever the mechanism: nobody learns which it was. */
import { StreamError } from "../../../shared/errors.ts";

export function wrongCredentials(): StreamError {
  return new StreamError("SASL_AUTHENTICATION_FAILED", "user name or password is wrong");
}
