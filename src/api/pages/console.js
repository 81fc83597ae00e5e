// Maintenance at a glance, kept fresh while somebody looks.

import { expiriesChart, purgesCharts } from './console-charts.js';
import {
  about, ago, clock, instant, jobRow, length, line, muted, outcome, runRow, sentence, setClock, sign, tokens, took,
  total,
} from './console-rows.js';
import { ENDED, bearer, end, reason, session, start, verify } from './sign-in.js';
import { $, count, el, fill } from './text.js';

const REFUSAL = 'This account does not have the scope daypass:admin. Sign in with one that has.';

/** What the server last said, `{ status, runs, purges, at }`, and its preview, `{ …, at }`. */
let glance = null;
let preview = null;
/** Why either could not be had just now. */
let failure = null;
let previewFailure = null;
/** The id of the run that the button started, until it has ended. */
let started = null;

// The page

function showState() {
  if (failure) {
    const past = glance ? ` What you see is from ${clock(glance.at)}.` : '';
    fill($('state'), el('p', { class: 'state' }, sign('bad', 'Out of date')), el('p', {}, `${failure}${past}`));
  } else if (glance) {
    const ailing = glance.status.jobs.filter((job) => job.status !== 'ok');
    const word = ailing.length ? sign('bad', 'Needs attention') : sign('good', 'All is well');
    const list = ailing.map((job) => el('li', {}, el('b', {}, job.name), `: ${job.detail ?? 'degraded'}`));
    fill($('state'), el('p', { class: 'state' }, word), ...(list.length ? [el('ul', {}, ...list)] : []));
    fill($('backlog'), sentence(`${tokens(glance.status.backlog, glance.status.backlog_estimated)} to purge`));
  } else {
    fill($('state'), el('p', { class: 'state' }, 'Asking the server…'));
  }
  $('console').classList.toggle('stale', Boolean(failure));
  const effort = failure ? 'trying again every 2 s' : 'renewed every 2 s';
  fill($('as-of'), glance ? `As of ${clock(glance.at)} · ${effort}` : '');
}

function showGlance() {
  showState();
  if (!glance) return;
  fill($('jobs'), ...glance.status.jobs.map(jobRow));
  fill($('runs'), ...glance.runs.map(runRow));
  showPurges(glance.purges.filter((run) => run.finished_at));
  const run = glance.purges.find((run) => run.id === started);
  if (!run?.finished_at) return;
  started = null;
  const ending = run.outcome === 'done' ? 'Purged' : `The purge did not get everything done (${outcome(run)[1]})`;
  say(`${ending}: ${total(run) ? tokens(total(run)) : 'nothing'} deleted in ${took(length(run))}.`);
  askPreview();
}

function showPurges(ended) {
  const runs = ended.map((run) => ({ ...run, total: total(run), took: length(run) }));
  const sum = (key) => runs.reduce((all, run) => all + run[key], 0);
  fill($('purges-summary'), ...(runs.length ? [
    `${runs.length === 1 ? 'One run' : `${runs.length} runs`} since `, instant(runs.at(-1).started_at),
    `: ${tokens(sum('total'))} deleted, ${took(Math.round(sum('took') / runs.length))} a run on average`,
    runs[0].backlog === null ? '.' : `, ${count(runs[0].backlog)} left after the latest.`,
  ] : ['No purge has ended yet.']));
  const left = (run) => (run.backlog === null ? 'not counted' : count(run.backlog));
  fill($('purges'),
    ...runs.map((run) => line([instant(run.started_at)], count(run.total), left(run), took(run.took))));
  drawPurges(runs.toReversed());
}

function showPreview() {
  const said = previewFailure ? `${previewFailure} This is from` : 'As of';
  fill($('preview-of'), preview ? `${said} ${clock(preview.at)}` : previewFailure ?? '');
  if (preview) showForecast(preview);
}

function showForecast({ now, oldest, upcoming, estimated, expiries }) {
  const figure = (label, number, ...note) => el('div', {}, el('dt', {}, label),
    el('dd', {}, el('b', {}, ...(estimated ? [el('small', {}, 'about '), count(number)] : [count(number)])), ...note));
  const age = oldest ? [' · the oldest ended ', el('time', { datetime: oldest, title: oldest }, ago(oldest))] : [];
  const reasons = muted(`${count(now.expired)} expired, ${count(now.revoked)} revoked`, ...age);
  fill($('figures'),
    figure('Would go now', now.expired + now.revoked, reasons),
    figure('More within 1 h', upcoming.within_1h),
    figure('More within 24 h', upcoming.within_24h),
    figure('More within 7 d', upcoming.within_7d));
  const all = expiries.reduce((sum, hour) => sum + hour.tokens, 0);
  const most = expiries.reduce((best, hour) => (hour.tokens > best.tokens ? hour : best), { tokens: 0 });
  const guessed = expiries.some((hour) => hour.estimated);
  const whole = `${tokens(all, guessed)} ${all === 1 ? 'expires' : 'expire'} in the coming 7 days`;
  fill($('expiries-summary'), all
    ? `${sentence(whole)} The fullest hour: ${hourWords(most)}.`
    : 'No token expires in the coming 7 days.');
  fill($('expiries'), ...expiries.map((hour) => line([instant(hour.from)], about(hour.tokens, hour.estimated))));
  $('legend-estimated').hidden = !guessed;
  drawExpiries(expiries);
}

