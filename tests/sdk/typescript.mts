// The generated TypeScript client before a server that runs. One line for each check, then the counts.
//
// node typescript.mjs URL, with ADMIN and PASSWORD in the environment; compiled in target/sdk, beside the generated types.

import assert from 'node:assert/strict';

import createClient from 'openapi-fetch';
import type { components, paths } from './daypass.js';

type Schema = components['schemas'];

const base = process.argv[2]!;
const ownPassword = 'quiet rivers bend slowly';

function withToken(token?: string) {
  return createClient<paths>({ baseUrl: base, headers: token ? { Authorization: `Bearer ${token}` } : {} });
}

async function logIn(username: string, password: string): Promise<Schema['IssuedToken']> {
  const { data, error } = await withToken().POST('/v1/login', { body: { username, password } });
  assert.ok(data, error?.detail);
  return data;
}

function assertProblem(error: Schema['Problem'] | undefined, status: number, type: string) {
  assert.ok(error, 'no error');
  assert.deepEqual([error.status, error.type], [status, type]);
}

let passed = 0;
let failed = 0;

async function check(name: string, body: () => Promise<void>) {
  try {
    await body();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${(error as Error).stack}`);
  }
}

let mine = withToken();
const issued: Schema['IssuedToken'][] = [];

await check('TypeScript logs in', async () => {
  const admin = withToken((await logIn(process.env.ADMIN!, process.env.PASSWORD!)).token);
  const { data } = await admin.POST('/v1/users', { body: { username: 'typescript', password: ownPassword } });
  assert.equal(data?.last_login_at, null);
  const session = await logIn('typescript', ownPassword);
  assert.deepEqual([session.kind, session.user?.username], ['session', 'typescript']);
  mine = withToken(session.token);
});

await check('TypeScript issues', async () => {
  for (const number of [0, 1, 2]) {
    const { data } = await mine.POST('/v1/tokens', { body: { name: `number ${number}`, ttl: 3600 } });
    assert.ok(data);
    assert.deepEqual([data.kind, Date.parse(data.expires_at) - Date.parse(data.created_at)], ['api', 3_600_000]);
    issued.push(data);
  }
});

await check('TypeScript checks', async () => {
  const { data } = await withToken(issued[0]!.token).GET('/v1/check');
  assert.ok(data?.active);
  assert.deepEqual([data.id, data.name, data.user?.username], [issued[0]!.id, 'number 0', 'typescript']);
});

await check('TypeScript lists two pages', async () => {
  const first = await mine.GET('/v1/tokens', { params: { query: { limit: 2 } } });
  assert.equal(first.data?.items.length, 2);
  const cursor = first.data.next_cursor;
  assert.ok(cursor);
  const second = await mine.GET('/v1/tokens', { params: { query: { limit: 2, cursor } } });
  assert.ok(second.data);
  assert.equal(second.data.next_cursor, null);
  const names = [...first.data.items, ...second.data.items].map((token) => token.name);
  assert.deepEqual(names, ['number 2', 'number 1', 'number 0', null]);
});

await check('TypeScript is told of a bad token, with a type', async () => {
  const { error } = await withToken('dps_nonsense').GET('/v1/tokens');
  assertProblem(error, 401, 'urn:problem-type:daypass:token-unknown');
});

await check('TypeScript is told of an unknown id, with a type', async () => {
  const { error } = await mine.GET('/v1/tokens/{id}', { params: { path: { id: crypto.randomUUID() } } });
  assertProblem(error, 404, 'about:blank');
});

await check('TypeScript revokes', async () => {
  const path = { id: issued[0]!.id };
  const { response } = await mine.DELETE('/v1/tokens/{id}', { params: { path } });
  assert.equal(response.status, 204);
  const { data } = await mine.GET('/v1/tokens/{id}', { params: { path } });
  assert.equal(data?.state, 'revoked');
  const { error } = await withToken(issued[0]!.token).GET('/v1/check');
  assertProblem(error, 401, 'urn:problem-type:daypass:token-revoked');
});

// As cargo's runner ends, for tests/run to count.
console.log(`\ntest result: ${failed ? 'FAILED' : 'ok'}. ${passed} passed; ${failed} failed; in TypeScript`);
process.exitCode = failed ? 1 : 0;
