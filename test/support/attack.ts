/** What is sent to a listener by somebody who means no good: cut, damaged, and over several connections at a time. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Random } from "../../bin/demo/random.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { mutate } from "./mutations.ts";

/** An attack is over when there was an answer, an end, or (a long poll, QoS 0) silence for so long. */
const SILENCE_MS = 25;

/** Sends one thing after the other, and waits each time until nothing more comes of it. */
export class Attacker {
  readonly #port: number;
  readonly #isReusing: boolean;
  #socket: Socket | undefined;
  sent = 0;
  /** Connections that the hub has closed on us. */
  closed = 0;

  /** `isReusing`: a connection on which there was an answer is used for the next. */
  constructor(t: After, port: number, { isReusing }: { readonly isReusing: boolean }) {
    this.#port = port;
    this.#isReusing = isReusing;
    onCleanUp(t, () => this.#socket?.destroy());
  }

  async attack(bytes: Buffer): Promise<void> {
    const socket = this.#socket ?? (await this.#connect());
    socket.write(bytes);
    this.sent++;
    const isAnswered = await firstSign(socket);
    if (isAnswered && this.#isReusing) return;
    // After a silence the connection may be parked behind a long poll: the next attack gets its own.
    socket.destroy();
    this.#socket = undefined;
  }

  async #connect(): Promise<Socket> {
    const socket = connect({ host: "127.0.0.1", port: this.#port });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.closed++;
      if (this.#socket === socket) this.#socket = undefined;
    });
    await new Promise<void>((resolve) => {
      socket.once("connect", resolve);
      socket.once("close", resolve);
    });
    this.#socket = socket;
    return socket;
  }
}

/** True when an answer begins, false when the connection ends or nothing comes. */
function firstSign(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => settle(false), SILENCE_MS);
    const onData = (): void => settle(true);
    const onClose = (): void => settle(false);
    const settle = (isAnswered: boolean): void => {
      clearTimeout(timer);
      socket.off("data", onData);
      socket.off("close", onClose);
      resolve(isAnswered);
    };
    socket.once("data", onData);
    socket.once("close", onClose);
  });
}

/** With everything, over several connections at a time. */
export async function attackWith(all: Iterable<Buffer>, attackers: readonly Attacker[]): Promise<void> {
  const iterator = all[Symbol.iterator]();
  const work = async (attacker: Attacker): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await attacker.attack(next.value);
  };
  await Promise.all(attackers.map(work));
}

export function* truncations(corpus: readonly Buffer[]): Generator<Buffer> {
  for (const body of corpus) for (let end = 0; end < body.length; end++) yield body.subarray(0, end);
}

export function* mutations(corpus: readonly Buffer[], count: number, random: Random): Generator<Buffer> {
  for (let i = 0; i < count; i++) {
    yield mutate(corpus[Math.floor(random.next() * corpus.length)] as Buffer, corpus, random);
  }
}
