// What Swagger UI lacks for who works by keyboard or screen reader: names of its controls, boxes that can be scrolled,
// and a dialog that takes the focus, closes with Escape and gives the focus back.

const NAMES = {
  '.close-modal': 'Close',
  '.copy-to-clipboard button': 'Copy',
  '.body-param__text': 'Request body',
  '.model-box-control:has(> .model-toggle:only-child)': 'Fields',
};
const FIELDS = '[data-param-name] :is(input, select, textarea)';

/** Follows what Swagger UI draws within `root`; `close` closes its dialog. */
export function mend(root, close) {
  let opener = null;

  function dialog() {
    const box = root.querySelector('.modal-ux');
    if (box && !opener) {
      // Where it is not one of the page's own, the browser has not moved the focus yet, or a redrawing took it away.
      opener = root.contains(document.activeElement) ? document.activeElement : root.querySelector('.btn.authorize');
      box.setAttribute('role', 'dialog');
      box.setAttribute('aria-label', box.querySelector('h3').textContent);
      box.querySelector('input, button').focus();
    } else if (!box && opener) {
      (opener.isConnected ? opener : root.querySelector('.btn.authorize')).focus();
      opener = null;
    }
  }

  new MutationObserver(() => {
    name(root);
    dialog();
  }).observe(root, { childList: true, subtree: true });
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && opener && close());
}

function name(root) {
  for (const [selector, words] of Object.entries(NAMES)) {
    for (const control of root.querySelectorAll(selector)) control.setAttribute('aria-label', words);
  }
  for (const field of root.querySelectorAll(FIELDS)) {
    field.setAttribute('aria-label', field.closest('[data-param-name]').dataset.paramName);
  }
  // They say something else than what can be read on the button.
  for (const button of root.querySelectorAll('.modal-btn[aria-label]')) button.removeAttribute('aria-label');
  for (const box of root.querySelectorAll('.microlight:not([tabindex])')) {
    if (box.scrollHeight > box.clientHeight) box.tabIndex = 0;
  }
}
