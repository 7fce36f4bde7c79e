import assert from "node:assert/strict";
import { test } from "node:test";
import { SENSORS_PER_SITE, SITE_COUNT, createSensors } from "../../../../bin/demo/sensor-model.ts";
import type { Reading } from "../../../../bin/demo/sensor-model.ts";

const SEED = 20260301;
const START = Date.UTC(2026, 2, 1, 0);
const HOUR_MS = 3_600_000;

/** All readings of `durationMs`, every sensor at its own pace. */
function simulate(seed: number, durationMs: number, stepMs = 100): Reading[] {
  const sensors = createSensors(seed);
  const readings: Reading[] = [];
  for (let at = 0; at < durationMs; at += stepMs) {
    for (const sensor of sensors) {
      if (at % Math.max(sensor.intervalMs, stepMs) === 0) readings.push(...sensor.read(START + at));
    }
  }
  return readings;
}

const valuesOf = (readings: readonly Reading[], pattern: RegExp): number[] =>
  readings.filter(({ topic }) => pattern.test(topic)).map(({ payload }) => Number(payload["value"]));

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function correlation(xs: readonly number[], ys: readonly number[]): number {
  const [meanX, meanY] = [mean(xs), mean(ys)];
  const covariance = mean(xs.map((x, index) => (x - meanX) * ((ys[index] ?? 0) - meanY)));
  const deviation = (values: readonly number[], middle: number): number =>
    Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
  return covariance / (deviation(xs, meanX) * deviation(ys, meanY));
}

test("there are twenty sensors, each with a client id of its own", () => {
  const sensors = createSensors(SEED);
  assert.equal(sensors.length, 20);
  assert.equal(sensors.length, SITE_COUNT * SENSORS_PER_SITE);
  assert.equal(new Set(sensors.map((sensor) => sensor.clientId)).size, 20);
});

test("the same seed gives the same readings, another seed others", () => {
  assert.deepEqual(simulate(SEED, 20_000), simulate(SEED, 20_000));
  assert.notDeepEqual(simulate(SEED, 20_000), simulate(SEED + 1, 20_000));
});

test("every topic is sensors/{site}/{device}/{kind}, every payload has a time, a value and a unit or a state", () => {
  for (const { topic, payload } of simulate(SEED, 120_000)) {
    assert.match(topic, /^sensors\/[a-z-]+\/[a-z]+-\d\/(temperature|humidity|power|door|vibration)$/);
    assert.equal(typeof payload["ts"], "number");
    if (topic.endsWith("/door")) assert.match(String(payload["state"]), /^(open|closed)$/);
    else assert.ok(Number.isFinite(payload["value"]) && String(payload["unit"]).length > 0, topic);
  }
});

test("values stay where such sensors have them, for a whole day", () => {
  const readings = simulate(SEED, 24 * HOUR_MS, 60_000);
  for (const [pattern, least, most] of [
    [/hall-.*temperature/, 14, 28],
    [/cold-store.*temperature/, 1, 11],
    [/yard.*temperature/, 0, 22],
    [/humidity/, 5, 100],
    [/power/, 300, 45_000],
    [/vibration/, 0, 12],
  ] as const) {
    const values = valuesOf(readings, pattern);
    assert.ok(values.length > 0);
    assert.ok(
      values.every((value) => value >= least && value <= most),
      `${pattern}: ${Math.min(...values)} to ${Math.max(...values)}`,
    );
  }
});

test("the yard is warmer in the afternoon than before dawn, and humidity falls as temperature rises", () => {
  const readings = simulate(SEED, 24 * HOUR_MS, 60_000);
  const temperatures = valuesOf(readings, /yard\/climate-1\/temperature/);
  const humidities = valuesOf(readings, /yard\/climate-1\/humidity/);
  const atHour = (hour: number): number => mean(temperatures.slice(hour * 60, hour * 60 + 60));
  assert.ok(atHour(15) - atHour(3) > 5, `${atHour(3)} at 3, ${atHour(15)} at 15`);
  assert.ok(correlation(temperatures, humidities) < -0.8);
});

test("a door reports its state first, retained, and then only changes", () => {
  const reports = simulate(SEED, 600_000).filter(({ topic }) => topic === "sensors/hall-a/door-1/door");
  assert.ok(reports.length > 4, `${reports.length} reports in ten minutes`);
  assert.ok(reports.every(({ isRetained }) => isRetained));
  const states = reports.map(({ payload }) => payload["state"]);
  assert.equal(states[0], "closed");
  for (let i = 1; i < states.length; i++) assert.notEqual(states[i], states[i - 1]);
});

test("power follows the machine, and the energy counter only grows", () => {
  const readings = simulate(SEED, HOUR_MS / 2, 500);
  const running = new Map<number, boolean>();
  const watts = new Map<boolean, number[]>([
    [true, []],
    [false, []],
  ]);
  const energy: number[] = [];
  for (const { topic, payload } of readings) {
    const second = Math.floor(Number(payload["ts"]) / 1000);
    if (topic === "sensors/hall-a/press-1/vibration") running.set(second, payload["running"] === true);
    if (topic !== "sensors/hall-a/meter-1/power") continue;
    energy.push(Number(payload["energy_kwh"]));
    const state = running.get(second - 2);
    if (state !== undefined && state === running.get(second - 1)) watts.get(state)?.push(Number(payload["value"]));
  }
  assert.ok(mean(watts.get(true) ?? []) > 2 * mean(watts.get(false) ?? []));
  for (let i = 1; i < energy.length; i++) assert.ok((energy[i] ?? 0) >= (energy[i - 1] ?? 0));
});

test("a machine that stands still hardly shakes", () => {
  const readings = simulate(SEED, HOUR_MS / 2).filter(({ topic }) => topic.endsWith("vibration"));
  const still = readings.filter(({ payload }) => payload["running"] === false && payload["rpm"] === 0);
  const moving = readings.filter(({ payload }) => payload["running"] === true && Number(payload["rpm"]) > 1000);
  assert.ok(still.length > 0 && moving.length > 0);
  assert.ok(Math.max(...valuesOf(still, /./)) < 0.1);
  assert.ok(mean(valuesOf(moving, /./)) > 0.8);
});
