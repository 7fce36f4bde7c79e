/**
 * The whole agent and a hub in one process without sockets, files and time of their own: MQTT clients, the real ingest,
 * clock, ledger and uplink on a disk in memory, a link that carries frames as bytes and loses what is on its way, and the
 * hub's real session on an engine in memory. A caller with a random number generator plays chance.
 *
 *   virtual-publisher ─▶ ingest ─▶ memory-log ─▶ core-runner ─▶ link ─▶ agent-session ─▶ memory-engine
 *                          ▲           │ memory-disk               │
 *                          └── agent-clock ◀── virtual-gateway     └─▶ the hub's ledger
 */
import { Expiry } from "../../agent/buffer/expiry.ts";
import { Ingest } from "../../agent/ingest/ingest.ts";
import { DuplicateWindow } from "../../agent/ingest/duplicate-window.ts";
import { QosTwoPackets } from "../../agent/ingest/qos-two-packets.ts";
import { compileRoutes, policyOf } from "../../agent/ingest/route.ts";
import type { Route, RouteConfig } from "../../agent/ingest/route.ts";
import { balanceOf } from "../../agent/ledger/balance.ts";
import type { Balance } from "../../agent/ledger/balance.ts";
import { LossLedger } from "../../agent/ledger/loss-ledger.ts";
import { IncomingWindow } from "../../agent/mqtt/incoming-window.ts";
import { LimitLog } from "../../agent/mqtt/limit-log.ts";
import { mqttLimitDefaults } from "../../agent/mqtt/limits.ts";
import { AgentClock } from "../../agent/time/agent-clock.ts";
import type { StoredClock } from "../../agent/time/clock-table.ts";
import { CoreRunner } from "../../agent/uplink/core-runner.ts";
import { EpochStore, logEnds } from "../../agent/uplink/epoch-store.ts";
import { AgentSession } from "../../hub/uplink/agent-session.ts";
import { InFlightPool } from "../../hub/uplink/in-flight-pool.ts";
import type { DeclaredLoss } from "../../hub/uplink/loss-ledger.ts";
import { AgentRegistry } from "../../hub/uplink/registry.ts";
import type { Clock } from "../../shared/clock.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import { decodeAgentFrame, decodeHubFrame, encodeFrame } from "../../shared/uplink/frame-codec.ts";
import { ledgerOf } from "./hub-ledger.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { MemoryEngine } from "./memory-engine.ts";
import { MemoryLog } from "./memory-log.ts";
import { VirtualGateway } from "./virtual-gateway.ts";
import type { MockedTimers } from "./virtual-gateway.ts";
import { VirtualPublisher } from "./virtual-publisher.ts";
import type { PublisherOptions } from "./virtual-publisher.ts";
import { settled } from "./virtual-timers.ts";

const CREDIT_BYTES = 4_000;
const QOS_TWO_PACKETS_MAX = 100;
/** Small, so that a few messages reach them. */
const ingestLimits = { uncommittedMessagesMax: 12, waitingMessagesMax: 8 };
/** What is delivered is soon removed. */
const TRIM_BYTES = 1_000;
/** As the timeouts of a connection bound it; the hub's time is right to half of it. */
const WELCOME_MS_MAX = 4_000;
/** How often, when the ingest answers or has room again, the broker reads on at once, from within the call. */
const READ_ON_SHARE = 0.3;
/** In a calm world; far more than any history takes. */
const DRAIN_ROUNDS_MAX = 4_000;

export type AgentWorldOptions = {
  readonly random: () => number;
  readonly timers: MockedTimers;
  readonly routes: readonly RouteConfig[];
  readonly publishers: readonly PublisherOptions[];
  readonly capBytes: number;
};

type AgentProcess = {
  readonly log: MemoryLog;
  readonly clock: Clock;
  readonly time: AgentClock;
  readonly ledger: LossLedger;
  readonly store: EpochStore;
  readonly runner: CoreRunner;
  readonly ingest: Ingest;
  readonly expiry: Expiry;
  readonly window: IncomingWindow;
};

type Link = {
  readonly toHub: Buffer[];
  readonly toAgent: Buffer[];
  readonly session: AgentSession;
  readonly askedAtMs: number;
  isWelcomed: boolean;
  mustCut: boolean;
};

