/** Main: starts the page and connects it to the URL, the keyboard and browser events. */

import { symbolInAddress } from './addressed';
import { byId } from './dom';
import { Page } from './page';

const filter = byId('filter') as HTMLInputElement;
const { trading, sessionBoundary } = document.documentElement.dataset;
const page = new Page(location.origin, {
  trading: trading === 'open' ? 'open' : 'none',
  sessionBoundary: Number(sessionBoundary),
});

function isTyping(): boolean {
  const { activeElement } = document;
  return activeElement instanceof HTMLInputElement && activeElement.type !== 'range';
}

function keyed(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || page.isLocked) return;
  if (event.key === 'Escape') {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    if (filter.value === '') page.live();
    filter.value = '';
    page.setFilter('');
    return;
  }
  if (document.activeElement === filter && event.key === 'Enter' && page.list.first !== undefined) {
    page.choose(page.list.first);
    byId('list').focus();
  }
  if (isTyping()) return;
  const act = actionOf(event);
  if (act === undefined) return;
  event.preventDefault();
  act();
}

function actionOf(event: KeyboardEvent): (() => void) | undefined {
  const { activeElement } = document;
  switch (event.key) {
    case '/':
      return () => filter.focus();
    case 't':
      return () => page.travelView.toggle();
    case 'b':
      return () => page.order.begin('buy');
    case 's':
      return () => page.order.begin('sell');
    case ' ':
      return activeElement instanceof HTMLButtonElement
        ? undefined
        : () => page.travelView.togglePlay();
    case 'ArrowDown':
    case 'ArrowUp':
      if (activeElement instanceof HTMLInputElement) return undefined; // the slider handles its own keys
      return () => page.list.move(event.key === 'ArrowDown' ? 1 : -1);
    default:
      return undefined;
  }
}

filter.addEventListener('input', () => page.setFilter(filter.value));
byId('forget').addEventListener('click', () => page.forgetKeys());
document.addEventListener('keydown', keyed);
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') page.wake();
});
window.addEventListener('online', () => page.wake());
window.addEventListener('hashchange', () => {
  const symbol = symbolInAddress();
  if (symbol !== undefined) page.choose(symbol);
});
page.start(symbolInAddress());
