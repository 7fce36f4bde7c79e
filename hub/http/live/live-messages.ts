/**
 * What is said over the live WebSocket, a JSON object a message.
 *
 *   reader ▶ hub    {"type":"subscribe","topic":"plant","from":"earliest"}                        free: from where it says
 *                   {"type":"subscribe","group":"reports","topics":["plant"],"window":500}        as a member of a group
 *                   {"type":"ack","topic":"plant","partition":0,"offset":41}                      done with it and all before it
 *
 *   hub ▶ reader    {"type":"subscribed"}                         {"type":"assigned","partitions":[…]}   {"type":"revoked",…}
 *                   {"type":"records","records":[…],"cursor":"0:42,1:7"}
 *                   {"type":"acked","topic":"plant","partition":0,"offset":41}                    on the disk
 *                   {"type":"gap",…}   {"type":"unreadable",…}   {"type":"idle","cursor":…}
 *                   {"type":"problem","problem":{…}}                                              and the end
 */
import { Type } from "typebox";
import type { Static } from "typebox";
import { Compile } from "typebox/compile";
import { StreamError } from "../../../shared/errors.ts";
import { liveQuery, topicName } from "../api/schemas.ts";
import { describeError } from "../api/validation.ts";

/** Topics of one member. */
const TOPICS_MAX = 100;
const WINDOW_DEFAULT = 1000;
export const WINDOW_MAX = 10_000;
/** Of a message to the hub. */
export const MESSAGE_BYTES_MAX = 16 * 1024;

const free = Type.Object(
  { type: Type.Literal("subscribe"), topic: topicName, ...Type.Partial(liveQuery).properties },
  { additionalProperties: false },
);
const member = Type.Object(
  {
    type: Type.Literal("subscribe"),
    group: Type.String({ minLength: 1, maxLength: 249 }),
    topics: Type.Array(topicName, { minItems: 1, maxItems: TOPICS_MAX }),
    from: Type.Optional(Type.Enum(["earliest", "latest"])),
    window: Type.Optional(Type.Integer({ minimum: 1, maximum: WINDOW_MAX })),
    clientId: Type.Optional(Type.String({ maxLength: 249 })),
    format: Type.Optional(Type.Enum(["auto", "json", "text", "base64", "cbor"])),
  },
  { additionalProperties: false },
);
const ack = Type.Object(
  {
    type: Type.Literal("ack"),
    topic: topicName,
    partition: Type.Integer({ minimum: 0 }),
    offset: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  },
  { additionalProperties: false },
);

export type FreeSubscription = Static<typeof free>;
export type GroupSubscription = Static<typeof member>;
export type Ack = Static<typeof ack>;
export type ReaderMessage = FreeSubscription | GroupSubscription | Ack;

const checks = { free: Compile(free), member: Compile(member), ack: Compile(ack) };

export const windowOf = ({ window = WINDOW_DEFAULT }: GroupSubscription): number => window;

/** @throws StreamError INVALID_REQUEST. */
export function parseReaderMessage(text: string): ReaderMessage {
  const value = parse(text);
  const { type, group } = (value ?? {}) as { readonly type?: unknown; readonly group?: unknown };
  const kind = type === "ack" ? "ack" : type !== "subscribe" ? undefined : group === undefined ? "free" : "member";
  if (kind === undefined) throw new StreamError("INVALID_REQUEST", "a message has the type subscribe or ack");
  const check = checks[kind];
  if (check.Check(value)) return value;
  throw new StreamError("INVALID_REQUEST", describeError("the message", check.Errors(value)));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new StreamError("INVALID_REQUEST", "the message is not JSON", { cause: error });
  }
}
