'use strict';

// The token lives in this page's memory, and in localStorage only for those who asked to stay signed in.
const KEY = 'daypass.token';
const EXPIRED = 'The token has expired. Sign in again.';
const ENDED = 'The token no longer works: it was revoked or has expired. Sign in again.';
const $ = (id) => document.getElementById(id);
const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const say = (message) => ($('alert').textContent = message);

/** `{ token, username, ends }` while signed in; `ends` is in milliseconds of this machine's clock. */
let session = null;
let loaded = false;
let storage = null;
try {
  storage = localStorage;
} catch {
  // Switched off: nothing is remembered, and all else works.
}

const ui = SwaggerUIBundle({
  dom_id: '#ui',
  url: '/openapi.json',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: 'list',
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete() {
    loaded = true;
    authorise();
  },
  responseInterceptor(answer) {
    // The token may have been revoked elsewhere, or just here by trying a log-out.
    if (session && (answer.status === 401 || /\/logout/.test(answer.url))) verify(session.token, ENDED).catch(() => {});
    return answer;
  },
});

async function signIn(event) {
  event.preventDefault();
  const { username, password, stay, submit } = $('form').elements;
  submit.disabled = true;
  say('');
  try {
    const answer = await fetch('/v1/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: username.value, password: password.value, name: 'Swagger UI' }),
    });
    if (!answer.ok) throw new Error(await reason(answer));
    const { token, user, expires_in } = await answer.json();
    if (stay.checked) storage?.setItem(KEY, token);
    begin(token, user.username, expires_in);
    $('pass').focus();
  } catch (error) {
    say(error instanceof TypeError ? 'The server did not answer.' : error.message);
    password.focus();
  } finally {
    password.value = '';
    submit.disabled = false;
  }
}

/** Says in a sentence why the server refused. */
async function reason(answer) {
  const { title, detail } = await answer.json().catch(() => ({}));
  const wait = answer.headers.get('Retry-After');
  if (!wait) return detail ?? title ?? `The server answered ${answer.status}.`;
  return `${answer.status === 429 ? 'Too many attempts' : title}. Try again in ${wait} s.`;
}

async function signOut() {
  const { token } = session;
  end('');
  const answer = await fetch('/v1/logout', { method: 'POST', headers: bearer(token) }).catch(() => null);
  if (!answer?.ok && answer?.status !== 401) {
    say('Signed out here, but the server did not confirm it: the token may work until it expires.');
  }
}

/** Asks the server whether the token works and for how long: its end may have moved. Returns whether it does. */
async function verify(token, farewell) {
  const before = session;
  const answer = await fetch('/v1/me', { headers: bearer(token) });
  if (session !== before) return true; // overtaken by a sign-in or sign-out
  if (answer.ok) {
    const me = await answer.json();
    begin(token, me.user.username, me.token.expires_in);
  } else if (answer.status === 401) {
    end(farewell);
  }
  return answer.ok;
}

function begin(token, username, seconds) {
  // Counted from now, so that a wrong clock on this machine does no harm; one second more, as the rest was cut off.
  session = { token, username, ends: Date.now() + (seconds + 1) * 1000 };
  authorise();
  show();
}

function end(message) {
  const focused = $('pass').contains(document.activeElement);
  session = null;
  storage?.removeItem(KEY);
  if (loaded) ui.authActions.logout(['bearerAuth', 'tokenAuth']);
  show();
  say(message);
  if (focused) $('username').focus();
}

/** Hands the token to "Try it out", once Swagger UI knows the schemes. */
function authorise() {
  if (!session || !loaded) return;
  ui.preauthorizeApiKey('bearerAuth', session.token);
  ui.preauthorizeApiKey('tokenAuth', `Token ${session.token}`);
}

function show() {
  $('form').hidden = Boolean(session);
  $('pass').hidden = !session;
  $('name').textContent = session?.username;
  tick();
}

function tick() {
  if (!session) return;
  const left = session.ends - Date.now();
  if (left > 0) $('ends').textContent = `expires ${when(session.ends)} (in ${span(left)})`;
  else expire();
}

/** Use may have moved the end, which only the server knows. If it does not tell, the token counts as expired. */
async function expire() {
  const { token } = session;
  session.ends = Infinity; // so that the next tick does not ask again
  const works = await verify(token, EXPIRED).catch(() => false);
  if (!works && session?.token === token) end(EXPIRED);
}

function when(time) {
  const today = new Date(time).toDateString() === new Date().toDateString();
  const date = today ? {} : { day: 'numeric', month: 'short', year: 'numeric' };
  return new Date(time).toLocaleString('en-GB', { ...date, hour: '2-digit', minute: '2-digit' });
}

function span(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${seconds} s`;
}

async function restore() {
  const token = storage?.getItem(KEY);
  if (token) await verify(token, ENDED).catch(() => {});
  show();
  if (!session && storage?.getItem(KEY)) say('The saved sign-in could not be checked. Reload to try again.');
}

$('form').addEventListener('submit', signIn);
$('sign-out').addEventListener('click', signOut);
setInterval(tick, 1000);
restore();
