/**
 * Four sites of a small plant with five devices each, as their sensors would report them. Pure: the same seed and the
 * same moments give the same readings.
 *
 *   site        climate-1, climate-2          meter-1        door-1           press-1
 *   publishes   temperature, humidity  1/s    power  2/s     door, on change  vibration  10/s
 *
 * Temperatures follow the day and drift slowly around it, humidity falls as they rise, an open door lets the outside
 * in, power follows the working hours and the machine, a machine's vibration grows as its bearing wears.
 */
import type { Timestamp } from "../../shared/ids.ts";
import { seededRandom } from "./random.ts";
import type { Random } from "./random.ts";

export type Reading = {
  /** `sensors/{site}/{device}/{kind}` */
  readonly topic: string;
  readonly payload: Readonly<Record<string, number | string | boolean>>;
  readonly isRetained: boolean;
};

/** One device with one MQTT connection. */
export type Sensor = {
  readonly clientId: string;
  /** Time between two calls of `read`. */
  readonly intervalMs: number;
  /** What the device has to report at `now`; empty when nothing changed. Calls must not go back in time. */
  read(now: Timestamp): readonly Reading[];
};

type SiteProfile = {
  readonly name: string;
  /** Mean temperature, °C, and how far the day moves it. */
  readonly meanCelsius: number;
  readonly daySwingCelsius: number;
  readonly meanHumidityPercent: number;
  readonly baseLoadWatts: number;
  readonly machineLoadWatts: number;
};

const siteProfiles: readonly SiteProfile[] = [
  site("hall-a", { meanCelsius: 20.5, daySwingCelsius: 2.2, meanHumidityPercent: 46 }, [3200, 11_000]),
  site("hall-b", { meanCelsius: 21.5, daySwingCelsius: 2.6, meanHumidityPercent: 43 }, [2800, 7500]),
  site("cold-store", { meanCelsius: 4, daySwingCelsius: 0.4, meanHumidityPercent: 82 }, [5200, 4000]),
  site("yard", { meanCelsius: 11, daySwingCelsius: 6, meanHumidityPercent: 68 }, [600, 5500]),
];

function site(
  name: string,
  climate: Pick<SiteProfile, "meanCelsius" | "daySwingCelsius" | "meanHumidityPercent">,
  [baseLoadWatts, machineLoadWatts]: readonly [number, number],
): SiteProfile {
  return { name, ...climate, baseLoadWatts, machineLoadWatts };
}

const CLIMATE_INTERVAL_MS = 1000;
const METER_INTERVAL_MS = 500;
const DOOR_INTERVAL_MS = 1000;
const MACHINE_INTERVAL_MS = 100;
const HOUR_MS = 3_600_000;
/** The warmest hour of the day, UTC. */
const WARMEST_HOUR = 15;

export const SITE_COUNT = siteProfiles.length;
export const SENSORS_PER_SITE = 5;

/** The twenty sensors of the demo. */
export function createSensors(seed: number): Sensor[] {
  return siteProfiles.flatMap((profile, index) => {
    // Every device draws from a stream of its own, so that none depends on how often the others are read.
    const randomFor = (device: number): Random => seededRandom(seed + index * 100 + device);
    const door: DoorState = { isOpen: false };
    const machine: MachineState = { isRunning: true };
    return [
      climateSensor(profile, "climate-1", { random: randomFor(1), door }),
      climateSensor(profile, "climate-2", { random: randomFor(2), door }),
      meterSensor(profile, { random: randomFor(3), machine }),
      doorSensor(profile, { random: randomFor(4), door }),
      machineSensor(profile, { random: randomFor(5), machine }),
    ];
  });
}

/** Shared within a site: what one device does, others feel. */
type DoorState = { isOpen: boolean };
type MachineState = { isRunning: boolean };

function climateSensor(profile: SiteProfile, device: string, world: { random: Random; door: DoorState }): Sensor {
  const { random, door } = world;
  const offset = random.gaussian() * 0.4;
  let drift = 0;
  let draught = 0;
  return {
    clientId: `${profile.name}-${device}`,
    intervalMs: CLIMATE_INTERVAL_MS,
    read(now) {
      drift = 0.995 * drift + 0.02 * random.gaussian();
      // The air follows an open door within a minute or so, and recovers as slowly.
      draught += ((door.isOpen ? 1 : 0) - draught) * 0.02;
      const outside = (profile.name === "cold-store" ? 6 : -1.5) * draught;
      const swing = profile.daySwingCelsius * daylight(now) + drift + outside;
      const celsius = profile.meanCelsius + offset + swing + 0.03 * random.gaussian();
      const humidity = profile.meanHumidityPercent - 1.8 * swing + 0.3 * random.gaussian();
      const topic = (kind: string): string => `sensors/${profile.name}/${device}/${kind}`;
      return [
        reading(topic("temperature"), { ts: now, value: round(celsius, 2), unit: "°C" }),
        reading(topic("humidity"), { ts: now, value: round(clamp(humidity, 5, 100), 1), unit: "%" }),
      ];
    },
  };
}

