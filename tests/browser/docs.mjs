// Checks of the API docs: Swagger UI and its sign-in box.

import assert from 'node:assert/strict';

import {
  accessible, admin, alert, base, button, call, check, context, finish, logIn, nothingOverflows, page, password,
  picture, says, show, signedIn, signIn, tabTo,
} from './page.mjs';

const operation = (id) => page.locator(`#operations-${id}`);
const WHOAMI = 'session-whoami';
const ISSUE = 'tokens-issueToken';
const REVOKE = 'tokens-revokeToken';

async function open() {
  await page.goto(`${base}/docs`);
  await operation(WHOAMI).waitFor();
}

async function openSignedOut() {
  await open();
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await operation(WHOAMI).waitFor();
}

async function unfold(id) {
  const summary = operation(id).locator('.opblock-summary-control');
  if ((await summary.getAttribute('aria-expanded')) === 'false') await summary.click();
}

/** Presses Execute, and returns what the page then shows of the answer. */
async function execute(id) {
  await unfold(id);
  const [answer] = await Promise.all([
    page.waitForResponse((answer) => answer.url().includes('/v1/')),
    operation(id).getByRole('button', { name: 'Execute' }).click(),
  ]);
  await says(operation(id).locator('.headerline'), answer.headers()['x-request-id']);
  return shown(id);
}

async function shown(id) {
  const answer = operation(id).locator('.live-responses-table');
  const status = Number.parseInt(await answer.locator('tbody .response-col_status').textContent(), 10);
  const headers = (await answer.locator('.headerline').allTextContents()).join('\n');
  const body = answer.locator('.response-col_description .highlight-code .microlight');
  return { status, headers, body: (await body.count()) ? JSON.parse(await body.innerText()) : null };
}

/** All that the browser keeps of this site. */
const kept = async () => ({
  ...(await page.evaluate(() => ({ ...localStorage, ...sessionStorage }))),
  ...Object.fromEntries((await context.cookies()).map(({ name, value }) => [name, value])),
});

let issued;

await open();

await check('who has not signed in is refused, and told why', async () => {
  const { status, headers, body } = await execute(WHOAMI);
  assert.equal(status, 401);
  assert.match(headers, /content-type: application\/problem\+json/);
  assert.equal(body.title, 'Unauthorized');
});

await check('the box signs in, and whoami answers 200 with who it is', async () => {
  await signIn(admin, password);
  await says(signedIn, admin);
  await page.getByRole('button', { name: 'authorization button locked' }).first().waitFor();
  const { status, body } = await execute(WHOAMI);
  assert.equal(status, 200);
  assert.equal(body.user.username, admin);
  assert.equal(body.token.name, 'Swagger UI');
});

await check('it issues a token that works', async () => {
  assert.equal((await execute(ISSUE)).status, 201); // as the example has it
  await page.getByLabel('Request body').fill(JSON.stringify({ name: 'from the docs', ttl: 3600 }));
  const { status, body } = await execute(ISSUE);
  assert.equal(status, 201);
  assert.equal((await call('GET', '/v1/me', body.token)).token.name, 'from the docs');
  issued = body;
});

await check('it revokes that token, and whoami with it is the problem 401, each time', async () => {
  await unfold(REVOKE);
  await operation(REVOKE).getByRole('textbox', { name: 'id' }).fill(issued.id);
  assert.equal((await execute(REVOKE)).status, 204);

  await button('Authorize').click();
  const dialog = page.getByRole('dialog', { name: 'Available authorizations' });
  await dialog.getByRole('button', { name: 'Logout' }).first().click();
  await dialog.locator('input').first().fill(issued.token);
  await dialog.getByRole('button', { name: 'Authorize' }).first().click();
  await dialog.getByRole('button', { name: 'Close' }).last().click();

  // After a refusal the page asks whether its own token works still; it does, and must not take the other's place.
  for (let tries = 0; tries < 2; tries += 1) {
    const asked = page.waitForResponse((answer) => answer.url().endsWith('/v1/me') && answer.status() === 200);
    const { status, headers, body } = await execute(WHOAMI);
    assert.equal(status, 401);
    assert.match(headers, /content-type: application\/problem\+json/);
    assert.match(headers, /www-authenticate: Bearer/);
    assert.equal(body.title, 'Token revoked');
    assert.equal(body.status, 401);
    await asked;
  }
  await says(signedIn, admin);
});

await check('who did not ask to stay is forgotten by a reload', async () => {
  assert.deepEqual(await kept(), {});
  await page.reload();
  await button('Sign in').waitFor();
  assert.equal((await execute(WHOAMI)).status, 401);
});

