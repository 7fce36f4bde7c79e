/** What aedes hands to its persistence, as far as the agent looks at it. */
import type { Payload, QosLevel } from "./session-tables.ts";

/** An aedes client, or what stands for one where it is not connected. */
export type SessionClient = {
  readonly id: string;
  readonly clean?: boolean;
  readonly connecting?: boolean;
  readonly connected?: boolean;
  readonly closed?: boolean;
  readonly conn?: { destroy(): void };
};

export type SessionBroker = { readonly id: string; readonly clients?: Readonly<Record<string, SessionClient>> };

export type SessionPacket = {
  readonly cmd?: string;
  readonly topic: string;
  readonly payload: Payload;
  readonly qos?: QosLevel;
  readonly retain?: boolean;
  dup?: boolean;
  /** With `brokerCounter`, aedes' name of a message: one run of the broker, and a count in it. */
  readonly brokerId?: string;
  readonly brokerCounter?: number;
  messageId?: number | undefined;
};

export type WillPacket = Omit<SessionPacket, "brokerId"> & { brokerId?: string; clientId?: string };

export type Receiver = { readonly clientId: string; readonly qos?: QosLevel };
