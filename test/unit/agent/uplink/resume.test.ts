import assert from "node:assert/strict";
import test from "node:test";
import { EPOCHS_REMEMBERED_MAX, planResume, rememberEpoch } from "../../../../agent/uplink/resume.ts";
import type { EpochStart, HubPosition, PartitionMemory, ResumePlan } from "../../../../agent/uplink/resume.ts";

const epoch = (number: number, firstOffset: number, previousEnd = firstOffset): EpochStart => ({
  epoch: number,
  firstOffset,
  previousEnd,
});

const memory = (given: Partial<PartitionMemory>): PartitionMemory => ({
  settled: 0,
  fence: undefined,
  sentEnd: given.settled ?? 0,
  epochs: [],
  ...given,
});

const at = (number: number, lastSequence: number): HubPosition => ({ epoch: number, lastSequence });

type Row = {
  readonly name: string;
  readonly memory: PartitionMemory;
  readonly logStart: number;
  readonly hub: HubPosition | undefined;
  readonly plan: Pick<ResumePlan, "cause" | "epoch" | "next"> & { gaps?: string[]; previousEnd?: number };
};

const twoEpochs = [epoch(0, 0), epoch(1, 150, 100)];

const rows: Row[] = [
  {
    name: "nothing sent yet -> epoch 0 from the start",
    memory: memory({}),
    logStart: 0,
    hub: undefined,
    plan: { cause: "first", epoch: 0, next: 0, previousEnd: 0 },
  },
  {
    name: "nothing sent yet, the head made room already -> gap, epoch 0 at the log start",
    memory: memory({}),
    logStart: 40,
    hub: undefined,
    plan: { cause: "first", epoch: 0, next: 40, gaps: ["0-39 overflow"], previousEnd: 0 },
  },
  {
    name: "a new producer id -> epoch 0 behind what the old one delivered",
    memory: memory({ settled: 70 }),
    logStart: 50,
    hub: undefined,
    plan: { cause: "first", epoch: 0, next: 70, previousEnd: 70 },
  },
  {
    name: "an epoch that was never used -> it is used",
    memory: memory({ epochs: [epoch(0, 0)] }),
    logStart: 0,
    hub: undefined,
    plan: { cause: "continued", epoch: 0, next: 0 },
  },
  {
    name: "the hub lost everything, the log has everything -> the same epoch again, from its first record",
    memory: memory({ settled: 80, sentEnd: 90, epochs: [epoch(0, 0)] }),
    logStart: 0,
    hub: undefined,
    plan: { cause: "continued", epoch: 0, next: 0 },
  },
  {
    name: "the hub lost everything, the log has the rest -> gap for what is gone, new epoch at sequence 0",
    memory: memory({ settled: 80, sentEnd: 90, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: undefined,
    plan: { cause: "rewound", epoch: 1, next: 60, gaps: ["0-59 rewound"], previousEnd: 0 },
  },
  {
    name: "the hub lost everything over two epochs -> gap from the very first record",
    memory: memory({ settled: 180, sentEnd: 180, epochs: twoEpochs }),
    logStart: 170,
    hub: undefined,
    plan: { cause: "rewound", epoch: 2, next: 170, gaps: ["0-169 rewound"], previousEnd: 0 },
  },
  {
    name: "the hub stands within what was sent -> resume behind it",
    memory: memory({ settled: 80, sentEnd: 95, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(0, 89),
    plan: { cause: "continued", epoch: 0, next: 90 },
  },
  {
    name: "the hub has all that was sent -> resume at its end",
    memory: memory({ settled: 80, sentEnd: 95, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(0, 94),
    plan: { cause: "continued", epoch: 0, next: 95 },
  },
  {
    name: "the epoch began in the middle of the log -> sequences count from there",
    memory: memory({ settled: 160, sentEnd: 170, epochs: twoEpochs }),
    logStart: 155,
    hub: at(1, 12),
    plan: { cause: "continued", epoch: 1, next: 163 },
  },
  {
    name: "the hub was restored a little, the log has it all -> sent again in the same epoch",
    memory: memory({ settled: 80, sentEnd: 80, epochs: [epoch(0, 0)] }),
    logStart: 30,
    hub: at(0, 29),
    plan: { cause: "continued", epoch: 0, next: 30 },
  },
  {
    name: "the hub was restored to before the log start -> gap, new epoch",
    memory: memory({ settled: 80, sentEnd: 80, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(0, 29),
    plan: { cause: "rewound", epoch: 1, next: 60, gaps: ["30-59 rewound"], previousEnd: 30 },
  },
  {
    name: "records made room while offline -> gap, new epoch",
    memory: memory({ settled: 80, fence: 200, epochs: [epoch(0, 0)] }),
    logStart: 120,
    hub: at(0, 89),
    plan: { cause: "overflow", epoch: 1, next: 120, gaps: ["90-119 overflow"], previousEnd: 90 },
  },
  {
    name: "a restored hub and an overflow -> one gap each",
    memory: memory({ settled: 80, fence: 200, epochs: [epoch(0, 0)] }),
    logStart: 120,
    hub: at(0, 49),
    plan: { cause: "rewound", epoch: 1, next: 120, gaps: ["50-79 rewound", "80-119 overflow"], previousEnd: 50 },
  },
  {
    name: "the log lost its tail -> new epoch at its end as the start found it",
    memory: memory({ settled: 80, fence: 100, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(0, 149),
    plan: { cause: "tail-lost", epoch: 1, next: 100, previousEnd: 100 },
  },
  {
    name: "the log lost its tail, was written on, and made room -> gap for what was never sent",
    memory: memory({ settled: 80, fence: 100, epochs: [epoch(0, 0)] }),
    logStart: 120,
    hub: at(0, 149),
    plan: { cause: "tail-lost", epoch: 1, next: 120, gaps: ["100-119 overflow"], previousEnd: 100 },
  },
  {
    name: "the tail that was lost was never sent -> resume",
    memory: memory({ settled: 80, fence: 100, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(0, 99),
    plan: { cause: "continued", epoch: 0, next: 100 },
  },
  {
    name: "in a running program the hub has more than was sent: a twin -> new epoch at what is settled",
    memory: memory({ settled: 80, sentEnd: 90, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(0, 149),
    plan: { cause: "tail-lost", epoch: 1, next: 80, previousEnd: 80 },
  },
  {
    name: "the log lost even the beginning of its epoch -> new epoch at its end",
    memory: memory({ settled: 80, fence: 90, epochs: twoEpochs }),
    logStart: 60,
    hub: at(0, 99),
    plan: { cause: "tail-lost", epoch: 2, next: 90, previousEnd: 90 },
  },
  {
    name: "the hub stands before epochs that began with a gap and brought nothing -> our epoch, nothing declared twice",
    memory: memory({ settled: 300, epochs: [epoch(0, 0), epoch(1, 150, 100), epoch(2, 250, 150), epoch(3, 300, 250)] }),
    logStart: 300,
    hub: at(0, 99),
    plan: { cause: "continued", epoch: 3, next: 300 },
  },
  {
    name: "one of them replaced one that began elsewhere -> the same",
    memory: memory({ settled: 300, epochs: [epoch(0, 0), epoch(1, 250, 210), epoch(2, 250, 100), epoch(3, 300, 250)] }),
    logStart: 300,
    hub: at(0, 99),
    plan: { cause: "continued", epoch: 3, next: 300 },
  },
  {
    name: "the hub has nothing of our epoch, and all before it -> our epoch from its first record",
    memory: memory({ settled: 150, sentEnd: 170, epochs: twoEpochs }),
    logStart: 150,
    hub: at(0, 99),
    plan: { cause: "continued", epoch: 1, next: 150 },
  },
  {
    name: "the same, but its first records made room meanwhile -> gap behind the declared one",
    memory: memory({ settled: 150, sentEnd: 170, epochs: twoEpochs }),
    logStart: 160,
    hub: at(0, 99),
    plan: { cause: "overflow", epoch: 2, next: 160, gaps: ["150-159 overflow"], previousEnd: 150 },
  },
  {
    name: "the hub has an older epoch, and not all of it -> new epoch where the hub ends",
    memory: memory({ settled: 180, sentEnd: 180, epochs: twoEpochs }),
    logStart: 170,
    hub: at(0, 49),
    plan: { cause: "rewound", epoch: 2, next: 170, gaps: ["50-169 rewound"], previousEnd: 50 },
  },
  {
    name: "the same, and the log still has it all -> sent again in a new epoch, no gap",
    memory: memory({ settled: 180, sentEnd: 180, epochs: twoEpochs }),
    logStart: 40,
    hub: at(0, 49),
    plan: { cause: "rewound", epoch: 2, next: 50, previousEnd: 50 },
  },
  {
    name: "the hub fell back to before our log lost its tail -> what it has of those offsets is not what is there now",
    memory: memory({ settled: 44, epochs: [epoch(0, 0), epoch(1, 2), epoch(2, 38, 20)] }),
    logStart: 38,
    hub: at(0, 10),
    plan: { cause: "rewound", epoch: 3, next: 38, gaps: ["2-37 rewound"], previousEnd: 2 },
  },
  {
    name: "the hub knows a newer epoch -> one above it, at what is settled",
    memory: memory({ settled: 80, fence: 100, epochs: [epoch(0, 0)] }),
    logStart: 60,
    hub: at(7, 4),
    plan: { cause: "foreign-epoch", epoch: 8, next: 80, previousEnd: 80 },
  },
  {
    name: "the hub knows us, we know nothing -> an epoch above it",
    memory: memory({}),
    logStart: 0,
    hub: at(3, 999),
    plan: { cause: "foreign-epoch", epoch: 4, next: 0, previousEnd: 0 },
  },
  {
    name: "the last epoch there is -> one above it, for which a new producer id is needed",
    memory: memory({ settled: 80, sentEnd: 80, epochs: [epoch(32_767, 0)] }),
    logStart: 90,
    hub: at(32_767, 79),
    plan: { cause: "overflow", epoch: 32_768, next: 90, gaps: ["80-89 overflow"], previousEnd: 80 },
  },
  {
    name: "the sequence has wrapped -> the count closest to what is settled",
    memory: memory({ settled: 2 ** 31 + 10, sentEnd: 2 ** 31 + 40, epochs: [epoch(0, 0)] }),
    logStart: 2 ** 31,
    hub: at(0, 29),
    plan: { cause: "continued", epoch: 0, next: 2 ** 31 + 30 },
  },
  {
    name: "the sequence is about to wrap -> no wrap too many",
    memory: memory({ settled: 2 ** 31 - 5, sentEnd: 2 ** 31 + 3, epochs: [epoch(0, 0)] }),
    logStart: 2 ** 31 - 100,
    hub: at(0, 2 ** 31 - 1),
    plan: { cause: "continued", epoch: 0, next: 2 ** 31 },
  },
];

for (const row of rows) {
  test(`resume: ${row.name}`, () => {
    const plan = planResume(row.memory, row.logStart, row.hub);
    const { cause, epoch: number, next } = plan;
    const gaps = plan.gaps.map(({ from, to, reason }) => `${from}-${to} ${reason}`);
    const expected = { gaps: [], ...row.plan };
    assert.deepEqual(
      { cause, epoch: number, next, gaps, previousEnd: plan.newEpoch?.previousEnd },
      { previousEnd: undefined, ...expected },
    );
    // A new epoch starts with sequence 0 at the next record; nothing before the log start is ever read.
    if (plan.newEpoch !== undefined) assert.equal(plan.newEpoch.firstOffset, next);
    assert.ok(next >= row.logStart);
  });
}

test("resume: only the first epoch and the newest ones are remembered, and one between is bounded by the one before", () => {
  let epochs: EpochStart[] = [];
  for (let number = 0; number < 40; number++) epochs = rememberEpoch(epochs, epoch(number, number * 10));
  assert.equal(epochs.length, EPOCHS_REMEMBERED_MAX);
  assert.equal(epochs[0]?.epoch, 0);
  assert.equal(epochs.at(-1)?.epoch, 39);
  const plan = planResume(memory({ settled: 400, sentEnd: 400, epochs }), 395, at(12, 3));
  assert.deepEqual(plan.gaps, [{ from: 0, to: 394, reason: "rewound" }]);
});