export class AgentWorld {
  readonly gateway: VirtualGateway;
  readonly disk = new MemoryDisk();
  readonly engine = new MemoryEngine();
  readonly losses: DeclaredLoss[] = [];
  readonly publishers: readonly VirtualPublisher[];
  /** Of the books, by either side. */
  readonly alarms: string[] = [];
  /** When each topic was made, and made again after a power cut: until then messages wait without a time. */
  readonly topicMadeAtMs: { readonly topic: string; readonly atMs: number }[] = [];
  /** Boots in which the time became known, and not forgotten. */
  readonly bootsWithTime = new Set<number>();
  readonly #options: AgentWorldOptions;
  readonly #routes: readonly Route[];
  readonly #logger: Logger;
  #agent: AgentProcess | undefined;
  /** The log of a process that has not come up yet. */
  #starting: MemoryLog | undefined;
  #link: Link | undefined;
  #isClosing = false;

  constructor(options: AgentWorldOptions) {
    this.#options = options;
    this.gateway = new VirtualGateway(options.timers);
    this.publishers = options.publishers.map((each) => new VirtualPublisher(each));
    const { routes, problems } = compileRoutes(options.routes);
    if (problems.length > 0) throw new Error(problems.join("; "));
    this.#routes = routes;
    const ignore = (): void => undefined;
    const error = (fields: { code?: string }, text: string): void => {
      if (fields.code === "UNRECONCILED") this.alarms.push(text);
    };
    this.#logger = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error } as unknown as Logger;
  }

  get agent(): AgentProcess | undefined {
    return this.#agent;
  }

  get log(): MemoryLog | undefined {
    return this.#agent?.log ?? this.#starting;
  }

  /** What the disk knows of the time. */
  get storedClock(): StoredClock {
    return this.disk.query({ extension: "clock", method: "load", args: undefined }) as StoredClock;
  }

  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  /**
   * The agent's process begins. `stepsMax`: it is killed if its log has made so many steps and it is not up; `isFull`: the
   * disk takes nothing meanwhile. False when it did not come up.
   */
  async startAgent({ stepsMax = Infinity, isFull = (): boolean => false } = {}): Promise<boolean> {
    const log = new MemoryLog(this.disk);
    this.#starting = log;
    const opening = this.#open(log);
    let isSettled = false;
    const end = (): void => void (isSettled = true);
    opening.then(end, end);
    for (let steps = 0; !isSettled; steps++) {
      if (steps >= stepsMax) {
        this.kill();
        return false;
      }
      if (log.isWriting && isFull()) log.refuse();
      else log.step();
      await settled();
    }
    this.#agent = await opening;
    this.#starting = undefined;
    this.#noteTime();
    return true;
  }

  async #open(log: MemoryLog): Promise<AgentProcess> {
    const { clock, facts } = this.gateway.startProcess();
    const logger = this.#logger;
    const time = await AgentClock.open({ log, clock, logger, facts });
    const ledger = await LossLedger.load({ log, clock: time });
    const ends = logEnds(log);
    const store = await this.#openStore(log, ledger, ends);
    const runner = new CoreRunner({
      log,
      store,
      logger,
      agentName: "agent",
      version: "1",
      policyOf: (topic) => policyOf(this.#routes, topic),
      onPartitionCount: async () => undefined,
      batchBytesMax: 1000,
      inFlightBytesMax: 10_000,
      clockSessions: () => time.sessions(),
      historyPercent: 20,
      trimBytes: TRIM_BYTES,
    });
    log.onCommit((changed) => runner.addSources(changed));
    log.onTopicMade = (topic) => void this.topicMadeAtMs.push({ topic, atMs: this.gateway.trueMs });
    const qosTwo = await QosTwoPackets.load(log);
    const { capBytes } = this.#options;
    const disk = this.disk;
    const ingest = new Ingest({
      log,
      ledger,
      routes: this.#routes,
      qosTwo,
      duplicates: await DuplicateWindow.load(log),
      clock,
      stamp: () => time.stamp(),
      stampCalls: () => time.calls(),
      logger,
      space: {
        capBytes,
        capBytesMax: capBytes,
        get usedBytes() {
          return disk.usedBytes;
        },
      },
      limits: ingestLimits,
      pendingFrom: (partition) => runner.settled(partition),
    });
    time.follow(ingest);
    ingest.onRoom(() => this.#readOn(this.publishers, ingest));
    const limitLog = new LimitLog(mqttLimitDefaults, logger, clock);
    const window = new IncomingWindow(qosTwo, QOS_TWO_PACKETS_MAX, limitLog);
    const expiry = new Expiry({
      log: {
        topics: log.topics,
        trim: log.trim.bind(log),
        expiredEnd: async (partition) => this.#expiredEnd(partition),
      },
      ledger,
      pendingFrom: (partition) => runner.settled(partition),
      ageMsMax: 0,
      logger,
    });
    return { log, clock, time, ledger, store, runner, ingest, expiry, window };
  }

  /** The uplink, too, tries again with the ends of the start (uplink-runner.ts). */
  async #openStore(log: MemoryLog, ledger: LossLedger, ends: ReturnType<typeof logEnds>): Promise<EpochStore> {
    for (;;) {
      try {
        return await EpochStore.open(log, ledger, ends);
      } catch (error) {
        if (toStreamError(error).code !== "LOG_FULL") throw error;
      }
    }
  }

