/**
 * A fetch session (KIP-227): what a consumer has said of its partitions and what it was told about them, so that
 * neither side repeats what has not changed. Pure; fetch-sessions.ts keeps them.
 *
 *   session id, epoch   of a request
 *         0, -1         no session: all partitions in the request, all of them in the answer
 *         n,  0         end session n (0: there is none yet) and open a new one
 *         n, -1         end session n; this fetch is without one
 *         n,  e         in session n: the request brings what changes, the answer what is new; e counts 1, 2, … 2^31-1, 1
 *
 * The order of a session's partitions is the order in which they share an answer's bytes. Those that got some go to its
 * end, so that none starves behind a busy one.
 * Source: Kafka's FetchSession.scala.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import type { Offset, Partition } from "../../shared/ids.ts";

export const INITIAL_EPOCH = 0;
export const FINAL_EPOCH = -1;
const EPOCH_MAX = 2 ** 31 - 1;
/** Nothing has been told yet, or only an error: whatever comes next is new. */
const UNTOLD = -1;

/** A partition as the topics of a request name it: by name up to version 12, by id from 13 on. */
export type NamedPartition = {
  /** The name, or the id as a string of 16 bytes: one string for all partitions of a topic. */
  readonly topicKey: string;
  readonly topic: string;
  readonly topicId: Buffer;
  readonly partition: Partition;
};

export type AskedPartition = NamedPartition & {
  readonly fetchOffset: Offset;
  readonly currentLeaderEpoch: number;
  readonly bytesMax: number;
};

/** What became of a partition in one fetch. */
export type PartitionNews = {
  readonly error: ErrorCode | null;
  readonly offsets: { readonly logStartOffset: Offset; readonly highWatermark: Offset };
  readonly bytes: number;
};

export type SessionPartition = {
  readonly key: string;
  asked: AskedPartition;
  /** As the client was last told. */
  highWatermark: Offset;
  logStartOffset: Offset;
};

export type FetchSession = {
  readonly id: number;
  /** Name of the principal that opened it; nobody else can use it. */
  readonly owner: string;
  readonly usesTopicIds: boolean;
  readonly openedMs: number;
  readonly partitions: Map<string, SessionPartition>;
  /** What the next request must bear. */
  epoch: number;
  usedMs: number;
};

const keyOf = ({ topicKey, partition }: Pick<NamedPartition, "topicKey" | "partition">): string =>
  `${partition}/${topicKey}`;

export const epochAfter = (epoch: number): number => (epoch >= EPOCH_MAX ? 1 : epoch + 1);

/** A session as it is opened; `asked` are all its partitions, and nothing of them has been told. */
export function openSession(
  opened: Pick<FetchSession, "id" | "owner" | "usesTopicIds" | "openedMs">,
  asked: readonly AskedPartition[],
): FetchSession {
  const partitions = new Map<string, SessionPartition>();
  const session = { ...opened, partitions, epoch: epochAfter(INITIAL_EPOCH), usedMs: opened.openedMs };
  changeSession(session, asked, []);
  return session;
}

/** Takes over what a request changes; forgotten partitions go last, as in Kafka. */
export function changeSession(
  { partitions }: Pick<FetchSession, "partitions">,
  changed: readonly AskedPartition[],
  forgotten: readonly NamedPartition[],
): void {
  for (const asked of changed) {
    const key = keyOf(asked);
    const known = partitions.get(key);
    if (known === undefined) partitions.set(key, { key, asked, highWatermark: UNTOLD, logStartOffset: UNTOLD });
    else known.asked = asked;
  }
  for (const each of forgotten) partitions.delete(keyOf(each));
}

/** How many partitions a session would gain by these changes. */
export function growthBy({ partitions }: Pick<FetchSession, "partitions">, changed: readonly AskedPartition[]): number {
  return new Set(changed.map(keyOf).filter((key) => !partitions.has(key))).size;
}

/** All partitions of a session, in the order in which they are to be read. */
export const partitionsOf = ({ partitions }: FetchSession): readonly SessionPartition[] =>
  Array.from(partitions.values());

/** The session's partition for each of `asked`. */
export const partitionsFor = (
  { partitions }: FetchSession,
  asked: readonly AskedPartition[],
): readonly (SessionPartition | undefined)[] => asked.map((each) => partitions.get(keyOf(each)));

/**
 * Which of the partitions an answer must name: those with records, an error, or offsets that the client has not been
 * told. From then on they are told. `news` belongs to `read`, one for one, which the session still holds.
 */
export function tellNews(
  { partitions }: FetchSession,
  read: readonly (SessionPartition | undefined)[],
  news: readonly PartitionNews[],
): ReadonlySet<number> {
  const told = new Set<number>();
  for (const [index, { error, offsets, bytes }] of news.entries()) {
    const known = read[index];
    if (known === undefined) continue;
    const { logStartOffset, highWatermark } = offsets;
    const isNew = highWatermark !== known.highWatermark || logStartOffset !== known.logStartOffset;
    if (error !== null || bytes > 0 || isNew) told.add(index);
    known.highWatermark = error === null ? highWatermark : UNTOLD;
    known.logStartOffset = error === null ? logStartOffset : UNTOLD;
    if (bytes === 0) continue;
    partitions.delete(known.key);
    partitions.set(known.key, known);
  }
  return told;
}
