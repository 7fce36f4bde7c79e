/** Every API of the schema files, for tests that go over all of them. */
import type { Api, Shape } from "../../hub/kafka/schema.ts";
import * as acls from "../../hub/kafka/schemas/acls.ts";
import * as cluster from "../../hub/kafka/schemas/cluster.ts";
import * as groups from "../../hub/kafka/schemas/groups.ts";
import * as logDirs from "../../hub/kafka/schemas/log-dirs.ts";
import * as records from "../../hub/kafka/schemas/records.ts";
import * as sasl from "../../hub/kafka/schemas/sasl.ts";
import * as topics from "../../hub/kafka/schemas/topics.ts";
import * as transactions from "../../hub/kafka/schemas/transactions.ts";

export const allApis: readonly Api<Shape, Shape>[] = [
  ...[acls, cluster, groups, logDirs, records, sasl, topics, transactions],
]
  .flatMap((module) => Object.values(module) as (Api<Shape, Shape> | number)[])
  .filter((each) => typeof each !== "number");
