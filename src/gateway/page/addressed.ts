/** Addressed: the instrument that the address of the page names; one that there is not is said to be so. */

import type { Desk } from './desk';
import type { Notices } from './notices';

export class Addressed {
  /** Until it is there. */
  wanted: string | undefined;
  /** The server has said which instruments there are. */
  complete = false;
  private readonly desk: Desk;
  private readonly notices: Notices;

  constructor(desk: Desk, notices: Notices) {
    this.desk = desk;
    this.notices = notices;
  }

  /** Whether something else may be shown: the one that is named will not come. */
  get mayBeAnother(): boolean {
    return this.wanted === undefined || this.complete;
  }

  want(symbol: string | undefined): void {
    this.wanted = symbol;
    this.tell();
  }

  /** It is shown. */
  found(): void {
    this.wanted = undefined;
    this.notices.clear('symbol');
  }

  /** Says that there is none of the name. */
  tell(): void {
    const { wanted, complete } = this;
    const { chosen, rows } = this.desk;
    if (wanted === undefined || !complete) return;
    this.notices.show('symbol', unknownWords(wanted, chosen, [...rows.keys()]));
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
    return named; // not one that there is, and shown as it stands
  }
}

/** The address names what is shown, so that it can be kept or given on. */
export function nameInAddress(symbol: string): void {
  history.replaceState(null, '', `#${encodeURIComponent(symbol)}`);
}

/** @param shown what is shown instead; undefined where there is nothing */
function unknownWords(wanted: string, shown: string | undefined, known: readonly string[]): string {
  const name = wanted.slice(0, 60);
  if (shown === undefined) return `There is no instrument ${name} here.`;
  const alike = known.find((symbol) => symbol.toLowerCase() === wanted.trim().toLowerCase());
  const hint = alike === undefined || alike === shown ? '' : ` Did you mean ${alike}?`;
  return `There is no instrument ${name} here; this is ${shown}.${hint}`;
}
