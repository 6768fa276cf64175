// What an application has beside the generated code: the clock that a lease is measured by, calls as promises,
// streams to read from, and the details of errors.

import { randomBytes } from 'node:crypto';
import os from 'node:os';
import type { Readable } from 'node:stream';

import { Metadata, status } from '@grpc/grpc-js';
import type { CallOptions, ClientDuplexStream, ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import { ErrorInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';

import type { Duration } from './gen/google/protobuf/duration.js';
import type { Lease } from './gen/holdfast/v1/lock.js';
import { HoldStart } from './gen/holdfast/v1/lock_service.js';
import type {
  AcquireRequest,
  CheckFencingTokenResponse,
  ExtendRequest,
  HoldRequest,
  HoldResponse,
  LockServiceClient,
} from './gen/holdfast/v1/lock_service.js';

const DRIFT = 0.01;
export const BOUND_MS = 60_000; // longer than anything takes, so that nothing hangs

export const duration = (ms: number): Duration => ({ seconds: Math.trunc(ms / 1000), nanos: (ms % 1000) * 1e6 });
export const millis = ({ seconds, nanos } = duration(0)): number => seconds * 1000 + nanos / 1e6;

/** Milliseconds of a clock that counts suspend, unlike performance.now() on Linux. It ticks every TICK_MS. */
export const now = (): number => os.uptime() * 1000;
const TICK_MS = 10;

/** Until when the holder may rely on the lease, on the clock of `now`. */
export const deadline = (sent: number, lease: Lease): number =>
  sent + millis(lease.servedIn) * (1 - DRIFT) + millis(lease.validFor) - TICK_MS;

/** What is in a oneof, which must be of that kind. */
export function valueOf<One extends { $case: string; value: unknown }, Kind extends One['$case']>(
  one: One | undefined,
  kind: Kind,
): Extract<One, { $case: Kind }>['value'] {
  if (one?.$case !== kind) throw new Error(`${kind} was expected, not ${one?.$case}`);
  return one.value;
}

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** A unary call as a promise. */
export function call<Request, Response>(
  method: Method<Request, Response>,
  request: Request,
  timeoutMs = BOUND_MS,
): Promise<Response> {
  const options = { deadline: Date.now() + timeoutMs };
  return new Promise((resolve, reject) => {
    method(request, new Metadata(), options, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

export type Metadatum = Record<string, string>;

/** One who acquires a resource, with a lease_id of its own. */
export class Holder {
  readonly leaseId = randomBytes(16).toString('hex');
  token = 0; // exact: no token reaches 2^53

  constructor(
    readonly stub: LockServiceClient,
    readonly resource: string,
    readonly name: string,
  ) {}

  request(ttlMs: number, waitMs = 0, metadata: Metadatum = {}): AcquireRequest {
    const { resource, name: holder, leaseId } = this;
    return { resource, holder, ttl: duration(ttlMs), wait: duration(waitMs), leaseId, metadata };
  }

  /** The lease, or who holds the lock. */
  async acquire(ttlMs: number, waitMs = 0, metadata: Metadatum = {}, timeoutMs = BOUND_MS) {
    const request = this.request(ttlMs, waitMs, metadata);
    const { outcome } = await call(this.stub.acquire.bind(this.stub), request, timeoutMs);
    // Of several answers the highest counts.
    if (outcome?.$case === 'lease') this.token = Math.max(this.token, outcome.value.fencingToken);
    return outcome!;
  }

  renewal(ttlMs: number, metadata: Metadatum = {}, clearMetadata = false): ExtendRequest {
    const { resource, leaseId, token: fencingToken } = this;
    return { resource, leaseId, fencingToken, ttl: duration(ttlMs), metadata, clearMetadata };
  }

  async extend(ttlMs: number, metadata: Metadatum = {}, clearMetadata = false): Promise<Lease> {
    const request = this.renewal(ttlMs, metadata, clearMetadata);
    return (await call(this.stub.extend.bind(this.stub), request)).lease!;
  }

  async release(fencingToken = this.token): Promise<string> {
    const { resource, leaseId } = this;
    return (await call(this.stub.release.bind(this.stub), { resource, leaseId, fencingToken })).outcome;
  }

  standing(fencingToken = this.token): Promise<CheckFencingTokenResponse> {
    return call(this.stub.checkFencingToken.bind(this.stub), { resource: this.resource, fencingToken });
  }
}

/** Reads one message after the other; the error that the stream ends with comes out of it, too. */
export function reader<Message>(stream: Readable): () => Promise<Message> {
  stream.on('error', () => {}); // or the error would end the process when nobody reads
  const messages = stream[Symbol.asyncIterator]() as AsyncIterator<Message>;
  return async () => {
    const { value, done } = await messages.next();
    if (done) throw new Error('the stream has ended');
    return value;
  };
}

type Event = NonNullable<HoldResponse['event']>;

/** A Hold stream. */
export class Hold {
  readonly stream: ClientDuplexStream<HoldRequest, HoldResponse>;
  readonly sent = new Map<number, number>();
  readonly next: () => Promise<HoldResponse>;
  /** How the stream ends. */
  readonly status: Promise<string>;

  constructor(holder: Holder, ttlMs: number, { waitMs = 0, graceMs = 0, fencingToken = 0 } = {}) {
    this.stream = holder.stub.hold({ deadline: Date.now() + BOUND_MS });
    this.status = new Promise((resolve) => this.stream.on('status', ({ code }) => resolve(status[code])));
    this.next = reader(this.stream);
    this.sent.set(0, now());
    const acquire = holder.request(ttlMs, waitMs);
    const start = HoldStart.create({ acquire, fencingToken, grace: duration(graceMs) });
    this.say({ $case: 'start', value: start });
  }

  say(message: NonNullable<HoldRequest['message']>): void {
    this.stream.write({ message });
  }

  beat(sequence: number): void {
    this.sent.set(sequence, now());
    this.say({ $case: 'heartbeat', value: { sequence } });
  }

  /** Reads until an event of that kind comes. */
  async expect<Kind extends Event['$case']>(wanted: Kind) {
    for (;;) {
      const { event, sequence } = await this.next();
      if (event?.$case === wanted) return { sequence, value: valueOf(event, wanted) };
    }
  }
}

/** What every language can tell of an error; LEASE_LOST says why, too. */
export function errorOf(error: ServiceError): Record<string, unknown> {
  const info = detail(error, ErrorInfo);
  const { lost_reason } = info.metadata;
  return {
    code: status[error.code],
    reason: info.reason,
    trailer: error.metadata.get('holdfast-reason')[0],
    ...(lost_reason && { lost_reason }),
  };
}

/** One of the details of an error, which come as a google.rpc.Status in its trailers. */
export function detail<Detail>(
  error: ServiceError,
  kind: { $type: string; decode(bytes: Uint8Array): Detail },
): Detail {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  const { details } = Status.decode(bytes as Buffer);
  const packed = details.find(({ typeUrl }) => typeUrl.endsWith(`/${kind.$type}`));
  if (!packed) throw new Error(`no ${kind.$type} came with ${error}`);
  return kind.decode(packed.value);
}

/** The error that a call ends with. */
export async function failure(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('it worked');
}
