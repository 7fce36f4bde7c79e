/**
 * An MQTT client without sockets, and the broker's end of its connection. It keeps to MQTT 3.1.1: identifiers are used
 * again only when they are free, and what has no answer when a connection ends is sent again on the next one, with DUP = 1
 * and in the order of old. What it sent lies on the wire until the broker reads it, and so do the answers.
 */

export type Qos = 0 | 1 | 2;

/** A message as the test knows it. */
export type Sent = {
  readonly sequence: number;
  /** What time it really was when the ingest was given it, each time. */
  readonly readAtMs: number[];
  /** And in which boots of the gateway. */
  readonly readInBoots: number[];
  isAcknowledged: boolean;
};

export type Packet =
  | { readonly type: "publish"; readonly sent: Sent; readonly messageId: number; readonly dup: boolean }
  | { readonly type: "pubrel"; readonly messageId: number };

type Reply = { readonly type: "puback" | "pubrec" | "pubcomp"; readonly messageId: number };

export class PublisherConnection {
  readonly toBroker: Packet[] = [];
  readonly toClient: Reply[] = [];
  isOpen = true;
}

type InFlight = { readonly sent: Sent; readonly messageId: number; isReceived: boolean };

export type PublisherOptions = {
  readonly name: string;
  readonly topic: string;
  readonly qos: Qos;
  /** Messages without an answer at a time. */
  readonly windowMax: number;
  /** The identifiers it takes, in turn. */
  readonly messageIds: { readonly first: number; readonly last: number };
};

export class VirtualPublisher {
  readonly options: PublisherOptions;
  readonly messages: Sent[] = [];
  readonly #inFlight: InFlight[] = [];
  #connection: PublisherConnection | undefined;
  #nextId: number;

  constructor(options: PublisherOptions) {
    this.options = options;
    this.#nextId = options.messageIds.first;
  }

  get connection(): PublisherConnection | undefined {
    return this.#connection?.isOpen === true ? this.#connection : undefined;
  }

  /** Nothing of it is under way. */
  get isQuiet(): boolean {
    return this.#inFlight.length === 0 && (this.connection?.toBroker.length ?? 0) === 0;
  }

  connect(): void {
    this.#connection = new PublisherConnection();
    for (const { sent, messageId, isReceived } of this.#inFlight) {
      this.#connection.toBroker.push(
        isReceived ? { type: "pubrel", messageId } : { type: "publish", sent, messageId, dup: true },
      );
    }
  }

  disconnect(): void {
    if (this.#connection !== undefined) this.#connection.isOpen = false;
  }

  /** Does nothing while it has no connection, or too much under way. */
  publish(): void {
    const { qos, windowMax } = this.options;
    const { connection } = this;
    if (connection === undefined || this.#inFlight.length >= windowMax) return;
    const sent = { sequence: this.messages.length, readAtMs: [], readInBoots: [], isAcknowledged: false };
    this.messages.push(sent);
    const messageId = qos === 0 ? 0 : this.#takeId();
    if (qos !== 0) this.#inFlight.push({ sent, messageId, isReceived: false });
    connection.toBroker.push({ type: "publish", sent, messageId, dup: false });
  }

  /** One answer arrives. */
  hear(): void {
    const reply = this.connection?.toClient.shift();
    if (reply === undefined) return;
    const { type, messageId } = reply;
    const index = this.#inFlight.findIndex((each) => each.messageId === messageId);
    const known = this.#inFlight[index];
    if (known === undefined) throw new Error(`${this.options.name}: a ${type} for ${messageId}, which is free`);
    if (type !== "pubcomp") known.sent.isAcknowledged = true;
    if (type === "pubrec") {
      known.isReceived = true;
      this.connection?.toBroker.push({ type: "pubrel", messageId });
    } else this.#inFlight.splice(index, 1);
  }

  #takeId(): number {
    const { first, last } = this.options.messageIds;
    const isUsed = (): boolean => this.#inFlight.some(({ messageId }) => messageId === this.#nextId);
    const next = (): number => (this.#nextId >= last ? first : this.#nextId + 1);
    while (isUsed()) this.#nextId = next();
    const taken = this.#nextId;
    this.#nextId = next();
    return taken;
  }
}