function meterSensor(profile: SiteProfile, world: { random: Random; machine: MachineState }): Sensor {
  const { random, machine } = world;
  let energyWattHours = Math.round(random.between(1e6, 9e6));
  let lastRead: Timestamp | undefined;
  let inrush = 0;
  let wasRunning = machine.isRunning;
  return {
    clientId: `${profile.name}-meter-1`,
    intervalMs: METER_INTERVAL_MS,
    read(now) {
      if (machine.isRunning && !wasRunning) inrush = 1;
      wasRunning = machine.isRunning;
      inrush *= 0.6;
      const base = profile.baseLoadWatts * (isWorkingHour(now) ? 1 : 0.55);
      const drive = machine.isRunning ? profile.machineLoadWatts * (1 + 1.5 * inrush) : 0;
      const watts = Math.max(0, (base + drive) * (1 + 0.01 * random.gaussian()));
      if (lastRead !== undefined) energyWattHours += (watts * (now - lastRead)) / HOUR_MS;
      lastRead = now;
      const payload = {
        ts: now,
        value: Math.round(watts),
        unit: "W",
        energy_kwh: round(energyWattHours / 1000, 3),
        volts: round(230 + 1.2 * random.gaussian(), 1),
      };
      return [reading(`sensors/${profile.name}/meter-1/power`, payload)];
    },
  };
}

function doorSensor(profile: SiteProfile, world: { random: Random; door: DoorState }): Sensor {
  const { random, door } = world;
  let changesAt: Timestamp | undefined;
  let openings = 0;
  const report = (now: Timestamp): Reading => ({
    topic: `sensors/${profile.name}/door-1/door`,
    payload: { ts: now, state: door.isOpen ? "open" : "closed", openings },
    // Whoever subscribes later wants to know whether the door is open now.
    isRetained: true,
  });
  return {
    clientId: `${profile.name}-door-1`,
    intervalMs: DOOR_INTERVAL_MS,
    read(now) {
      if (changesAt === undefined) {
        changesAt = now + random.between(2000, 40_000);
        return [report(now)];
      }
      if (now < changesAt) return [];
      door.isOpen = !door.isOpen;
      if (door.isOpen) openings++;
      changesAt = now + (door.isOpen ? random.between(4000, 20_000) : random.between(15_000, 90_000));
      return [report(now)];
    },
  };
}

function machineSensor(profile: SiteProfile, world: { random: Random; machine: MachineState }): Sensor {
  const { random, machine } = world;
  const ratedRpm = Math.round(random.between(1200, 1800));
  const wearPerHour = random.between(0.02, 0.2);
  let startedAt: Timestamp | undefined;
  let changesAt = 0;
  let rpm = 0;
  return {
    clientId: `${profile.name}-press-1`,
    intervalMs: MACHINE_INTERVAL_MS,
    read(now) {
      if (startedAt === undefined) {
        startedAt = now;
        changesAt = now + random.between(60_000, 300_000);
      } else if (now >= changesAt) {
        machine.isRunning = !machine.isRunning;
        changesAt = now + (machine.isRunning ? random.between(60_000, 300_000) : random.between(10_000, 45_000));
      }
      rpm += ((machine.isRunning ? ratedRpm : 0) - rpm) * 0.08;
      const speed = rpm / ratedRpm;
      const wear = (wearPerHour * (now - startedAt)) / HOUR_MS;
      // Velocity, RMS, as ISO 10816 rates machines: good below 1.8 mm/s, a reason to act above 4.5.
      const velocity = 0.05 + (1.1 + wear) * speed * (1 + 0.12 * random.gaussian());
      const payload = {
        ts: now,
        value: round(Math.max(0, velocity), 3),
        unit: "mm/s",
        rpm: Math.round(rpm),
        running: machine.isRunning,
      };
      return [reading(`sensors/${profile.name}/press-1/vibration`, payload)];
    },
  };
}

function reading(topic: string, payload: Reading["payload"]): Reading {
  return { topic, payload, isRetained: false };
}

/** -1 at the coldest moment of the day, 1 at the warmest. */
function daylight(now: Timestamp): number {
  const hour = (now / HOUR_MS) % 24;
  return Math.cos((2 * Math.PI * (hour - WARMEST_HOUR)) / 24);
}

function isWorkingHour(now: Timestamp): boolean {
  const hour = (now / HOUR_MS) % 24;
  return hour >= 6 && hour < 20;
}

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

function round(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
