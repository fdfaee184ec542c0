/** Answers: pieces that the queries share. */

import { fieldFault, type Fault } from '../../../protocol/codes';

/** Ends a text of `open`. */
export function finished(opened: string, source: string, ageMs: number): string {
  return `${opened}"source":"${source}","ageMs":${ageMs}}`;
}

/** JSON text of an object that more members can be put behind. */
export function open(object: Record<string, unknown>): string {
  return `${JSON.stringify(object).slice(0, -1)},`;
}

/** The JSON text of an object with more members, that others can be put behind. */
export function reopened(text: string, more: Record<string, unknown>): string {
  return `${text.slice(0, -1)},${open(more).slice(1)}`;
}

/** Whether a query string says so; false where it says nothing. */
export function isTrue(name: string, text: string | undefined): boolean | Fault {
  if (text === undefined || text === 'false') return false;
  return text === 'true' ? true : fieldFault(name, text, 'true or false');
}

/** An integer of a query string, from 1. */
export function integer(
  name: string,
  text: string | undefined,
  otherwise: number,
  max: number,
): number | Fault {
  if (text === undefined) return otherwise;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= max) return value;
  return fieldFault(name, text, `an integer from 1 to ${max}`);
}
