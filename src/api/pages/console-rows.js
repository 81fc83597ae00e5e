// How the console words runs and jobs, and the rows of its tables.

import { count, el, span, when } from './text.js';

const OUTCOMES = {
  done: ['good', 'Done'],
  budget: ['warn', 'Out of time'],
  cancelled: ['idle', 'Cancelled'],
  lost_lease: ['warn', 'Lost its lease'],
  clock: ['bad', 'Clock jumped'],
  failed: ['bad', 'Failed'],
  null: ['busy', 'Running'],
};
const TRIGGERS = { api: 'request', cli: 'command' };
const SIGNS = { good: '✓', warn: '!', bad: '✕', idle: '–', busy: '…' };

/** How far the server's clock is ahead; relative times are reckoned by that. */
let skew = 0;

export function setClock(answer) {
  const ahead = Date.parse(answer.headers.get('Date')) - Date.now();
  skew = Math.abs(ahead) > 2000 ? ahead : 0; // the header is in whole seconds
}

export const about = (number, estimated) => `${estimated ? 'about ' : ''}${count(number)}`;
export const tokens = (number, estimated) => `${about(number, estimated)} ${number === 1 ? 'token' : 'tokens'}`;
export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
export const took = (ms) => (ms < 1000 ? `${count(ms)} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms));
export const total = (run) => Object.values(run.deleted).reduce((sum, number) => sum + number, 0);
export const length = (run) => Math.max(0, Date.parse(run.finished_at) - Date.parse(run.started_at));
export const clock = (time) => when(time, { second: '2-digit', year: undefined });
export const muted = (...children) => el('span', { class: 'muted small' }, ...children);

export function sign(tone, text) {
  return el('span', { class: `sign ${tone}` }, el('span', { 'aria-hidden': 'true' }, SIGNS[tone]), text);
}

export function ago(iso) {
  const away = Date.parse(iso) - Date.now() - skew;
  if (Math.abs(away) < 1000) return 'now';
  return away > 0 ? `in ${span(away)}` : `${span(-away)} ago`;
}

export function instant(iso) {
  return el('time', { datetime: iso, title: iso.replace('T', ' ').replace('Z', ' UTC') }, clock(Date.parse(iso)));
}

const moment = (iso, otherwise) => (iso ? [instant(iso), muted(`, ${ago(iso)}`)] : [muted(otherwise)]);

function deleted(run) {
  if (!total(run)) return ['nothing'];
  const parts = Object.entries(run.deleted).filter(([reason, number]) => number && reason !== 'other');
  const reasons = parts.map(([reason, number]) => `${count(number)} ${reason}`).join(', ');
  return [count(total(run)), ...(reasons ? [' ', muted(`(${reasons})`)] : [])];
}

/** The tone and the word for how a run ended. */
export const outcome = (run) => OUTCOMES[run.outcome] ?? ['idle', run.outcome];

// Tables: as cards on a narrow screen, where CSS takes the head away and each cell says its label

function row(heading, cells) {
  const rest = Object.entries(cells).map(([label, children]) =>
    el('td', { role: 'cell', 'data-label': label }, el('div', {}, ...children)));
  return el('tr', { role: 'row' }, el('th', { role: 'rowheader', scope: 'row' }, ...heading), ...rest);
}

export function jobRow(job) {
  const last = job.last_run;
  const state = [];
  if (job.status !== 'ok') state.push(sign('bad', 'Degraded'), el('p', { class: 'detail' }, job.detail ?? ''));
  else if (!job.holder) state.push(sign('good', 'Well'));
  if (job.holder) state.push(sign('busy', 'Running'), ' ', muted(`on ${job.holder}`));
  const lastRun = last ? [sign(...outcome(last)), ' ', ...moment(last.started_at)] : [muted('none yet')];
  if (last?.finished_at) {
    const effect = `took ${took(length(last))}, deleted ${total(last) ? count(total(last)) : 'nothing'}`;
    lastRun.push(el('p', { class: 'muted small' }, effect));
  }
  return row([job.name, ' ', el('code', { class: 'muted' }, job.schedule)], {
    State: state,
    'Next run': moment(job.next_run_at, 'not planned'),
    'Last run': lastRun,
    'Last success': moment(job.last_success_at, 'none yet'),
  });
}

export function runRow(run) {
  return row([run.job], {
    Outcome: [sign(...outcome(run)), ...(run.error ? [el('p', { class: 'detail' }, run.error)] : [])],
    Began: moment(run.started_at),
    Took: [run.finished_at ? took(length(run)) : muted('not ended')],
    Deleted: deleted(run),
    Replica: [run.replica, ' ', muted(`by ${TRIGGERS[run.trigger] ?? run.trigger}`)],
  });
}

/** A row of a plain table: a heading and numbers. */
export const line = (...cells) => el('tr', {}, el('th', { scope: 'row' }, ...cells[0]),
  ...cells.slice(1).map((cell) => el('td', { class: 'number' }, cell)));
