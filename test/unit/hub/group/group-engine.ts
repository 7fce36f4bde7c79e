/**
 * The part of the engine that groups need, over a "disk" that outlives it: a second engine over the same disk is what a
 * restarted hub finds. The disk can be slow (`hold`), refuse (`failing`), or be gone (`crash`): after a crash nothing that
 * was under way reaches it, and nothing is ever answered.
 */
import { StreamError } from "../../../../shared/errors.ts";
import type { CommittedOffset, GroupSnapshot, TopicInfo, TopicPartition } from "../../../../hub/engine/engine.ts";
import type { GroupEngine } from "../../../../hub/group/offsets.ts";

export class GroupDisk {
  readonly groups = new Map<string, Uint8Array>();
  readonly offsets = new Map<string, Map<string, CommittedOffset>>();
}

export class FakeGroupEngine implements GroupEngine {
  readonly topics = new Map<string, TopicInfo>();
  readonly disk: GroupDisk;
  /** While true, every write is refused. */
  isFailing = false;
  writeCount = 0;
  /** A hub that crashed cannot be closed either: its last writes are never answered. */
  isCrashed = false;
  #held: (() => void)[] | undefined;
  #topicCount = 0;

  constructor(disk = new GroupDisk()) {
    this.disk = disk;
    for (const name of ["readings", "alarms"]) this.addTopic(name);
  }

  addTopic(name: string, partitionCount = 4): void {
    const id = Buffer.alloc(16);
    id.writeUInt32BE(++this.#topicCount);
    this.topics.set(name, { name, id, partitionCount, config: {} });
  }

  /** Writes wait from now on. @returns what lets those that wait go on, newest first if so wished, and holds no more. */
  hold(): (order?: "oldest-first" | "newest-first") => void {
    const held: (() => void)[] = [];
    this.#held = held;
    return (order = "oldest-first") => {
      this.#held = undefined;
      for (const release of order === "newest-first" ? held.toReversed() : held) release();
    };
  }

  crash(): void {
    this.isCrashed = true;
  }

  commitOffsets(group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    return this.#write(() => {
      const positions = this.disk.offsets.get(group) ?? new Map<string, CommittedOffset>();
      this.disk.offsets.set(group, positions);
      for (const offset of offsets) positions.set(keyOf(offset), offset);
    });
  }

  deleteOffsets(group: string, at: readonly TopicPartition[]): Promise<void> {
    return this.#write(() => {
      for (const each of at) this.disk.offsets.get(group)?.delete(keyOf(each));
    });
  }

  saveGroup(group: string, snapshot: Uint8Array | undefined): Promise<void> {
    return this.#write(() => {
      if (snapshot !== undefined) return void this.disk.groups.set(group, snapshot);
      this.disk.groups.delete(group);
      this.disk.offsets.delete(group);
    });
  }

  loadGroups(): Promise<readonly GroupSnapshot[]> {
    return Promise.resolve([...this.disk.groups].map(([group, snapshot]) => ({ group, snapshot })));
  }

  loadCommittedOffsets(): Promise<ReadonlyMap<string, readonly CommittedOffset[]>> {
    return Promise.resolve(new Map([...this.disk.offsets].map(([group, offsets]) => [group, [...offsets.values()]])));
  }

  /** As the real engine does: writes reach the disk in the order of the calls, whatever happens to their answers. */
  async #write(work: () => void): Promise<void> {
    this.writeCount += 1;
    if (this.isFailing) throw new StreamError("LOG_FULL", "the disk is full");
    const held = this.#held;
    if (held === undefined) return this.isCrashed ? new Promise(() => {}) : work();
    return new Promise((resolve, reject) => {
      held.push(() => {
        if (this.isCrashed) return;
        if (this.isFailing) return reject(new StreamError("LOG_FULL", "the disk is full"));
        work();
        resolve();
      });
    });
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
