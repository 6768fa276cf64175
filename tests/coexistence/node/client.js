#!/usr/bin/env node
// A client of node-redlock for tests/tests/coexistence.rs: it does what the lines of its input say, one after the
// other, with the one lock it has or had, and answers each with a line.
//
//   acquire KEY TTL_MS WAIT_MS    yes | no WHY
//   extend                        yes | no WHY
//   release                       yes | no WHY
'use strict';

const readline = require('node:readline');
const Redis = require('ioredis');
const { default: Redlock } = require('redlock');

const RETRY_DELAY_MS = 200;

const masters = process.argv[2].split(',').map((url) => new Redis(url));
const locks = new Redlock(masters, { retryCount: 0, retryDelay: RETRY_DELAY_MS });
let lock;
let ttl;

async function acquire(key, ttlMs, waitMs) {
  ttl = Number(ttlMs);
  lock = await locks.acquire([key], ttl, { retryCount: Math.ceil(Number(waitMs) / RETRY_DELAY_MS) });
}

async function extend() {
  // It would not ask Redis once its own clock says that the lock is over; one that is behind would.
  lock.expiration = Number.MAX_SAFE_INTEGER;
  lock = await lock.extend(ttl);
}

const commands = { acquire, extend, release: () => lock.release() };

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(' ');
    try {
      await commands[command](...words);
      console.log('yes');
    } catch (error) {
      console.log(`no ${error.message}`);
    }
  }
  process.exit(0);
}

main();
