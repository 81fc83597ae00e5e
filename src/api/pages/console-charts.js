// The charts of the console, drawn by uPlot. What they show is on the page as text too: a summary and a table for each.

import { $, count } from './text.js';

const HOUR = 3600;

/** Asked at every drawing, so that a change of the colour scheme needs a redrawing only. */
const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const bars = (fill, align = 0) => ({
  fill: colour(fill),
  width: 0,
  points: { show: false },
  paths: uPlot.paths.bars({ size: [0.75, 28], align }),
});

const axis = { stroke: colour('--muted'), ticks: { show: false }, font: '12px ui-sans-serif, system-ui, sans-serif' };
const lines = { grid: { stroke: colour('--line'), width: 1 } };
const across = { ...axis, grid: { show: false }, size: 28, gap: 6 };
const up = { ...axis, ...lines, size: 56, gap: 6, space: 34 };
const wholeSteps = Array.from({ length: 13 }, (_, zeros) => [1, 2, 5].map((step) => step * 10 ** zeros)).flat();
const counts = {
  ...up,
  incrs: wholeSteps,
  values: (_, ticks) => ticks.map((tick) => count(tick, { notation: 'compact' })),
};
const times = {
  ...up,
  values: (_, ticks) => ticks.map((ms) => (ms < 1000 ? `${count(ms)} ms` : `${count(ms / 1000)} s`)),
};
const fromZero = { range: (_, low, high) => [0, Math.max(1, high ?? 0) * 1.1] };

const plots = [];

function plot(id, { cursor, ...options }, data, readOut) {
  const host = $(id);
  const size = () => ({ width: Math.max(host.clientWidth, 1), height: host.clientHeight });
  const made = new uPlot({
    ...options,
    ...size(),
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, ...cursor },
    hooks: { setCursor: [(chart) => readOut(chart.cursor.idx)] },
  }, data, host);
  new ResizeObserver(() => made.setSize(size())).observe(host);
  plots.push(made);
  return made;
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.forEach((made) => made.redraw()));

/** The midnights and, where there is room, no more: a label for each day. */
function midnights(_, __, first, last) {
  const day = new Date(first * 1000);
  const found = [];
  for (day.setHours(24, 0, 0, 0); day / 1000 <= last; day.setDate(day.getDate() + 1)) found.push(day / 1000);
  return found;
}

/** A chart of tokens by hour; `describe(at)` words one hour of it. Returns what gives it new data. */
export function expiriesChart(describe) {
  const made = plot('expiries-chart', {
    scales: { x: { range: (_, first, last) => [first, (last ?? 0) + HOUR] }, y: fromZero },
    series: [{}, bars('--bar', 1), bars('--bar-faint', 1)],
    axes: [
      {
        ...across,
        splits: midnights,
        grid: lines.grid,
        values: (chart, days) => days.map((day) => new Date(day * 1000).toLocaleDateString('en-GB',
          chart.width < 480 ? { weekday: 'short' } : { weekday: 'short', day: 'numeric' })),
      },
      counts,
    ],
  }, [[], [], []], (at) => ($('expiries-readout').textContent = describe(at)));
  return (hours) => {
    const only = (estimated) => hours.map((hour) => (hour.estimated === estimated && hour.tokens ? hour.tokens : null));
    made.setData([hours.map((hour) => Date.parse(hour.from) / 1000), only(false), only(true)]);
  };
}

/** Charts of runs, one below the other: oldest first, and evenly spaced whenever they ran. */
export function purgesCharts(describe) {
  let runs = [];
  const began = (at) => {
    if (!runs[at]) return '';
    const long = Date.parse(runs.at(-1).started_at) - Date.parse(runs[0].started_at) > 86_400_000;
    const form = long ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit' };
    return new Date(runs[at].started_at).toLocaleString('en-GB', form);
  };
  const lane = (id, fill, upwards, below = { size: 4, values: () => [] }) => plot(id, {
    cursor: { sync: { key: 'purges' } },
    scales: { x: { time: false, range: (_, first, last) => [-0.7, Math.max(last ?? 0, 9) + 0.7] }, y: fromZero },
    series: [{}, bars(fill)],
    axes: [{ ...across, ...below }, { ...upwards, space: 18 }],
  }, [[], []], (at) => ($('purges-readout').textContent = describe(runs[at])));
  const deleted = lane('deleted-chart', '--bar', counts);
  const left = lane('left-chart', '--bad', counts);
  const durations = lane('durations-chart', '--time', times,
    { incrs: wholeSteps, space: 56, values: (_, ticks) => ticks.map(began) });
  return (newer) => {
    runs = newer;
    const order = runs.map((_, at) => at);
    deleted.setData([order, runs.map((run) => run.total || null)]);
    left.setData([order, runs.map((run) => run.backlog || null)]);
    durations.setData([order, runs.map((run) => run.took)]);
  };
}
