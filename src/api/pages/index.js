'use strict';

const WORDS = { ok: 'Ready', degraded: 'Degraded', unavailable: 'Unavailable' };
const $ = (id) => document.getElementById(id);

for (const place of document.querySelectorAll('[data-origin]')) place.textContent = location.origin;
for (const place of document.querySelectorAll('[data-host]')) place.textContent = location.host;

async function ask() {
  let ready = {};
  try {
    // An unavailable service says so with 503 and the same body.
    ready = await (await fetch('/readyz', { cache: 'no-store' })).json();
  } catch {
    // Nobody there, or something else answered: shown as such.
  }
  const ailing = (ready.parts ?? []).filter((part) => part.status !== 'ok').map((part) => part.name);
  const word = WORDS[ready.status] ?? 'No answer';
  show('state', ailing.length ? `${word}: ${ailing.join(', ')}` : word);
  show('version', ready.version ? `Version ${ready.version}` : 'Version unknown');
  show('asked', `as of ${new Date().toLocaleTimeString('en-GB')}`);
  $('dot').dataset.status = ready.status ?? 'silent';
}

/** Leaves equal text alone, so that screen readers speak only of changes. */
function show(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

ask();
setInterval(() => document.hidden || ask(), 10_000);
document.addEventListener('visibilitychange', () => document.hidden || ask());
