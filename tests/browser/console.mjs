// Checks of the console.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  admin, alert, base, button, call, check, finish, logIn, nothingOverflows, page, password, picture, says, show,
  signedIn, signIn, tabTo,
} from './page.mjs';

// What the server is filled with

const own = await logIn();
for (const hours of [1, 1, 2, 5, 30, 30, 30, 100]) {
  await call('POST', '/v1/tokens', own, { name: `ends in ${hours} h`, ttl: hours * 3600 });
}
await call('POST', '/v1/users', own, { username: 'visitor', password: 'quiet rivers bend slowly' });

const state = page.getByRole('region', { name: 'State' }).getByRole('status');
const runs = page.getByRole('table', { name: 'Recent runs' }).getByRole('row');

/** How many pixels of a canvas have the colour of a variable of the style sheet, edges that are half there included. */
function pixels(selector, variable) {
  return page.evaluate(([selector, variable]) => {
    const canvas = document.querySelector(`${selector} canvas`);
    const wanted = getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
    const parts = wanted.match(/[0-9a-f]{2}/g).map((part) => parseInt(part, 16));
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
      found += data[at + 3] > 100 && parts.every((part, which) => Math.abs(data[at + which] - part) < 4);
    }
    return found;
  }, [selector, variable]);
}

async function drawn(selector, variable, least) {
  let found;
  for (let tries = 0; tries < 20; tries += 1) {
    found = await pixels(selector, variable);
    if (found >= least) return;
    await sleep(100);
  }
  assert.fail(`${found} pixels of ${selector} have the colour ${variable}`);
}

// The checks

await page.goto(`${base}/console`);

await check('a wrong password gets a message and the box again', async () => {
  await signIn(admin, 'not the password');
  await says(alert, /password|credentials/i);
  await page.getByRole('form', { name: 'Sign in' }).waitFor();
  assert.equal(await page.getByLabel('Password').inputValue(), '');
});

await check('who is no administrator is told so, and gets the box again', async () => {
  await signIn('visitor', 'quiet rivers bend slowly');
  await says(alert, 'daypass:admin');
  assert.ok(await button('Sign in').isVisible());
  assert.ok(!(await page.getByRole('heading', { name: 'Jobs' }).isVisible()));
});

await check('the keyboard alone signs in', async () => {
  await page.reload();
  await tabTo('#username');
  await page.keyboard.type(admin);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await says(signedIn, admin);
});

await check('it says how things are, and lists the jobs', async () => {
  await says(state, /All is well|Needs attention/);
  const jobs = page.getByRole('table', { name: 'Jobs' });
  await jobs.getByRole('rowheader', { name: /^purge/ }).waitFor();
  assert.deepEqual(await jobs.getByRole('columnheader').allTextContents(),
    ['Job', 'State', 'Next run', 'Last run', 'Last success']);
});

await check('landmarks and headings have names', async () => {
  await page.getByRole('banner').waitFor();
  await page.getByRole('main').waitFor();
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
  await page.getByRole('heading', { level: 1, name: 'Maintenance' }).waitFor();
  const second = await page.getByRole('heading', { level: 2 }).allTextContents();
  assert.deepEqual(second, ['State', 'Purge', 'Jobs', 'Tokens by hour of expiry', 'Purge runs', 'Recent runs']);
  for (const name of ['State', 'Purge', 'Jobs', 'Recent runs']) {
    await page.getByRole('region', { name, exact: true }).waitFor();
  }
});

await check('the chart of expiries is drawn, in words, and a table', async () => {
  await page.getByRole('img', { name: 'Tokens by hour of expiry' }).waitFor();
  await says(page.locator('#expiries-summary'), /tokens expire in the coming 7 days/);
  await drawn('#expiries-chart', '--bar', 100);
  await page.getByText('The same as a table').first().click();
  const table = page.getByRole('table', { name: 'Tokens that expire in each hour' });
  assert.equal(await table.getByRole('rowheader').count(), 168);
  const numbers = (await table.getByRole('cell').allTextContents()).map((text) => Number(text.replace(/\D/g, '')));
  assert.ok(numbers.reduce((sum, number) => sum + number) >= 8, 'fewer tokens than were issued');
});

