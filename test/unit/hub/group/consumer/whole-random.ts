import { seededRandom } from "../../../../../bin/demo/random.ts";

/** A whole number below `below`. */
export type Random = (below: number) => number;

export function wholeRandom(seed: number): Random {
  const { next } = seededRandom(seed);
  return (below) => Math.floor(next() * below);
}
