// The sign-in box. The token lives in the page's memory, and in localStorage only for those who asked to stay signed
// in; there the pages share it.

import { $, span, when } from './text.js';

export const ENDED = 'The token no longer works: it was revoked or has expired. Sign in again.';
const EXPIRED = 'The token has expired. Sign in again.';
const KEY = 'daypass.token';

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const say = (message) => ($('alert').textContent = message);

/** `{ token, username, ends }` while signed in; `ends` is in milliseconds of this machine's clock. */
export let session = null;

let storage = null;
try {
  storage = localStorage;
} catch {
  // Switched off: nothing is remembered, and all else works.
}

const BOX = `
  <form class="sign-in" id="form" method="post" aria-labelledby="invitation" hidden>
    <p id="invitation"></p>
    <label>User name
      <input id="username" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="150" required>
    </label>
    <label>Password
      <input id="password" type="password" autocomplete="current-password" maxlength="1024" required>
    </label>
    <label class="check"><input id="stay" type="checkbox"> Stay signed in on this browser</label>
    <button class="button" id="submit">Sign in</button>
  </form>

  <section class="ticket pass" id="pass" tabindex="-1" aria-labelledby="who" hidden>
    <p id="who">Signed in as <b id="name"></b> · <span id="ends"></span></p>
    <button id="sign-out" type="button">Sign out</button>
  </section>

  <p class="alert" id="alert" role="alert"></p>`;

let page;

/** Puts the box where the page has its place, under words that invite to it. `name` is what the tokens are called;
 *  `refuses(token)` says why the page is not for their holder, if it is not; `begun` and `ended` are called when somebody
 *  is signed in or in again, and when nobody is any more. */
export function start({ invitation, name, refuses = () => null, begun, ended }) {
  $('sign-in').innerHTML = BOX;
  $('invitation').textContent = invitation;
  page = { name, refuses, begun, ended };
  $('form').addEventListener('submit', signIn);
  $('sign-out').addEventListener('click', signOut);
  setInterval(tick, 1000);
  restore();
}

async function signIn(event) {
  event.preventDefault();
  const { username, password, stay, submit } = $('form').elements;
  submit.disabled = true;
  say('');
  try {
    const answer = await fetch('/v1/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: username.value, password: password.value, name: page.name }),
    });
    if (!answer.ok) throw new Error(await reason(answer));
    const { token, user, expires_in } = await answer.json();
    const refusal = await page.refuses(token);
    if (refusal) {
      logOut(token);
      throw new Error(refusal);
    }
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
export async function reason(answer) {
  const { title, detail } = await answer.json().catch(() => ({}));
  const wait = answer.headers.get('Retry-After');
  if (!wait) return detail ?? title ?? `The server answered ${answer.status}.`;
  return `${answer.status === 429 ? 'Too many attempts' : title}. Try again in ${wait} s.`;
}

const logOut = (token) => fetch('/v1/logout', { method: 'POST', headers: bearer(token) }).catch(() => null);

async function signOut() {
  const { token } = session;
  end('');
  const answer = await logOut(token);
  if (!answer?.ok && answer?.status !== 401) {
    say('Signed out here, but the server did not confirm it: the token may work until it expires.');
  }
}

/** Asks the server whether the token works and for how long: its end may have moved. Returns whether it does. */
export async function verify(token, farewell) {
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
  show();
  page.begun();
}

/** Nobody is signed in any more; the message says why. */
export function end(message) {
  const focused = document.activeElement;
  session = null;
  storage?.removeItem(KEY);
  page.ended();
  show();
  say(message);
  if (focused.getClientRects().length === 0) $('username').focus(); // it went out of sight
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

async function restore() {
  const token = storage?.getItem(KEY);
  const refusal = token && (await page.refuses(token));
  if (token && !refusal) await verify(token, ENDED).catch(() => {});
  show();
  // A refused token stays where it is: it is good for other pages.
  if (refusal) say(refusal);
  else if (!session && storage?.getItem(KEY)) say('The saved sign-in could not be checked. Reload to try again.');
}