function hourWords(hour) {
  const day = { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
  return `${new Date(hour.from).toLocaleString('en-GB', day)}, ${tokens(hour.tokens, hour.estimated)}`;
}

function runWords(run) {
  if (!run) return '';
  const left = run.backlog === null ? '' : ` ${count(run.backlog)} left,`;
  return `${clock(Date.parse(run.started_at))}: ${count(run.total)} deleted,${left} ${took(run.took)}`;
}

/** What came of the button, with the time, for it stays there. */
const say = (text) => fill($('said'), text && `${clock(Date.now())} · ${text}`);

const drawPurges = purgesCharts(runWords);
const drawExpiries = expiriesChart((at) => (preview?.expiries[at] ? hourWords(preview.expiries[at]) : ''));

// The server

async function ask(path, token, options) {
  const signal = AbortSignal.timeout(10_000);
  const answer = await fetch(path, { headers: bearer(token), cache: 'no-store', signal, ...options });
  setClock(answer);
  if (session?.token === token && answer.status === 401) await verify(token, ENDED);
  if (session?.token === token && answer.status === 403) end(REFUSAL);
  if (!answer.ok) throw new Error(await reason(answer));
  return answer.json();
}

function wording(error) {
  return error instanceof TypeError || error.name === 'TimeoutError' ? 'The server does not answer.' : error.message;
}

/** Returns what does `round` now, and again so long after each, while the page is seen and somebody is signed in. */
function repeat(round, pause) {
  let timer;
  let busy = false;
  return async function next() {
    clearTimeout(timer);
    if (busy || document.hidden || !session) return;
    busy = true;
    try {
      await round(session);
    } finally {
      busy = false;
      timer = setTimeout(next, pause);
    }
  };
}

const askGlance = repeat(async (asker) => {
  try {
    const [status, runs, purges] = await Promise.all(
      ['', '/runs?limit=20', '/runs?limit=50&job=purge'].map((path) => ask(`/v1/maintenance${path}`, asker.token)));
    if (session?.token !== asker.token) return;
    glance = { status, runs: runs.items, purges: purges.items, at: Date.now() };
    failure = null;
  } catch (error) {
    failure = wording(error);
  }
  if (session) showGlance();
}, 2000);

const askPreview = repeat(async (asker) => {
  try {
    const answer = await ask('/v1/maintenance/preview', asker.token);
    if (session?.token !== asker.token) return;
    preview = { ...answer, at: Date.now() };
    previewFailure = null;
  } catch (error) {
    previewFailure = wording(error);
  }
  if (session) showPreview();
}, 10_000);

function look() {
  askGlance();
  askPreview();
}

async function purge() {
  const button = $('purge');
  if (button.ariaDisabled === 'true') return;
  button.ariaDisabled = 'true'; // unlike `disabled`, it leaves the focus where it is
  say('Asking for a purge…');
  try {
    const run = await ask('/v1/maintenance/purge', session.token, { method: 'POST' });
    started = run.id;
    say(`A purge began on ${run.replica}.`);
  } catch (error) {
    say(wording(error)); // 409 names who is running one
  }
  button.ariaDisabled = null;
  askGlance();
}

$('zone').textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
$('purge').addEventListener('click', purge);
document.addEventListener('visibilitychange', look);
start({
  invitation: 'Sign in as an administrator.',
  name: 'Console',
  async refuses(token) {
    const answer = await fetch('/v1/maintenance', { headers: bearer(token) }).catch(() => null);
    return answer?.status === 403 ? REFUSAL : null;
  },
  begun() {
    $('console').hidden = false;
    showGlance();
    look();
  },
  ended() {
    $('console').hidden = true;
    glance = preview = failure = previewFailure = started = null;
    say('');
    // What only administrators may see does not stay behind.
    for (const id of ['backlog', 'figures', 'jobs', 'expiries', 'purges', 'runs']) fill($(id));
    for (const id of ['preview-of', 'expiries-summary', 'purges-summary']) fill($(id), '');
    drawPurges([]);
    drawExpiries([]);
  },
});
