// Who leads, at every change, for as long as somebody looks.
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { LockService } from './gen/holdfast/v1/lock_service_pb.js';

const BOOKMARK_S = 5n; // The server confirms an unchanged state this often:
const SILENCE_MS = 15_000; // a stream that says nothing for so long is dead, whatever the browser believes.
const PAUSES_MS = [250, 5_000];
// Another try would change nothing.
const FINAL = [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument, Code.Unimplemented];

/** Calls `show` with every state, until `signal` aborts. Throws when there is no use in going on. */
export async function watchLeader({ server, token, resource, signal, show }) {
  const bearer = (next) => (request) => {
    if (token) request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  const locks = createClient(LockService, createGrpcWebTransport({ baseUrl: server, interceptors: [bearer] }));
  let newest = 0n; // The newest term that was seen: no replica shows an older one from then on.
  let [pause, longest] = PAUSES_MS;
  while (!signal.aborted) {
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), SILENCE_MS);
    try {
      const request = { resource, afterFencingToken: newest, bookmarkInterval: { seconds: BOOKMARK_S } };
      for await (const { state } of locks.watchLeader(request, { signal: AbortSignal.any([signal, silent.signal]) })) {
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENCE_MS);
        [pause] = PAUSES_MS;
        if (state.case === 'leader') newest = state.value.fencingToken;
        show(state);
      }
    } catch (error) {
      const { code, rawMessage } = ConnectError.from(error);
      if (FINAL.includes(code)) throw error;
      if (!signal.aborted) show({ case: 'lost', value: rawMessage });
    } finally {
      clearTimeout(timer);
    }
    // Not all pages at once, when a server comes back.
    await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random())));
    pause = Math.min(pause * 2, longest);
  }
}

/** In words. */
export function told({ case: what, value }) {
  switch (what) {
    case 'leader':
      return `${value.holder} leads, term ${value.fencingToken}`;
    case 'vacant':
      return 'nobody leads';
    case 'unknown':
      return 'who leads cannot be told at present';
    default:
      return `connecting again: ${value}`;
  }
}
