import { ConnectError } from '@connectrpc/connect';
import { told, watchLeader } from './leader.js';

const form = document.querySelector('form');
const leader = document.querySelector('#leader');
let looking = new AbortController();

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  looking.abort();
  looking = new AbortController();
  const { signal } = looking;
  const { server, token, resource } = Object.fromEntries(new FormData(form));
  const show = (state) => {
    leader.textContent = told(state);
  };
  try {
    await watchLeader({ server, token, resource, signal, show });
  } catch (error) {
    const { message, metadata } = ConnectError.from(error);
    leader.textContent = `refused: ${metadata.get('holdfast-reason') ?? message}`;
  }
});
