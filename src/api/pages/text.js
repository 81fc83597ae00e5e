// How pages word numbers and times, and how they put them on the page: as text, never as markup.

export const $ = (id) => document.getElementById(id);

export const count = (number, options) => number.toLocaleString('en-GB', options);

/** A time, given in milliseconds, in the reader's zone; the date only where it is not today's. */
export function when(time, precision = {}) {
  const today = new Date(time).toDateString() === new Date().toDateString();
  const date = today ? {} : { day: 'numeric', month: 'short', year: 'numeric' };
  return new Date(time).toLocaleString('en-GB', { ...date, hour: '2-digit', minute: '2-digit', ...precision });
}

export function span(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${seconds} s`;
}

/** An element with attributes and children; strings become text. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Gives an element new children. Touches only what differs, so focus, selection and scrolling stay, nothing flickers,
 *  and screen readers speak of changes only. */
export function fill(parent, ...children) {
  const fresh = parent.cloneNode(false);
  fresh.append(...children);
  settle(parent, fresh);
}

function settle(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) return void (old.nodeValue = fresh.nodeValue);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((child, at) => (before[at] ? settle(before[at], child) : old.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}