await check('"Purge now" by keyboard makes a run appear without a reload, and the focus stays', async () => {
  // The purge at the start comes first, or it could be what is running.
  await page.locator('#purges th').first().waitFor({ state: 'attached', timeout: 30_000 });
  const before = await runs.count();
  const ids = await page.locator('#runs time').evaluateAll((times) => times.map((time) => time.dateTime));
  await page.evaluate(() => (window.sameDocument = true));
  await page.locator('#sign-out').focus();
  await tabTo('#purge');
  await page.keyboard.press('Enter');
  await says(page.locator('#said'), /A purge began on|Purged|is running/);
  await page.waitForFunction((known) => {
    const newest = document.querySelector('#runs time');
    return newest && !known.includes(newest.dateTime);
  }, ids);
  await says(page.locator('#said'), /Purged: .* deleted in/);
  assert.ok((await runs.count()) >= before);
  assert.equal(await page.evaluate(() => window.sameDocument && document.activeElement.id), 'purge');
});

await check('the charts of purge runs are drawn, in words, and a table', async () => {
  await page.getByRole('img', { name: 'Purge runs' }).waitFor();
  await says(page.locator('#purges-summary'), /since .* deleted/);
  await drawn('#durations-chart', '--time', 10);
  await page.getByText('The same as a table').last().click();
  await page.getByRole('table', { name: 'The latest purge runs' }).getByRole('rowheader').first().waitFor();
});

await check('a purge that is running is named', async () => {
  const detail = 'A purge is running on auth-7/1.';
  await page.route('**/v1/maintenance/purge', (route) => route.fulfill({
    status: 409, contentType: 'application/problem+json', json: { title: 'Conflict', status: 409, detail },
  }));
  await button('Purge now').click();
  await says(page.locator('#said'), detail);
  await page.unroute('**/v1/maintenance/purge');
});

await check('a server that stops answering is noticed, and its return', async () => {
  await page.route('**/v1/maintenance**', (route) => route.abort());
  await says(state, /does not answer\. What you see is from \d\d:\d\d:\d\d/);
  assert.ok(await page.getByRole('table', { name: 'Jobs' }).isVisible(), 'the last answer is gone');
  await page.screenshot({ path: picture('console-stale') });
  await page.unroute('**/v1/maintenance**');
  await says(state, /All is well|Needs attention/);
});

await check('nobody is asked while the page is hidden', async () => {
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  let asked = 0;
  const counting = () => (asked += 1);
  await hide(true);
  await sleep(500); // what was under way
  page.on('request', counting);
  await sleep(2500);
  assert.equal(asked, 0);
  await Promise.all([page.waitForRequest(/\/v1\/maintenance/), hide(false)]);
  page.off('request', counting);
});

for (const width of [390, 1440]) {
  for (const colorScheme of ['light', 'dark']) {
    await check(`nothing overflows at ${width} pixels, ${colorScheme}, and the charts follow`, async () => {
      await show(width, colorScheme);
      await drawn('#expiries-chart', '--bar', 30);
      await nothingOverflows();
      await page.screenshot({ path: picture(`console-${width}-${colorScheme}`), fullPage: true });
    });
  }
}

await check('a token that was ended elsewhere gets a message and the box again', async () => {
  await call('POST', '/v1/logout-all', await logIn());
  await says(alert, 'no longer works');
  await button('Sign in').waitFor();
});

await check('/ leads to the console', async () => {
  await page.goto(base);
  await page.getByRole('navigation').getByRole('link', { name: 'Console' }).click();
  await page.getByRole('heading', { name: 'Maintenance' }).waitFor();
});

await finish();