await check('who asked to stay is signed in after a reload, and in the console', async () => {
  await signIn(admin, password, { stay: true });
  await says(signedIn, admin);
  assert.deepEqual(Object.keys(await kept()), ['daypass.token']);
  await page.reload();
  await says(signedIn, admin);
  await page.getByRole('button', { name: 'authorization button locked' }).first().waitFor();
  assert.equal((await execute(WHOAMI)).status, 200);
  await page.goto(`${base}/console`);
  await says(signedIn, admin);
  await open();
});

await check('signing out ends the token, and nothing is kept of it', async () => {
  await says(signedIn, admin);
  const { 'daypass.token': token } = await kept();
  await Promise.all([page.waitForResponse(/\/v1\/logout$/), button('Sign out').click()]);
  await button('Sign in').waitFor();
  assert.deepEqual(await kept(), {});
  await assert.rejects(call('GET', '/v1/me', token), /401/);
  assert.equal((await execute(WHOAMI)).status, 401);
});

await check('when the token was ended elsewhere, the next try says so and brings the box back', async () => {
  await signIn(admin, password, { stay: true });
  await says(signedIn, admin);
  assert.equal((await execute(WHOAMI)).status, 200);
  await call('POST', '/v1/logout-all', await logIn());
  assert.equal((await execute(WHOAMI)).status, 401);
  await says(alert, 'no longer works');
  await button('Sign in').waitFor();
  assert.deepEqual(await kept(), {});
});

await check('the keyboard alone signs in and runs an operation', async () => {
  await openSignedOut();
  await tabTo('#username');
  await page.keyboard.type(admin);
  await tabTo('#password', 1);
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await says(signedIn, admin);
  await page.getByRole('button', { name: 'authorization button locked' }).first().waitFor();
  await tabTo(`#operations-${WHOAMI} .opblock-summary-control`);
  await page.keyboard.press('Enter');
  await operation(WHOAMI).getByRole('button', { name: 'Execute' }).waitFor();
  await tabTo(`#operations-${WHOAMI} .execute`);
  await page.keyboard.press('Enter');
  await operation(WHOAMI).locator('.live-responses-table .response-col_status', { hasText: '200' }).waitFor();
  assert.equal((await shown(WHOAMI)).body.user.username, admin);
  await tabTo(`#operations-${WHOAMI} .live-responses-table .microlight`); // to scroll in it
});

await check('the dialog takes the focus, closes with Escape, and gives the focus back', async () => {
  await page.locator('#sign-out').focus();
  await tabTo('.btn.authorize');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.waitForFunction(() => document.activeElement.closest('[role=dialog]'));
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.activeElement.matches('.btn.authorize'));
});

// Swagger UI draws these so, and no attribute of ours would mend it.
const THEIRS = [
  'nested-interactive', // the path within an operation's button is a link
  'heading-order', // h6 in the dialog, below h3 and h4
  'landmark-unique', // an operation's tables of answers, the live and the documented, are one region in another
];

for (const width of [390, 1440]) {
  for (const colorScheme of ['light', 'dark']) {
    const name = `docs-${width}-${colorScheme}`;
    await check(`it is readable at ${width} pixels, ${colorScheme}, and accessible`, async () => {
      await show(width, colorScheme);
      await openSignedOut();
      await nothingOverflows();
      await page.screenshot({ path: picture(`${name}-start`) });
      await signIn(admin, password);
      await says(signedIn, admin);
      await page.screenshot({ path: picture(name), fullPage: true });

      assert.equal((await execute(WHOAMI)).status, 200);
      await operation(WHOAMI).screenshot({ path: picture(`${name}-answer`) });
      // One with parameters, and one with a body, that is shown as a schema too.
      await unfold('tokens-listTokens');
      await unfold('session-login');
      await operation('session-login').getByText('Schema', { exact: true }).first().click();
      await operation('session-login').locator('.model-box').first().waitFor();
      await nothingOverflows();
      await accessible(['body'], { exclude: ['#ui'] });
      await accessible(['#ui'], { without: THEIRS });
      await operation('tokens-listTokens').screenshot({ path: picture(`${name}-parameters`) });

      await button('Authorize').click();
      await page.getByRole('dialog').waitFor();
      await nothingOverflows();
      await accessible(['.modal-ux'], { without: THEIRS });
      await page.screenshot({ path: picture(`${name}-dialog`) });
    });
  }
}

await finish();
