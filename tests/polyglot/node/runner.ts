#!/usr/bin/env node
// Runs the cases of ../cases.yaml with the client that ts-proto generates for @grpc/grpc-js.
//
// Reads a case a line from standard input, {"case", "address", "resource", "with"}, and prints what it saw.

import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { credentials, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from 'nice-grpc-error-details';

import { BOUND_MS, Hold, Holder, call, deadline, detail, duration, errorOf, failure } from './client.js';
import { millis, now, reader, valueOf } from './client.js';
import type { Metadatum } from './client.js';
import { AdminServiceClient } from './gen/holdfast/v1/admin_service.js';
import { AcquireRequest, LockServiceClient, WatchLeaderRequest } from './gen/holdfast/v1/lock_service.js';
import type {
  ExtendRequest,
  KeepAliveRequest,
  KeepAliveResponse,
  WatchLeaderResponse,
} from './gen/holdfast/v1/lock_service.js';

/** Looks until somebody waits for the resource, and says how many. */
async function untilWaiting({ holder }: Setting): Promise<number> {
  for (;;) {
    const { waiters } = valueOf(await holder('').acquire(1000), 'held');
    if (waiters) return waiters;
    await sleep(20);
  }
}

/** A state of a watch. */
function shown({ state, reason }: WatchLeaderResponse): Record<string, unknown> {
  switch (state?.$case) {
    case 'leader': {
      const { fencingToken, holder, metadata } = state.value;
      return { state: 'leader', reason, token: String(fencingToken), holder, metadata };
    }
    case 'vacant':
      return { state: 'vacant', reason, token: String(state.value.lastFencingToken) };
    default:
      return { state: state?.$case, reason, why: state?.value.reason };
  }
}

/** Where a case plays. */
class Setting {
  readonly stub: LockServiceClient;
  readonly admin: AdminServiceClient;

  constructor(
    address: string,
    readonly resource: string,
  ) {
    this.stub = new LockServiceClient(address, credentials.createInsecure());
    this.admin = new AdminServiceClient(address, credentials.createInsecure());
  }

  holder = (name: string, resource = this.resource): Holder => new Holder(this.stub, resource, name);

  watch(request: Partial<WatchLeaderRequest> = {}) {
    const whole = WatchLeaderRequest.create({ resource: this.resource, ...request });
    const stream = this.stub.watchLeader(whole, { deadline: Date.now() + BOUND_MS });
    const next = reader<WatchLeaderResponse>(stream);
    return { next: async () => shown(await next()), cancel: () => stream.cancel() };
  }

  close(): void {
    this.stub.close();
    this.admin.close();
  }
}

/** What cases are given: each what it names. */
interface Given {
  ttl_ms: number;
  longer_ttl_ms: number;
  wait_ms: number;
  deadline_ms: number;
  notice_ms: number;
  grace_ms: number;
  heartbeat_ms: number;
  bookmark_ms: number;
  heartbeats: number;
  leases: number;
  metadata: Metadatum;
  updated: Metadatum;
}

const CASES: Record<string, (setting: Setting, given: Given) => Promise<Record<string, unknown>>> = {
  async try({ holder }, { ttl_ms }) {
    const me = holder('me');
    const sent = now();
    const outcome = await me.acquire(ttl_ms);
    const lease = valueOf(outcome, 'lease');
    return {
      outcome: outcome.$case,
      asked_lease_id: me.leaseId,
      lease_id: lease.leaseId,
      token: String(lease.fencingToken),
      ttl_ms: millis(lease.ttl),
      votes: lease.votes,
      masters: lease.masters,
      reliable_ms: Math.floor(deadline(sent, lease) - now()),
    };
  },

  async contended({ holder }, { ttl_ms, metadata }) {
    const first = holder('first');
    await first.acquire(ttl_ms, 0, metadata);
    const outcome = await holder('second').acquire(ttl_ms);
    const held = valueOf(outcome, 'held');
    return {
      outcome: outcome.$case,
      holders_token: String(first.token),
      holder: held.holder,
      metadata: held.metadata,
      token: String(held.fencingToken),
      remaining_ms: Math.floor(millis(held.remaining)),
      waiters: held.waiters,
    };
  },

  async wait(setting, { ttl_ms, wait_ms }) {
    const [first, second] = [setting.holder('first'), setting.holder('second')];
    await first.acquire(ttl_ms);
    const waiting = second.acquire(ttl_ms, wait_ms);
    const waiters = await untilWaiting(setting);
    await first.release();
    const { $case: outcome } = await waiting;
    return { waiters, outcome, first_token: String(first.token), token: String(second.token) };
  },

  async wait_in_vain({ holder }, { ttl_ms, wait_ms }) {
    await holder('first').acquire(ttl_ms);
    const outcome = await holder('second').acquire(ttl_ms, wait_ms);
    return { outcome: outcome.$case, holder: valueOf(outcome, 'held').holder };
  },

  async deadline({ holder }, { ttl_ms, wait_ms, deadline_ms }) {
    await holder('first').acquire(ttl_ms);
    const outcome = await holder('second').acquire(ttl_ms, wait_ms, {}, deadline_ms);
    return { outcome: outcome.$case, holder: valueOf(outcome, 'held').holder };
  },

  async retry({ holder }, { ttl_ms }) {
    const me = holder('me');
    const first = await me.acquire(ttl_ms);
    const firstToken = me.token;
    const second = await me.acquire(ttl_ms);
    const tokens = { first_token: String(firstToken), token: String(me.token) };
    return { outcomes: [first.$case, second.$case], ...tokens, release: await me.release() };
  },

  async superseded(setting, { ttl_ms, wait_ms }) {
    const [first, second] = [setting.holder('first'), setting.holder('second')];
    await first.acquire(ttl_ms);
    const older = failure(second.acquire(ttl_ms, wait_ms));
    await untilWaiting(setting);
    const newer = second.acquire(ttl_ms, wait_ms);
    const error = await older;
    await first.release();
    return { older: errorOf(error), newer: (await newer).$case };
  },

  async extend({ holder }, { ttl_ms, longer_ttl_ms, metadata }) {
    const me = holder('me');
    await me.acquire(ttl_ms);
    const lease = await me.extend(longer_ttl_ms, metadata);
    const held = await holder('other').acquire(ttl_ms);
    await me.extend(longer_ttl_ms, {}, true);
    const heldAgain = await holder('other').acquire(ttl_ms);
    return {
      first_token: String(me.token),
      token: String(lease.fencingToken),
      ttl_ms: millis(lease.ttl),
      metadata: valueOf(held, 'held').metadata,
      cleared: valueOf(heldAgain, 'held').metadata,
    };
  },

  async lost({ holder }, { ttl_ms, notice_ms, wait_ms }) {
    const [me, other] = [holder('me'), holder('other')];
    const sent = now();
    const lease = valueOf(await me.acquire(ttl_ms), 'lease');
    await sleep(deadline(sent, lease) - notice_ms - now());
    const { standing: at_notice } = await me.standing();
    await other.acquire(30_000, wait_ms);
    return {
      at_notice,
      first_token: String(me.token),
      token: String(other.token),
      afterwards: (await me.standing()).standing,
      extend: errorOf(await failure(me.extend(ttl_ms))),
    };
  },

  async release({ holder }, { ttl_ms }) {
    const [me, other] = [holder('me'), holder('other')];
    await me.acquire(ttl_ms);
    const told = { others: await other.release(), own: await me.release(), again: await me.release() };
    await other.acquire(ttl_ms);
    return { ...told, without_token: await other.release(0) };
  },

  async keep_alive({ stub, resource, holder }, { ttl_ms, leases }) {
    const holders = Array.from({ length: leases }, (_, number) => holder('me', `${resource}/${number}`));
    await Promise.all(holders.map((it) => it.acquire(ttl_ms)));
    const stream = stub.keepAlive({ deadline: Date.now() + BOUND_MS });
    const next = reader<KeepAliveResponse>(stream);
    const ask = (sequence: number, extend: ExtendRequest) =>
      stream.write({ sequence, extend } satisfies KeepAliveRequest);

    async function renewAll() {
      holders.forEach((it, sequence) => ask(sequence, it.renewal(ttl_ms)));
      const renewed: { token: number; holder: Holder }[] = [];
      const lost: string[] = [];
      for (const _ of holders) {
        const { result, sequence } = await next();
        if (result?.$case === 'lease') {
          renewed.push({ token: result.value.fencingToken, holder: holders[sequence]! });
        } else if (result?.$case === 'lost') lost.push(result.value.reason);
      }
      return { renewed, lost };
    }

    const first = await renewAll();
    const own = first.renewed.filter(({ token, holder }) => token === holder.token);
    await holders.at(-1)!.release();
    const again = await renewAll();
    ask(0, { ...holder('me', '').renewal(ttl_ms), fencingToken: 1 });
    const { result } = await next();
    stream.end();
    const { code, reason } = valueOf(result, 'error');
    return {
      renewed: first.renewed.length,
      with_their_tokens: own.length,
      renewed_again: again.renewed.length,
      lost: again.lost,
      error: { code: status[code], reason },
    };
  },

  async hold({ holder }, { ttl_ms, wait_ms, heartbeats }) {
    const [first, second] = [holder('first'), holder('second')];
    await first.acquire(ttl_ms);
    const hold = new Hold(second, ttl_ms, { waitMs: wait_ms });
    const { value: queued } = await hold.expect('queued');
    await first.release();
    const { value: granted } = await hold.expect('granted');
    const renewed: number[] = [];
    let reliable = 0;
    for (let beat = 1; beat <= heartbeats; beat++) {
      hold.beat(beat);
      const { sequence, value: lease } = await hold.expect('renewed');
      const sent = hold.sent.get(sequence)!;
      renewed.push(sequence);
      reliable = deadline(sent, lease) - now();
    }
    hold.say({ $case: 'release', value: {} });
    return {
      position: queued.position,
      behind: queued.held?.holder,
      heartbeat_interval_ms: millis(queued.heartbeatInterval),
      first_token: String(first.token),
      token: String(granted.fencingToken),
      renewed,
      reliable_ms: Math.floor(reliable),
      released: (await hold.expect('released')).value,
      status: await hold.status,
    };
  },

  async hold_contended({ holder }, { ttl_ms }) {
    await holder('first').acquire(ttl_ms);
    const hold = new Hold(holder('second'), ttl_ms);
    return { contended: (await hold.expect('contended')).value.holder, status: await hold.status };
  },

  async hold_lost({ admin, resource, holder }, { ttl_ms, heartbeat_ms }) {
    const hold = new Hold(holder('me'), ttl_ms);
    const { fencingToken } = (await hold.expect('granted')).value;
    const order = { resource, fencingToken, reason: '', immediate: false };
    const { outcome: forced } = await call(admin.forceRelease.bind(admin), order);
    let sequence = 0;
    const beating = setInterval(() => hold.beat(++sequence), heartbeat_ms);
    const { reason: lost } = (await hold.expect('lost').finally(() => clearInterval(beating))).value;
    return { forced, lost, status: await hold.status };
  },

  async hold_silent({ holder }, { ttl_ms }) {
    const hold = new Hold(holder('me'), ttl_ms);
    await hold.expect('granted');
    const at_risk: string[] = [];
    for (;;) {
      const { event } = await hold.next();
      if (event?.$case === 'atRisk') at_risk.push(event.value.reason);
      if (event?.$case === 'lost') {
        return { at_risk, lost: event.value.reason, status: await hold.status };
      }
    }
  },

  async hold_cancelled(setting, { ttl_ms, wait_ms }) {
    const [me, other] = [setting.holder('me'), setting.holder('other')];
    const hold = new Hold(me, ttl_ms);
    const { fencingToken } = (await hold.expect('granted')).value;
    const waiting = other.acquire(ttl_ms, wait_ms);
    await untilWaiting(setting);
    hold.stream.cancel();
    const { $case: outcome } = await waiting;
    return { outcome, first_token: String(fencingToken), token: String(other.token) };
  },

  async hold_reattached({ holder }, { ttl_ms, grace_ms }) {
    const me = holder('me');
    const hold = new Hold(me, ttl_ms, { graceMs: grace_ms });
    const { fencingToken } = (await hold.expect('granted')).value;
    hold.stream.cancel();
    const again = new Hold(me, ttl_ms, { graceMs: grace_ms, fencingToken });
    const granted = (await again.expect('granted')).value;
    again.say({ $case: 'release', value: {} });
    return {
      first_token: String(fencingToken),
      token: String(granted.fencingToken),
      released: (await again.expect('released')).value,
    };
  },

  async watch(setting, { ttl_ms, metadata, updated }) {
    const [first, second] = [setting.holder('first'), setting.holder('second')];
    const watch = setting.watch();
    const states = [await watch.next()];
    await first.acquire(ttl_ms, 0, metadata);
    states.push(await watch.next());
    await first.extend(ttl_ms, updated);
    states.push(await watch.next());
    await first.release();
    states.push(await watch.next());
    await second.acquire(ttl_ms);
    states.push(await watch.next());
    watch.cancel();
    return { states, token: String(first.token), second_token: String(second.token) };
  },

  async watch_resumed(setting, { ttl_ms, bookmark_ms }) {
    const first = setting.holder('first');
    await first.acquire(ttl_ms);
    const afterFencingToken = first.token;
    const watch = setting.watch({ afterFencingToken, bookmarkInterval: duration(bookmark_ms) });
    const resumed = [await watch.next(), await watch.next()];
    watch.cancel();
    const later = setting.watch({ afterFencingToken: afterFencingToken + 1 });
    const ahead = await later.next();
    later.cancel();
    return { token: String(first.token), resumed, ahead };
  },

  async bad_fields({ stub }, { ttl_ms, wait_ms }) {
    const request = AcquireRequest.create({ ttl: duration(ttl_ms), wait: duration(wait_ms) });
    const error = await failure(call(stub.acquire.bind(stub), request));
    const { fieldViolations } = detail(error, BadRequest);
    return {
      error: errorOf(error),
      domain: detail(error, ErrorInfo).domain,
      fields: fieldViolations.map(({ field }) => field).sort(),
    };
  },

  async no_quorum({ holder }, { ttl_ms }) {
    const me = holder('me');
    const error = await failure(me.acquire(ttl_ms));
    return {
      error: errorOf(error),
      masters: Object.keys(detail(error, ErrorInfo).metadata).sort(),
      retry_ms: millis(detail(error, RetryInfo).retryDelay),
      retry_trailer_ms: Number(error.metadata.get('holdfast-retry-after-ms')[0]),
      release: await me.release(),
    };
  },

  async token({ holder }, { ttl_ms }) {
    const me = holder('me');
    await me.acquire(ttl_ms);
    const [own, before] = [await me.standing(), await me.standing(me.token - 1)];
    return {
      token: String(me.token),
      newest: String(own.newestFencingToken),
      own: own.standing,
      one_before: before.standing,
    };
  },
};

process.on('unhandledRejection', () => {}); // of a call that a case left behind when it failed

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const setting = new Setting(asked.address, asked.resource);
  let seen: Record<string, unknown>;
  try {
    const run = CASES[asked.case];
    if (!run) throw new Error(`unknown case: ${asked.case}`);
    seen = await run(setting, asked.with);
  } catch (error) {
    seen = { problem: String(error) }; // whatever it is, it is told, and the next case goes on
  }
  setting.close();
  console.log(JSON.stringify(seen));
}
