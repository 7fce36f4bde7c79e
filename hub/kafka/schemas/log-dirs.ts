/** What the hub's disk holds. */
import { api, array, boolean, int16, int32, int64, string, structs } from "../schema.ts";

export const describeLogDirsApi = api({
  key: 35,
  name: "DescribeLogDirs",
  note: "one directory; sizes are those of the stored batches",
  versions: [1, 4],
  flexibleFrom: 2,
  request: { topics: structs({ topic: string, partitions: array(int32) }).nullable() },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16.from(3).or(0),
    results: structs({
      errorCode: int16,
      logDir: string,
      topics: structs({
        name: string,
        partitions: structs({
          partitionIndex: int32,
          partitionSize: int64,
          offsetLag: int64.or(0),
          isFutureKey: boolean.or(false),
        }),
      }),
      totalBytes: int64.from(4).or(-1),
      usableBytes: int64.from(4).or(-1),
    }),
  },
});
