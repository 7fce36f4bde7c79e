/** Users with passwords for tests. */
import { randomBytes } from "node:crypto";
import type { Acl } from "../../hub/access/acl.ts";
import { ITERATIONS_MIN, deriveCredential, scramMechanismNames } from "../../hub/access/scram-credential.ts";
import { UserDirectory } from "../../hub/access/user-directory.ts";
import type { User } from "../../hub/access/user-directory.ts";

export async function testUser(
  name: string,
  password: string,
  { acls = [], isSuperuser = true }: { acls?: readonly Acl[]; isSuperuser?: boolean } = {},
): Promise<User> {
  const credentials = await Promise.all(
    scramMechanismNames.map((mechanism) =>
      deriveCredential({ mechanism, password, salt: randomBytes(16), iterations: ITERATIONS_MIN }),
    ),
  );
  return { name, isSuperuser, acls, credentials };
}

/** All of them superusers. */
export async function testDirectory(passwords: Readonly<Record<string, string>>): Promise<UserDirectory> {
  return new UserDirectory(await Promise.all(Object.entries(passwords).map((pair) => testUser(...pair))));
}
