/** Addressed: the instrument that the address of the page names; one that there is not is said to be so. */

import type { MarketState } from './market-state';
import type { Notices } from './notices';

export class Addressed {
  /** Until it is there. */
  wanted: string | undefined;
  /** The server has said which instruments there are. */
  complete = false;
  private readonly market: MarketState;
  private readonly notices: Notices;

  constructor(market: MarketState, notices: Notices) {
    this.market = market;
    this.notices = notices;
  }

  /** Whether something else may be displayed: the one that is named will not come. */
  get mayBeAnother(): boolean {
    return this.wanted === undefined || this.complete;
  }

  want(symbol: string | undefined): void {
    this.wanted = symbol;
    this.tell();
  }

  /** It is displayed. */
  found(): void {
    this.wanted = undefined;
    this.notices.clear('symbol');
  }

  /** Says that there is none of the name. */
  tell(): void {
    const { wanted, complete } = this;
    const { chosen, rows } = this.market;
    if (wanted === undefined || !complete) return;
    this.notices.show('symbol', unknownMessage(wanted, chosen, [...rows.keys()]));
    if (chosen !== undefined) nameInAddress(chosen);
  }
}

/** `#SYM`, or `?symbol=SYM`. */
export function symbolInAddress(): string | undefined {
  const hash = location.hash.slice(1);
  const named = hash === '' ? new URLSearchParams(location.search).get('symbol') : hash;
  if (named === null || named === '') return undefined;
  try {
    return decodeURIComponent(named);
  } catch {
    return named; // not one that there is, and displayed as it stands
  }
}

/** The address names what is displayed, so that it can be kept or given on. */
export function nameInAddress(symbol: string): void {
  history.replaceState(null, '', `#${encodeURIComponent(symbol)}`);
}

/** @param displayed what is displayed instead; undefined where there is nothing */
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