  /** The process is gone, with what it had in memory and on its connections. */
  kill(): void {
    this.#noteTime();
    this.#agent?.log.end();
    this.#starting?.end();
    this.#agent = undefined;
    this.#starting = undefined;
    const link = this.#link;
    this.#link = undefined;
    void link?.session.stop();
    this.#isClosing = false;
    for (const publisher of this.publishers) publisher.disconnect();
  }

  /** And what was not flushed, and the boot. */
  cutPower(): void {
    this.kill();
    this.disk.cutPower();
    const { bootId, bootNumber } = this.gateway;
    const isOpen = this.storedClock.sessions.some((session) => session.bootId === bootId && !session.isKnown);
    // What was known may not have been on the disk yet.
    if (isOpen) this.bootsWithTime.delete(bootNumber);
  }

  /** The disk's failure ends the program. */
  breakDisk(isStored: boolean): void {
    this.#agent?.log.breakDown(isStored);
    this.kill();
  }

  /** Chance says what is too old. */
  #expiredEnd({ logStartOffset, logEndOffset }: LogPartition): Offset {
    return logStartOffset + Math.floor((this.#options.random() * (logEndOffset - logStartOffset)) / 2);
  }

  /** What is at hand is done first: nothing in a process takes as long as that. */
  async advance(ms: number): Promise<void> {
    await settled();
    this.gateway.advance(ms);
    this.#noteTime();
    const link = this.#link;
    const waitedMs = link === undefined ? 0 : (this.#agent?.clock.monotonicMs() ?? 0) - link.askedAtMs;
    if (link?.isWelcomed === false && waitedMs > WELCOME_MS_MAX) link.mustCut = true;
  }

  /** The broker reads one packet of a client. */
  readPacket(publisher: VirtualPublisher): void {
    const { connection } = publisher;
    const agent = this.#agent;
    const packet = connection?.toBroker.shift();
    if (agent === undefined || connection === undefined || packet === undefined) return;
    const { ingest, window } = agent;
    const { name: clientId, topic, qos } = publisher.options;
    const { messageId } = packet;
    const refuse = (): void => void (connection.isOpen = false);
    if (packet.type === "pubrel") {
      const complete = (): void => void connection.toClient.push({ type: "pubcomp", messageId });
      void window.release(clientId, messageId).then(complete, refuse);
      return;
    }
    const { sent, dup } = packet;
    if (qos === 2 && window.admit(connection, clientId, messageId) !== "admitted") throw new Error("not admitted");
    sent.readAtMs.push(this.gateway.trueMs);
    sent.readInBoots.push(this.gateway.bootNumber);
    const payload = Buffer.from(`${clientId}/${sent.sequence}`);
    const message = { clientId, topic, payload, qos, retain: false, dup };
    ingest.publish({ ...message, messageId: qos === 0 ? undefined : messageId }, (error) => {
      if (qos === 2) window.settled(clientId, messageId, error == null);
      if (error != null) return refuse();
      if (qos === 2) window.claim(clientId, messageId);
      if (qos !== 0) connection.toClient.push({ type: qos === 1 ? "puback" : "pubrec", messageId });
      this.#readOn([publisher], ingest);
    });
  }

  /** As listeners do: whoever is acknowledged or let in may publish its next before the call is over. */
  #readOn(publishers: readonly VirtualPublisher[], ingest: Ingest): void {
    for (const publisher of publishers) {
      if (this.#agent?.ingest !== ingest || ingest.isFull || this.#options.random() >= READ_ON_SHARE) continue;
      this.readPacket(publisher);
    }
  }

  connect(): void {
    const agent = this.#agent;
    if (agent === undefined || this.#link !== undefined || this.#isClosing) return;
    const hubClock = { wallMs: () => this.gateway.trueMs, monotonicMs: () => this.gateway.trueMs };
    const toHub: Buffer[] = [];
    const toAgent: Buffer[] = [];
    const registry = new AgentRegistry(hubClock);
    const link: Link = {
      toHub,
      toAgent,
      askedAtMs: agent.clock.monotonicMs(),
      isWelcomed: false,
      mustCut: false,
      session: new AgentSession({
        engine: this.engine,
        ledger: ledgerOf(this.losses),
        logger: this.#logger,
        clock: hubClock,
        autoCreateTopics: true,
        creditBytes: CREDIT_BYTES,
        inFlight: new InFlightPool(Infinity),
        address: "test",
        send: (frame) => toAgent.push(encodeFrame(frame)),
        refuse: () => void (link.mustCut = true),
        introduce: async (introduction) => registry.connected(introduction),
      }),
    };
    this.#link = link;
    agent.runner.opened({
      send: (frame, onWritten) => {
        if (link !== this.#link) return;
        toHub.push(encodeFrame(frame));
        if (onWritten !== undefined) queueMicrotask(onWritten);
      },
      fail: () => void (link.mustCut = true),
    });
  }

  /** Everything on its way is lost, in either direction. */
  async cut(): Promise<void> {
    const link = this.#link;
    const agent = this.#agent;
    if (link === undefined || agent === undefined) return;
    this.#link = undefined;
    await link.session.stop();
    this.#isClosing = true;
    // It waits for what is on its way to the disk.
    void agent.runner.closed().then(() => {
      if (agent === this.#agent) this.#isClosing = false;
    });
  }

  /** One frame arrives, in one of the directions. False when none is on its way. */
  async deliver(): Promise<boolean> {
    if (this.#link?.mustCut === true) await this.cut();
    const link = this.#link;
    const agent = this.#agent;
    if (link === undefined || agent === undefined) return false;
    const isToHub = link.toHub.length > 0 && (link.toAgent.length === 0 || this.#options.random() < 0.5);
    const bytes = isToHub ? link.toHub.shift() : link.toAgent.shift();
    if (bytes === undefined) return false;
    if (isToHub) {
      link.session.receive(decodeAgentFrame(bytes));
      return true;
    }
    const frame = decodeHubFrame(bytes);
    if (frame.t === "welcome") {
      link.isWelcomed = true;
      const answeredAtMs = agent.clock.monotonicMs();
      agent.time.hear({ hubMs: frame.time, askedAtMs: link.askedAtMs, answeredAtMs });
      this.#noteTime();
    }
    agent.runner.frame(frame);
    return true;
  }

  /** Nothing goes wrong any more, until everything has arrived or is accounted for. */
  async drain(): Promise<void> {
    for (let round = 0, quiet = 0; quiet < 3; round++) {
      if (round > DRAIN_ROUNDS_MAX) throw new Error("it does not come to rest");
      if (this.#agent === undefined) await this.startAgent();
      if (!this.isConnected) this.connect();
      let hasMoved = await this.deliver();
      for (const publisher of this.publishers) {
        if (publisher.connection === undefined) publisher.connect();
        if (this.#agent?.ingest.isFull !== true) this.readPacket(publisher);
        publisher.hear();
        hasMoved ||= !publisher.isQuiet;
      }
      hasMoved = this.log?.step() === true || hasMoved;
      await settled();
      if (!hasMoved && !this.#isAtRest) hasMoved = true;
      await this.advance(hasMoved ? 20 : 15_000);
      quiet = hasMoved ? 0 : quiet + 1;
    }
  }

  get #isAtRest(): boolean {
    const agent = this.#agent;
    if (agent === undefined || !this.isConnected || !agent.log.isIdle || !agent.runner.core.isQuiet) return false;
    return [...agent.log.topics.values()].every(({ partitions }) =>
      partitions.every((partition) => agent.runner.settled(partition) >= partition.logEndOffset),
    );
  }

  /** The books of a partition on the agent's side and the hub's. */
  async books(topic: string, partition: number) {
    const { log, ledger, store, runner } = this.#agent as AgentProcess;
    const at = { topic, partition };
    const place = log.topics.get(topic)?.partitions[partition];
    if (place === undefined) throw new Error(`no ${topic}/${partition}`);
    const producers = [store.producerId, ...store.sideProducers];
    const positions = (await Promise.all(producers.map((each) => this.engine.producerPositions(each)))).flat();
    const agent: Balance = balanceOf(place, runner.places(place), ledger.totals(at));
    return {
      agent,
      unstored: ledger.totals(at).unstored,
      hubAhead: ledger.hubAhead(at),
      hubStored: positions
        .filter((each) => each.topic === topic && each.partition === partition)
        .reduce((sum, { records }) => sum + records, 0),
      hubLost: (await ledgerOf(this.losses).totals(undefined))
        .filter((loss) => loss.topic === topic && loss.partition === partition)
        .reduce((sum, { records }) => sum + records, 0),
    };
  }

  close(): void {
    this.kill();
    this.disk.close();
    this.#options.timers.reset();
  }

  #noteTime(): void {
    if (this.#agent?.time.status().isKnown === true) this.bootsWithTime.add(this.gateway.bootNumber);
  }
}
