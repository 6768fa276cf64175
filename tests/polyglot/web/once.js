import { told, watchLeader } from './leader.js';

const looking = new AbortController();
const show = (state) => {
  console.log(told(state));
  looking.abort();
};
await watchLeader({ server: 'http://127.0.0.1:7420', resource: 'daily-report', signal: looking.signal, show });
