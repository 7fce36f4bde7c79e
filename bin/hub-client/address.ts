/** The address of a hub's Kafka port, apart from the client so that `--help` need not load that. */
import { formatListenAddress, parseListenAddress } from "../../shared/config/listen-address.ts";
import { UsageError } from "../failure.ts";

export type HubAddress = { readonly host: string; readonly port: number };

export const DEFAULT_KAFKA_ADDRESS = "127.0.0.1:9092";

/** @throws UsageError unless `text` is HOST:PORT; IPv6 addresses stand in brackets. */
export function parseHubAddress(text: string): HubAddress {
  const address = parseListenAddress(text);
  // Nothing can be reached at port 0, which means "any free one" to a listener.
  if (address === undefined || address.port === 0) {
    throw new UsageError(`'${text}' is not HOST:PORT, for example ${DEFAULT_KAFKA_ADDRESS}`);
  }
  return address;
}

export const formatHubAddress = (address: HubAddress): string => formatListenAddress(address);
