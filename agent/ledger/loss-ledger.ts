/**
 * The agent's loss ledger (G3, no silent loss): what was accepted and will never arrive, why, and whether the hub knows.
 *
 * The rows live in memory and in the log database alike. Whoever loses records asks for a change, lets its calls ride in
 * the commit that makes the loss true, and applies it when that commit is durable:
 *
 *   ingest   turns messages away     ┐
 *   room     trims at the cap        ├─▶ plan… ─▶ { calls, apply, cancel } ─▶ commit ─▶ apply() or cancel()
 *   uplink   skips what is gone      ┘
 *
 * It also reconciles. The hub counts the records it has stored of this producer, and says so with its position; it must
 * be what this side counts as delivered. They differ by what the two disagreed on before and was settled with a new
 * epoch: records that this log has lost and the hub still has, for example. That difference is kept as `hubAhead`.
 */
import type { Clock } from "../../shared/clock.ts";
import type { Offset, Partition, ProducerEpoch, Timestamp } from "../../shared/ids.ts";
import type { ExtensionCall, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";
import { unheardPlaces } from "../uplink/windows.ts";
import type { WindowPlace } from "../uplink/windows.ts";
import { undeclaredIn } from "./balance.ts";
import type { LossTotals } from "./balance.ts";
import { LEDGER_EXTENSION } from "./ledger-table.ts";
import type { ConfirmArgs, HubAhead, LedgerContents, RemoveArgs } from "./ledger-table.ts";
import type { LossRow } from "./loss-row.ts";
import { wereStored } from "./loss-row.ts";

/** Rows that the hub has confirmed and that are kept one by one; older ones are only counted. */
export const CONFIRMED_ROWS_MAX = 1000;

export type TopicPartition = { readonly topic: string; readonly partition: Partition };

/** Messages that were taken and are not stored. */
export type Drop = TopicPartition & {
  /** Where they would have been stored. */
  readonly at: Offset;
  readonly reason: LossReason;
  readonly records: number;
};

/** A range of the log that never reaches the hub. Inclusive ends. */
export type DeclaredRange = { readonly from: Offset; readonly to: Offset; readonly reason: LossReason };

/** `end` is exclusive. */
export type TrimmedRange = { readonly from: Offset; readonly end: Offset; readonly reason: "overflow" | "expired" };

export type Declaration = TopicPartition & {
  /** One for each lane that goes on somewhere else (agent/uplink/windows.ts). */
  readonly parts: readonly DeclarationPart[];
  /** Set when the two sides begin to count anew: the records delivered or declared lost, and what the hub has stored. */
  readonly recount:
    | {
        readonly settled: number;
        readonly hubRecords: number;
        /** Only what the hub was ahead by may have become less. */
        readonly isForgetful: boolean;
      }
    | undefined;
};

export type DeclarationPart = {
  readonly ranges: readonly DeclaredRange[];
  /** The epoch that goes on after the ranges. */
  readonly epoch: ProducerEpoch;
  /** Whatever was declared from here on is void: the offsets come again, or are part of the ranges. */
  readonly from: Offset;
  /** Everything of it before this offset is delivered, or declared by now; what was trimmed since lies behind it. */
  readonly settled: Offset;
  /** What lies elsewhere is none of the part's. Exclusive ends. */
  readonly own: readonly { readonly start: Offset; readonly end: Offset }[];
};

export type LedgerChange = {
  readonly calls: readonly ExtensionCall[];
  /** The commit is durable. */
  readonly apply: () => void;
  /** It failed; nothing of it is stored. */
  readonly cancel: () => void;
};

/** How far each lane of a partition has come, oldest first. */
export type PlacesOf = (at: TopicPartition) => readonly WindowPlace[];

const unheard: PlacesOf = () => unheardPlaces;

export type LossCount = { readonly topic: string; readonly reason: LossReason; readonly records: number };

type Account = {
  readonly at: TopicPartition;
  /** Oldest first. */
  rows: LossRow[];
  trimsOnTheirWay: number;
  /** By reason, of rows that are kept no longer. */
  readonly folded: Map<LossReason, { stored: number; unstored: number }>;
  hubAhead: number;
  /** What the hub has more than it should; 0 while the books agree. */
  difference: number;
};

export type LedgerOptions = {
  readonly log: Pick<PartitionedLog, "call" | "query">;
  readonly clock: Clock;
  readonly confirmedRowsMax?: number;
};

export class LossLedger {
  readonly #options: LedgerOptions;
  readonly #accounts = new Map<string, Account>();
  readonly #listeners = new Set<(at: TopicPartition) => void>();
  /** Rows of a commit that is on its way: the next one must not count on from what they were. */
  readonly #changing = new Set<number>();
  #nextId = 1;
  #lastSince: Timestamp = 0;
  #confirmedCount = 0;

  private constructor(options: LedgerOptions, { rows, totals, hubAhead }: LedgerContents) {
    this.#options = options;
    for (const row of rows) {
      this.#account(row).rows.push(row);
      this.#nextId = Math.max(this.#nextId, row.id + 1);
      this.#lastSince = Math.max(this.#lastSince, row.since);
      if (row.state === "confirmed") this.#confirmedCount++;
    }
    for (const { reason, stored, unstored, ...at } of totals)
      this.#account(at).folded.set(reason, { stored, unstored });
    for (const { records, ...at } of hubAhead) this.#account(at).hubAhead = records;
  }

  static async load(options: LedgerOptions): Promise<LossLedger> {
    const contents = await options.log.query({ extension: LEDGER_EXTENSION, method: "load", args: undefined });
    return new LossLedger(options, contents as LedgerContents);
  }

  totals(at: TopicPartition): LossTotals {
    const account = this.#accounts.get(keyOf(at));
    return account === undefined ? { stored: 0, unstored: 0 } : totalsOf(account);
  }

  /**
   * By topic and reason, since the installation. What made room counts until the hub has told that it has it; `placesOf`
   * says how far it has come.
   */
  counts(placesOf: PlacesOf = unheard): LossCount[] {
    const counts = new Map<string, LossCount>();
    const add = (topic: string, reason: LossReason, records: number): void => {
      const key = `${reason} ${topic}`;
      counts.set(key, { topic, reason, records: records + (counts.get(key)?.records ?? 0) });
    };
    for (const { at, rows, folded } of this.#accounts.values()) {
      for (const { reason, records } of asFarAsLost(rows, placesOf(at))) add(at.topic, reason, records);
      for (const [reason, { stored, unstored }] of folded) add(at.topic, reason, stored + unstored);
    }
    return [...counts.values()];
  }

  /** The newest rows, newest first. */
  rows(countMax: number, placesOf: PlacesOf = unheard): LossRow[] {
    const all = [...this.#accounts.values()].flatMap(({ at, rows }) => asFarAsLost(rows, placesOf(at)));
    return all.toSorted((left, right) => right.id - left.id).slice(0, countMax);
  }

  /** What the hub has not confirmed, oldest first. */
  open(at: TopicPartition): readonly LossRow[] {
    return this.#accounts.get(keyOf(at))?.rows.filter(({ state }) => state === "open") ?? [];
  }

  /** Calls `listener` when a partition has a row to declare that it had not. */
  onOpen(listener: (at: TopicPartition) => void): void {
    this.#listeners.add(listener);
  }

  /** Messages dropped without being stored. Rows that the hub has not confirmed count on. */
  planDrops(drops: readonly Drop[]): LedgerChange {
    const now = this.#options.clock.wallMs();
    const rows = drops.map((drop) => this.#dropRow(drop, now));
    for (const { id } of rows) this.#changing.add(id);
    const cancel = (): void => {
      for (const { id } of rows) this.#changing.delete(id);
    };
    const apply = (): void => {
      cancel();
      for (const row of rows) this.#put(row);
    };
    return { calls: rows.length === 0 ? [] : [toCall("put", rows)], apply, cancel };
  }

  /** Records were removed from the log's head; whether the hub had them is not known. */
  planTrim(at: TopicPartition, { from, end, reason }: TrimmedRange): LedgerChange {
    const now = this.#options.clock.wallMs();
    const account = this.#account(at);
    const last = account.rows.findLast(({ state }) => state === "provisional");
    // What another trim on its way takes is its own: a row that goes on over it would claim that, too.
    const known = account.trimsOnTheirWay === 0 && last?.reason === reason ? last : undefined;
    const first = Math.min(known?.from ?? from, from);
    const row: LossRow = {
      ...rowOf(at, { from: first, to: end - 1, reason }, known?.since ?? now, now),
      id: known?.id ?? this.#nextId++,
      state: "provisional",
    };
    account.trimsOnTheirWay++;
    const cancel = (): void => void account.trimsOnTheirWay--;
    const apply = (): void => {
      cancel();
      this.#put(row);
    };
    return { calls: [toCall("put", [row])], apply, cancel };
  }

  /** The hub has said where it stands, and that these ranges cannot be sent any more. */
  planDeclaration(declaration: Declaration): LedgerChange {
    const { parts, recount, topic, partition } = declaration;
    const at = { topic, partition };
    const account = this.#account(at);
    const now = this.#options.clock.wallMs();
    const isVoidFor = (row: LossRow, { ranges, from, settled, own }: DeclarationPart): boolean => {
      const isOwn = (offset: Offset): boolean => own.some(({ start, end }) => offset >= start && offset < end);
      if (row.state === "provisional") return row.to < settled && isOwn(row.to);
      const isNewEpoch = ranges.length > 0 || recount?.isForgetful === false;
      return isNewEpoch && wereStored(row) && row.from >= from && isOwn(row.from);
    };
    const isVoid = (row: LossRow): boolean => parts.some((part) => isVoidFor(row, part));
    const gone = account.rows.filter(isVoid);
    const provisional = account.rows.filter(({ state }) => state === "provisional");
    const added = parts.flatMap(({ ranges, epoch }) =>
      ranges
        .flatMap((range) =>
          range.reason === "overflow"
            ? explainTrimmed(range, provisional, now)
            : [{ ...range, since: now, until: now }],
        )
        .map(({ since, until, ...range }): LossRow => {
          return { ...rowOf(at, range, since, until), id: this.#nextId++, epoch, state: "open" };
        }),
    );
    const calls: ExtensionCall[] = [];
    const removed = gone.map(({ id, to }): RemoveArgs => ({ id, to }));
    if (removed.length > 0) calls.push(toCall("remove", removed));
    if (added.length > 0) calls.push(toCall("put", added));
    let { hubAhead, difference } = account;
    if (recount !== undefined) {
      const lost = totalsOf(account).stored - sum(gone.filter(isCounted)) + sum(added);
      const counted = recount.hubRecords - (recount.settled - lost);
      const isTaken = !recount.isForgetful || (counted >= 0 && counted < account.hubAhead);
      if (isTaken) hubAhead = counted;
      difference = counted - hubAhead;
      if (hubAhead !== account.hubAhead)
        calls.push(toCall("setHubAhead", { ...at, records: hubAhead } satisfies HubAhead));
    }
    const apply = (): void => {
      const isGone = (row: LossRow): boolean => removed.some(({ id, to }) => id === row.id && row.to <= to);
      account.rows = [...account.rows.filter((row) => !isGone(row)), ...added];
      this.#confirmedCount -= gone.filter(({ state }) => state === "confirmed").length;
      account.hubAhead = hubAhead;
      account.difference = difference;
      if (added.length > 0) this.#announce(at);
    };
    return { calls, apply, cancel: () => undefined };
  }

  /** The hub has the row in its own ledger, with so many records. Need not be durable: told again, it is the same entry. */
  async confirm(id: number, records: number): Promise<void> {
    await this.#options.log.call([toCall("confirm", { id, records } satisfies ConfirmArgs)], "os");
    for (const account of this.#accounts.values()) {
      const index = account.rows.findIndex((row) => row.id === id && row.state === "open");
      const row = account.rows[index];
      if (row === undefined) continue;
      if (row.records === records) {
        account.rows[index] = { ...row, state: "confirmed" };
        this.#confirmedCount++;
      } else {
        this.#announce(account.at);
      }
      break;
    }
    await this.#fold();
  }

  /**
   * The hub says that it has stored so many records of this producer, and `settled` records are delivered or declared
   * lost. Returns by how many records the books differ; 0 is what it should be.
   */
  reconcile(at: TopicPartition, settled: number, hubRecords: number): number {
    const account = this.#account(at);
    account.difference = hubRecords - (settled - totalsOf(account).stored) - account.hubAhead;
    return account.difference;
  }

  /**
   * Whether the hub has other losses of the partition in its ledger than it has confirmed: it was restored, say, or its last
   * confirmation did not arrive. Declaring them again does no harm.
   */
  isForgotten(at: TopicPartition, hubLost: number): boolean {
    const account = this.#account(at);
    let confirmed = sum(account.rows.filter(({ state }) => state === "confirmed"));
    for (const { stored, unstored } of account.folded.values()) confirmed += stored + unstored;
    return hubLost !== confirmed;
  }

  /** The rows that are still there; what was folded cannot be told again. */
  async declareAgain(at: TopicPartition): Promise<void> {
    const rows = this.#account(at)
      .rows.filter(({ state }) => state === "confirmed")
      .map((row): LossRow => ({ ...row, state: "open" }));
    if (rows.length === 0) return;
    await this.#options.log.call([toCall("put", rows)], "os");
    for (const row of rows) this.#put(row);
  }

  /** Partitions whose books differ from the hub's. */
  differences(): readonly (TopicPartition & { readonly records: number })[] {
    return [...this.#accounts.values()].flatMap(({ at, difference }) =>
      difference === 0 ? [] : [{ ...at, records: difference }],
    );
  }

  /** See `hubAhead` above. */
  hubAhead(at: TopicPartition): number {
    return this.#accounts.get(keyOf(at))?.hubAhead ?? 0;
  }

  #dropRow({ at, reason, records, ...place }: Drop, now: Timestamp): LossRow {
    const isSame = (row: LossRow): boolean =>
      row.state === "open" && row.reason === reason && !wereStored(row) && !this.#changing.has(row.id);
    const known = this.#account(place).rows.find(isSame);
    if (known !== undefined) return { ...known, records: known.records + records, until: now };
    // It tells this row from an earlier one that the hub has confirmed.
    const since = Math.max(now, this.#lastSince + 1);
    this.#lastSince = since;
    const row = rowOf(place, { from: at, to: at - 1, reason }, since, Math.max(since, now));
    return { ...row, id: this.#nextId++, records, state: "open" };
  }

  #put(row: LossRow): void {
    const account = this.#account(row);
    const index = account.rows.findIndex(({ id }) => id === row.id);
    if (index < 0) account.rows.push(row);
    else {
      if (account.rows[index]?.state === "confirmed") this.#confirmedCount--;
      account.rows[index] = row;
    }
    if (row.state === "open") this.#announce(account.at);
  }

  async #fold(): Promise<void> {
    const { log, confirmedRowsMax = CONFIRMED_ROWS_MAX } = this.#options;
    const excess = this.#confirmedCount - confirmedRowsMax;
    if (excess <= 0) return;
    const oldest = this.rows(Infinity)
      .filter(({ state }) => state === "confirmed")
      .slice(-excess);
    this.#confirmedCount -= oldest.length;
    await log.call(
      [
        toCall(
          "fold",
          oldest.map(({ id }) => id),
        ),
      ],
      "os",
    );
    for (const row of oldest) {
      const account = this.#account(row);
      account.rows = account.rows.filter(({ id }) => id !== row.id);
      const folded = account.folded.get(row.reason) ?? { stored: 0, unstored: 0 };
      folded[wereStored(row) ? "stored" : "unstored"] += row.records;
      account.folded.set(row.reason, folded);
    }
  }

  #announce(at: TopicPartition): void {
    for (const listener of this.#listeners) listener(at);
  }

  #account({ topic, partition }: TopicPartition): Account {
    const key = keyOf({ topic, partition });
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    const counts = { trimsOnTheirWay: 0, hubAhead: 0, difference: 0 };
    const account: Account = { at: { topic, partition }, rows: [], folded: new Map(), ...counts };
    this.#accounts.set(key, account);
    return account;
  }
}

type DatedRange = DeclaredRange & { readonly since: Timestamp; readonly until: Timestamp };

/** When and why the head of the log went, as far as it was noted. */
function explainTrimmed({ from, to, reason }: DeclaredRange, noted: readonly LossRow[], now: Timestamp): DatedRange[] {
  const pieces: DatedRange[] = [];
  let next = from;
  for (const row of noted.toSorted((left, right) => left.from - right.from)) {
    const start = Math.max(row.from, next);
    const end = Math.min(row.to, to);
    if (start > end) continue;
    if (start > next) pieces.push({ from: next, to: start - 1, reason, since: row.since, until: row.until });
    pieces.push({ from: start, to: end, reason: row.reason, since: row.since, until: row.until });
    next = end + 1;
  }
  if (next <= to) pieces.push({ from: next, to, reason, since: now, until: now });
  return pieces;
}

/** Provisional rows with what is still not known to be delivered, nor declared; without those of which that is nothing. */
function asFarAsLost(rows: readonly LossRow[], places: readonly WindowPlace[]): LossRow[] {
  return rows
    .map((row) => (isCounted(row) ? row : { ...row, records: undeclaredIn(places, row) }))
    .filter(({ records }) => records > 0);
}

const isCounted = ({ state }: LossRow): boolean => state !== "provisional";

const sum = (rows: readonly LossRow[]): number => rows.reduce((total, { records }) => total + records, 0);

function totalsOf({ rows, folded }: Account): LossTotals {
  let stored = 0;
  let unstored = 0;
  for (const row of rows) {
    if (!isCounted(row)) continue;
    if (wereStored(row)) stored += row.records;
    else unstored += row.records;
  }
  for (const each of folded.values()) {
    stored += each.stored;
    unstored += each.unstored;
  }
  return { stored, unstored };
}

function rowOf(
  { topic, partition }: TopicPartition,
  { from, to, reason }: DeclaredRange,
  since: Timestamp,
  until: Timestamp,
) {
  return { topic, partition, epoch: 0, from, to, records: to - from + 1, reason, since, until } as const;
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function toCall(method: string, args: unknown): ExtensionCall {
  return { extension: LEDGER_EXTENSION, method, args };
}
