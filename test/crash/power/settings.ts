/** How many cuts a suite makes of a recording, and from which seed. */
export const POWER_CUTS = Number(process.env["POWER_CUTS"] ?? 200);
export const POWER_SEED = Number(process.env["POWER_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
