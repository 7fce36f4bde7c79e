/**
 * Keeps a batch from slipping in where an earlier one was refused. The engine judges sequences of producers it knows; of
 * one it does not know it takes any, so the first batch here has to be sequence 0. And after a refusal only the refused
 * batch itself may follow, or a new epoch.
 *
 *   known      ──▶ any, the engine judges          refused (epoch 3, sequence 40)  ──▶ (3, 40) or (4, 0)
 *   not known  ──▶ sequence 0 of any epoch
 */
import type { ProducerEpoch, Sequence } from "../../shared/ids.ts";

export type BatchPlace = { readonly producerEpoch: ProducerEpoch; readonly baseSequence: Sequence };

type Gate = "open" | BatchPlace;

export class SequenceGate {
  /** By partition; a partition that is not here holds nothing of the producer. */
  readonly #gates = new Map<string, Gate>();

  /** The engine knows the producer there. */
  know(partition: string): void {
    if (!this.#gates.has(partition)) this.#gates.set(partition, "open");
  }

  /** Whether the batch may go to the engine now. */
  admit(partition: string, { producerEpoch, baseSequence }: BatchPlace): boolean {
    const gate = this.#gates.get(partition);
    if (gate === "open") return true;
    const isExpected = gate?.producerEpoch === producerEpoch && gate.baseSequence === baseSequence;
    const isNewEpoch = baseSequence === 0 && (gate === undefined || producerEpoch > gate.producerEpoch);
    if (!isExpected && !isNewEpoch) return false;
    this.#gates.set(partition, "open");
    return true;
  }

  /** The engine refused it. What was sent behind it meanwhile is refused for its sequence; the first one counts. */
  refused(partition: string, { producerEpoch, baseSequence }: BatchPlace): void {
    if (this.#gates.get(partition) !== "open") return;
    this.#gates.set(partition, { producerEpoch, baseSequence });
  }
}
