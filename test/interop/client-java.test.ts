import { javaClientVersions, javaDriver } from "../support/java.ts";
import { clientSuite } from "./features/client-suite.ts";

for (const version of javaClientVersions) clientSuite(`Java ${version}`, () => javaDriver(version));
