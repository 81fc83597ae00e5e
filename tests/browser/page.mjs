// What the checks of the pages share: a headless Chromium before a server that runs, what is said of each check, and
// the counts. A script of checks is run as `node tests/browser/….mjs URL`, with ADMIN and PASSWORD in the environment
// and CHROMIUM the browser's path.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const target = new URL('../../target/', import.meta.url);
const tools = createRequire(new URL('tools/browser/', target));
export const base = process.argv[2];
export const { ADMIN: admin, PASSWORD: password } = process.env;

const screenshots = new URL('screenshots/', target).pathname;
mkdirSync(screenshots, { recursive: true });
export const picture = (name) => `${screenshots}${name}.png`;

// The server

export async function call(method, path, token, body) {
  const answer = await fetch(base + path, {
    method,
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

export const logIn = async () => (await call('POST', '/v1/login', null, { username: admin, password })).token;

async function ready() {
  for (let tries = 0; tries < 150; tries += 1) {
    if (await fetch(`${base}/readyz`).then((answer) => answer.ok, () => false)) return;
    await sleep(200);
  }
  throw new Error(`no server at ${base}`);
}

await ready();

// The browser, which finds no host but the server's, and what it complains of

const { hostname, origin } = new URL(base);
const browser = await tools('playwright-core').chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${hostname}`,
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  ],
});
const viewport = { width: 1440, height: 900 };
export const context = await browser.newContext({ viewport, colorScheme: 'light', reducedMotion: 'reduce' });
context.setDefaultTimeout(10_000);
export const page = await context.newPage();
const complaints = [];
const elsewhere = [];
context.on('request', (request) => {
  const url = new URL(request.url());
  if (url.origin !== origin && url.protocol !== 'data:') elsewhere.push(request.url());
});
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('console', (message) => {
  // Chromium notes each refused or failed request too, and some of those are wanted here.
  const refused = message.text().startsWith('Failed to load resource');
  if (message.type() === 'error' && !refused) complaints.push(message.text());
});

export const button = (name) => page.getByRole('button', { name, exact: true });
export const alert = page.getByRole('alert');
export const signedIn = page.getByRole('region', { name: 'Signed in as' });

export async function signIn(name, secret, { stay = false } = {}) {
  await page.getByLabel('User name').fill(name);
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByLabel('Stay signed in').setChecked(stay);
  await button('Sign in').click();
}

export async function says(locator, words) {
  await locator.filter({ hasText: words }).waitFor();
}

/** Presses Tab until what has the focus matches. */
export async function tabTo(selector, most = 40) {
  for (let presses = 0; presses < most; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
  }
  assert.fail(`Tab does not lead to ${selector}`);
}

/** Shows the page in a width and in light or dark colours. */
export async function show(width, colorScheme) {
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme });
  // What follows the width does so when the next frame is drawn.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
}

/** Nothing is wider than the page, reaches beyond its right edge, or is a choice that is cut off. */
export async function nothingOverflows() {
  const cut = await page.evaluate(() => {
    const edge = document.documentElement.clientWidth;
    const beyond = [...document.querySelectorAll('body *')].filter((element) => {
      const { width, right } = element.getBoundingClientRect();
      return width > 1 && right > edge + 1 && !element.closest('svg');
    });
    const narrow = [...document.querySelectorAll('select')].filter((select) => {
      if (select.offsetWidth === 0) return false;
      const free = select.cloneNode(true);
      free.value = select.value;
      free.style.cssText = 'position: absolute; width: auto; max-width: none; min-width: 0';
      select.after(free);
      const wanted = free.offsetWidth;
      free.remove();
      return wanted > select.offsetWidth + 1;
    });
    const wide = document.documentElement.scrollWidth > edge ? [document.documentElement] : [];
    return [...wide, ...beyond, ...narrow].slice(0, 5).map((element) => element.cloneNode(false).outerHTML);
  });
  assert.deepEqual(cut, []);
}

/** What axe finds wrong within `include`, but for the rules named. */
export async function accessible(include, { exclude = [], without = [] } = {}) {
  await page.evaluate(readFileSync(tools.resolve('axe-core/axe.min.js'), 'utf8'));
  const violations = await page.evaluate(async ([include, exclude, without]) => {
    const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]));
    const { violations } = await window.axe.run({ include, exclude }, { rules });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  }, [include, exclude, without]);
  assert.deepEqual(violations, []);
}

// The checks

let passed = 0;
let failed = 0;

export async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

/** The last check, and the counts. */
export async function finish() {
  await check('no request went elsewhere, and the browser has no complaint', async () => {
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(complaints, []);
  });
  await browser.close();
  // As cargo's runner ends, for tests/run to count.
  console.log(`\ntest result: ${failed ? 'FAILED' : 'ok'}. ${passed} passed; ${failed} failed; in Chromium`);
  process.exitCode = failed ? 1 : 0;
}
