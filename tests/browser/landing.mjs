// Checks of the landing page and of what it leads to.

import assert from 'node:assert/strict';

import {
  accessible, admin, base, check, finish, nothingOverflows, page, password, picture, says, show, signedIn, signIn,
} from './page.mjs';

await page.goto(base);

await check('it says how the server is', async () => {
  await says(page.getByRole('status'), /Ready|Degraded/);
});

await check('each of its links is answered', async () => {
  const links = await page.getByRole('link').evaluateAll((links) => links.map((link) => link.href));
  assert.ok(links.length > 5, `${links.length} links`);
  for (const link of new Set(links)) {
    assert.equal(new URL(link).origin, new URL(base).origin);
    assert.equal((await fetch(link)).status, 200, link);
  }
});

for (const [name, path] of [['API docs', '/docs'], ['Console', '/console']]) {
  await check(`the bar leads to ${path} and back`, async () => {
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).click();
    await page.waitForURL(base + path);
    const here = page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name });
    assert.equal(await here.getAttribute('aria-current'), 'page');
    await page.getByRole('link', { name: 'Daypass' }).first().click();
    await page.waitForURL(`${base}/`);
  });
}

for (const width of [390, 1440]) {
  for (const colorScheme of ['light', 'dark']) {
    await check(`it and the console are accessible at ${width} pixels, ${colorScheme}`, async () => {
      await show(width, colorScheme);
      await page.goto(base);
      await says(page.getByRole('status'), /Ready|Degraded/);
      await nothingOverflows();
      await accessible(['html']);
      await page.screenshot({ path: picture(`landing-${width}-${colorScheme}`), fullPage: true });

      await page.goto(`${base}/console`);
      await accessible(['html']);
      await signIn(admin, password);
      await says(signedIn, admin);
      await page.getByRole('rowheader', { name: /^purge/ }).first().waitFor();
      for (const table of await page.getByText('The same as a table').all()) await table.click();
      await accessible(['html']);
    });
  }
}

await finish();
