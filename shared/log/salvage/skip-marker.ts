/**
 * The end of a stretch of offsets that are left out: a control batch, as Kafka's transactions end with. Consumers pass over
 * it and over the stretch before it, so that none waits at its beginning for what will never come. Its one record aborts a
 * transaction that nobody has.
 *
 *   …│ last batch that is there │ ····· left out ····· │ marker │ new records …
 *
 * Source: Kafka's EndTransactionMarker and ControlRecordType (KIP-98).
 */
import { readBatchHeader, stampControl, stampOffset } from "../../batch/record-batch.ts";
import { encodeRecords } from "../../batch/records.ts";
import type { Offset } from "../../ids.ts";

/** Version 0, ABORT. */
const KEY = Buffer.from([0, 0, 0, 0]);
/** Version 0, coordinator epoch 0. */
const VALUE = Buffer.from([0, 0, 0, 0, 0, 0]);

/** At one offset, the last one that is left out. */
export function skipMarker(offset: Offset): { readonly bytes: Buffer; readonly lastOffsetDelta: number } {
  const bytes = encodeRecords([{ timestamp: 0, key: KEY, value: VALUE }]);
  stampControl(bytes);
  stampOffset(bytes, offset);
  return { bytes, lastOffsetDelta: readBatchHeader(bytes).lastOffsetDelta };
}
