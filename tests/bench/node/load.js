#!/usr/bin/env node
// The load of holdfast-bench for node-redlock: the same loop, flags and lines as in src/load.rs, in the
// language of the client.
'use strict';

const { parseArgs } = require('node:util');
const Redis = require('ioredis');
const { default: Redlock } = require('redlock');

const TTL_MS = 10_000;
const AFTER_ERROR_MS = 5;

const text = { type: 'string' };
const { values: options } = parseArgs({
  options: { work: text, workers: text, addresses: text, 'warm-seconds': text, seconds: text },
});
const contended = options.work === 'contended';
const workers = Number(options.workers);

const stage = { phase: 'warming', givenBack: 0 };
const acquires = [];
const handovers = [];
const cycles = new Array(workers).fill(0);
let errors = 0;
let firstError;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function work(locks, index) {
  const name = `node-redlock-${process.pid}-${contended ? 'all' : index}`;
  while (stage.phase !== 'over') {
    try {
      await cycle(locks, name, index);
    } catch (error) {
      errors += 1;
      firstError ??= error;
      await sleep(AFTER_ERROR_MS);
    }
  }
}

async function cycle(locks, name, index) {
  const asked = performance.now();
  const lock = await locks.acquire([name], TTL_MS);
  const now = performance.now();
  if (contended) {
    if (stage.givenBack > 0 && stage.phase === 'measured') handovers.push(now - stage.givenBack);
    stage.givenBack = performance.now();
  }
  if (stage.phase === 'measured') acquires.push(now - asked);
  await lock.release();
  if (stage.phase === 'measured') cycles[index] += 1;
}

function quantiles(figures, name, latencies) {
  if (latencies.length === 0) return;
  latencies.sort((one, other) => one - other);
  for (const [quantile, share] of [['p50', 0.5], ['p99', 0.99], ['p999', 0.999], ['max', 1]]) {
    const rank = Math.ceil(latencies.length * share);
    figures[`${name}_${quantile}_us`] = latencies[rank - 1] * 1000;
  }
}

async function main() {
  const masters = options.addresses.split(',').map((address) => new Redis(address));
  await Promise.all(masters.map((master) => master.ping()));
  // Waits for as long as it takes, like all others; how long between two tries is its default.
  const locks = new Redlock(masters, { retryCount: -1 });
  locks.on('error', () => {});
  const running = cycles.map((_, index) => work(locks, index));

  await sleep(Number(options['warm-seconds']) * 1000);
  console.log('measuring');
  const began = performance.now();
  stage.phase = 'measured';
  await sleep(Number(options.seconds) * 1000);
  stage.phase = 'over';
  const seconds = (performance.now() - began) / 1000;
  console.log('measured');
  // The CPU time of a process that is gone cannot be read.
  await sleep(200);
  await Promise.all(running);

  if (firstError) console.error(`${errors} errors, the first: ${firstError}`);
  const all = cycles.reduce((sum, of) => sum + of, 0);
  if (all === 0) throw new Error('no cycle');
  const figures = {
    cycles: all,
    cycles_per_s: all / seconds,
    errors,
    least_served: Math.min(...cycles),
    most_served: Math.max(...cycles),
  };
  quantiles(figures, 'acquire', acquires);
  quantiles(figures, 'handover', handovers);
  console.log(JSON.stringify(figures));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
