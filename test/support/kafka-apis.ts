/** Every API of the schema files, for tests that go over all of them. */
import type { Api, Shape } from "../../hub/kafka/schema.ts";
import * as cluster from "../../hub/kafka/schemas/cluster.ts";
import * as groups from "../../hub/kafka/schemas/groups.ts";
import * as records from "../../hub/kafka/schemas/records.ts";
import * as topics from "../../hub/kafka/schemas/topics.ts";

export const allApis: readonly Api<Shape, Shape>[] = [cluster, groups, records, topics]
  .flatMap((module) => Object.values(module) as (Api<Shape, Shape> | number)[])
  .filter((each) => typeof each !== "number");
