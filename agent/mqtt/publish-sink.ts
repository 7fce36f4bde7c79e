/** What the MQTT side hands to the ingest: one accepted PUBLISH at a time. */

export type PublishMessage = {
  readonly clientId: string;
  readonly topic: string;
  /** A view into a socket's buffer: copy what outlives the call. */
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Undefined at QoS 0 and for wills. */
  readonly messageId: number | undefined;
};

export interface PublishSink {
  /** Nothing more should be read from publishers. What comes all the same is taken up to a further limit, then refused. */
  readonly isFull: boolean;

  /** `listener` is called whenever `isFull` may have become false. */
  onRoom(listener: () => void): void;

  /**
   * Calls `done` once: without an error when the record is durable (QoS 1 and 2) or buffered (QoS 0), upon which PUBACK
   * or PUBREC leaves; with an error when nothing is stored, upon which there is no acknowledgement and the client's
   * connection is closed.
   */
  publish(message: PublishMessage, done: (error?: Error) => void): void;

  /** The client has connected with CleanSession = 1: what it has sent before, it owes no more and should not repeat. */
  beginSession?(clientId: string): void;
}
