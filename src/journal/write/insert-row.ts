/**
 * Insert row: binds a row of a frame to the insert statement of its kind.
 *
 * There is one function for each shape of row, because an array of arguments made for each row would
 * cost a third of the insert. A shape is the number of own columns of the kind, and whether the kind has
 * levels or a text behind them.
 */

import type { SQLQueryBindings, Statement } from 'bun:sqlite';

import { BODY_COLUMN, OWN_COLUMNS, type KindName } from '../schema';
import { nullable, OWN_FIRST } from './row-frame';

type Insert = Statement<unknown, SQLQueryBindings[]>;

/** @param n the numbers of the frame @param at where those of the row begin @param body its levels or text */
export type InsertRow = (
  id: number,
  n: Float64Array,
  at: number,
  body: Uint8Array | string | null,
) => void;

/** @param insert the statement of `insertSql(name)` */
export function insertOf(name: KindName, insert: Insert): InsertRow {
  const own = OWN_COLUMNS[name].length;
  if (BODY_COLUMN[name] === null) {
    if (own === 5) return fiveNumbers(insert);
    if (own === 4) return fourNumbers(insert);
  } else {
    if (own === 4) return fourNumbersAndBody(insert);
    if (own === 2) return twoNumbersAndBody(insert);
  }
  return anyNumbers(insert, own);
}

const O = OWN_FIRST;

/** Ticks and trades. */
function fiveNumbers(insert: Insert): InsertRow {
  return (id, n, at) => {
    insert.run(
      id,
      n[at + 2]!,
      n[at + 3]!,
      n[at + 4]!,
      n[at + 5]!,
      n[at + 6]!,
      n[at + 7]!,
      n[at + O]!,
      n[at + O + 1]!,
      nullable(n[at + O + 2]!),
      nullable(n[at + O + 3]!),
      nullable(n[at + O + 4]!),
    );
  };
}

/** Best bid and offer. */
function fourNumbers(insert: Insert): InsertRow {
  return (id, n, at) => {
    insert.run(
      id,
      n[at + 2]!,
      n[at + 3]!,
      n[at + 4]!,
      n[at + 5]!,
      n[at + 6]!,
      n[at + 7]!,
      nullable(n[at + O]!),
      n[at + O + 1]!,
      nullable(n[at + O + 2]!),
      n[at + O + 3]!,
    );
  };
}

/** Commands: none of their numbers is null. */
function fourNumbersAndBody(insert: Insert): InsertRow {
  return (id, n, at, body) => {
    insert.run(
      id,
      n[at + 2]!,
      n[at + 3]!,
      n[at + 4]!,
      n[at + 5]!,
      n[at + 6]!,
      n[at + 7]!,
      n[at + O]!,
      n[at + O + 1]!,
      n[at + O + 2]!,
      n[at + O + 3]!,
      body,
    );
  };
}

/** Book events and states of an instrument. */
function twoNumbersAndBody(insert: Insert): InsertRow {
  return (id, n, at, body) => {
    insert.run(
      id,
      n[at + 2]!,
      n[at + 3]!,
      n[at + 4]!,
      n[at + 5]!,
      n[at + 6]!,
      n[at + 7]!,
      n[at + O]!,
      nullable(n[at + O + 1]!),
      body,
    );
  };
}

/** Kinds of which there are few rows. */
function anyNumbers(insert: Insert, own: number): InsertRow {
  return (id, n, at, body) => {
    const numbers = Array.from(n.subarray(at + O, at + O + own), nullable);
    insert.run(
      id,
      n[at + 2]!,
      n[at + 3]!,
      n[at + 4]!,
      n[at + 5]!,
      n[at + 6]!,
      n[at + 7]!,
      ...numbers,
      body,
    );
  };
}
