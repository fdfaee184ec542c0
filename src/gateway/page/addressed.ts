/** Addressed: the instrument in the URL of the page. A notice says so if the server does not have it. */

import type { MarketState } from './market-state';
import type { Notices } from './notices';

export class Addressed {
  /** The instrument in the URL, until the server announces it. */
  wanted: string | undefined;
  /** Whether the server has announced all its instruments. */
  complete = false;
  private readonly market: MarketState;
  private readonly notices: Notices;

  constructor(market: MarketState, notices: Notices) {
    this.market = market;
    this.notices = notices;
  }

  /** Whether another instrument may be displayed, because the one in the URL is absent or will not come. */
  get mayBeAnother(): boolean {
    return this.wanted === undefined || this.complete;
  }

  want(symbol: string | undefined): void {
    this.wanted = symbol;
    this.tell();
  }

  /** The instrument in the URL is displayed. */
  found(): void {
    this.wanted = undefined;
    this.notices.clear('symbol');
  }

  /** Displays a notice if there is no instrument of that name. */
  tell(): void {
    const { wanted, complete } = this;
    const { chosen, rows } = this.market;
    if (wanted === undefined || !complete) return;
    this.notices.show('symbol', unknownMessage(wanted, chosen, [...rows.keys()]));
    if (chosen !== undefined) nameInAddress(chosen);
  }
}

/** Reads `#SYM` or `?symbol=SYM`. */
export function symbolInAddress(): string | undefined {
  const hash = location.hash.slice(1);
  const named = hash === '' ? new URLSearchParams(location.search).get('symbol') : hash;
  if (named === null || named === '') return undefined;
  try {
    return decodeURIComponent(named);
  } catch {
    return named; // not the name of an instrument; displayed unchanged
  }
}

/** Puts the displayed instrument into the URL, so that the URL can be stored or shared. */
export function nameInAddress(symbol: string): void {
  history.replaceState(null, '', `#${encodeURIComponent(symbol)}`);
}

/** @param displayed the instrument that is displayed instead; undefined if there is none */
function unknownMessage(
  wanted: string,
  displayed: string | undefined,
  known: readonly string[],
): string {
  const name = wanted.slice(0, 60);
  if (displayed === undefined) return `There is no instrument ${name} here.`;
  const alike = known.find((symbol) => symbol.toLowerCase() === wanted.trim().toLowerCase());
  const hint = alike === undefined || alike === displayed ? '' : ` Did you mean ${alike}?`;
  return `There is no instrument ${name} here; this is ${displayed}.${hint}`;
}
