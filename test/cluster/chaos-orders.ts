/** Checks of what traders wrote down in a chaos run, against the orders in a journal, by code of its own. */

import { Database } from 'bun:sqlite';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Wrongs } from './chaos-checks';

/** One line of a trader: a request, its end under the same number, or an execution. */
export interface TraderLine {
  readonly number: number;
  readonly what: 'ask' | 'done' | 'refused' | 'execution';
  readonly action?: string | undefined;
  readonly clientOrderId?: string | undefined;
  readonly orderId?: number | undefined;
  readonly symbol?: string | undefined;
  readonly price?: string | undefined;
  readonly quantity?: string | undefined;
  readonly seq?: number | undefined;
  readonly code?: string | undefined;
}

export interface OrderFigures {
  readonly acknowledged: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  readonly executions: number;
}

interface OrderRow {
  readonly seq: number;
  readonly action: string;
  readonly owner: string;
  readonly client_order_id: string | null;
  readonly order_id: number;
  readonly price: string | null;
  readonly quantity: string | null;
}

/** Refusals that leave open whether the request was carried out. */
const UNKNOWN = new Set(['unknown-outcome', 'connection-failed', 'closed']);
const OWNER = 'trader';

/** @param directory of the journal of the last leader */
export function checkOrders(path: string, directory: string, wrongs: Wrongs): OrderFigures {
  const texts = readFileSync(path, 'utf8').trimEnd().split('\n');
  if (texts.pop() !== 'end') wrongs.add('the traders have not ended in order');
  const lines = texts.map((text) => JSON.parse(text) as TraderLine);
  const journal = readOrders(directory);
  checkTwice(journal, wrongs);
  const asked = new Map(lines.filter(({ what }) => what === 'ask').map((one) => [one.number, one]));
  const acknowledged: Record<string, number> = {};
  const refused: Record<string, number> = {};
  /** Names of orders of which some try may have been carried out. */
  const open = new Set<string>();
  const refusals: TraderLine[] = [];
  let executions = 0;
  for (const line of lines) {
    const ask = asked.get(line.number);
    if (line.what === 'execution') {
      executions += 1;
      checkExecution(line, journal, wrongs);
    } else if (line.what === 'done') {
      acknowledged[ask!.action!] = (acknowledged[ask!.action!] ?? 0) + 1;
      checkDone(ask!, line, journal, wrongs);
      open.add(ask!.clientOrderId ?? '');
    } else if (line.what === 'refused') {
      refused[line.code!] = (refused[line.code!] ?? 0) + 1;
      if (UNKNOWN.has(line.code!)) open.add(ask!.clientOrderId ?? '');
      else refusals.push(ask!);
    }
  }
  for (const { action, clientOrderId } of refusals) {
    if (action !== 'submit' || clientOrderId === undefined || open.has(clientOrderId)) continue;
    if (journal.byName.has(clientOrderId)) wrongs.add(`${clientOrderId} was refused and is there`);
  }
  return { acknowledged, refused, executions };
}

interface Orders {
  readonly bySeq: ReadonlyMap<number, OrderRow>;
  /** Submits of the traders, by their client order id. */
  readonly byName: ReadonlyMap<string, readonly OrderRow[]>;
  readonly symbols: ReadonlySet<string>;
  readonly lastSeq: number;
}

function readOrders(directory: string): Orders {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  try {
    const rows = db
      .query<OrderRow, []>(
        'SELECT seq, action, owner, client_order_id, order_id, price, quantity FROM orders',
      )
      .all();
    const submits = rows.filter(({ action, owner }) => action === 'submit' && owner === OWNER);
    const symbols = db.query<{ symbol: string }, []>('SELECT symbol FROM instrument').all();
    const last = db.query<{ n: number }, []>('SELECT max(id) / 8 AS n FROM record').get()!;
    return {
      bySeq: new Map(rows.map((row) => [row.seq, row])),
      byName: Map.groupBy(submits, (row) => row.client_order_id ?? ''),
      symbols: new Set(symbols.map(({ symbol }) => symbol)),
      lastSeq: last.n,
    };
  } finally {
    db.close();
  }
}

function checkTwice({ byName }: Orders, wrongs: Wrongs): void {
  for (const [name, rows] of byName) {
    if (rows.length === 1) continue;
    const seqs = rows.map(({ seq }) => seq).join(', ');
    wrongs.add(`the order ${name} was carried out ${rows.length} times: ${seqs}`);
  }
}

function checkDone(ask: TraderLine, done: TraderLine, journal: Orders, wrongs: Wrongs): void {
  const { action, clientOrderId, symbol } = ask;
  if (action === 'define') {
    if (!journal.symbols.has(symbol!)) wrongs.add(`${symbol} was defined and is not there`);
    return;
  }
  // Nothing was open.
  if (action === 'cancelAll' && done.seq === undefined) return;
  const row = journal.bySeq.get(done.seq!);
  const wanted = { action: action === 'cancelAll' ? 'cancel' : action, owner: OWNER };
  const is = row && { action: row.action, owner: row.owner };
  const isSame =
    is?.action === wanted.action &&
    is?.owner === wanted.owner &&
    (done.orderId === undefined || row!.order_id === done.orderId) &&
    (ask.orderId === undefined || row!.order_id === ask.orderId) &&
    (clientOrderId === undefined || row!.client_order_id === clientOrderId) &&
    (ask.price === undefined || Number(row!.price) === Number(ask.price)) &&
    (ask.quantity === undefined || Number(row!.quantity) === Number(ask.quantity));
  if (isSame) return;
  wrongs.add(
    `${JSON.stringify(ask)} was acknowledged (${JSON.stringify(done)}), and the journal has ${JSON.stringify(row)}`,
  );
}

/** An execution belongs to an event of the journal: to the command that caused it. */
function checkExecution(
  { seq, orderId, action }: TraderLine,
  { lastSeq }: Orders,
  wrongs: Wrongs,
): void {
  if (seq! <= lastSeq) return;
  wrongs.add(`the execution ${action} ${seq} of order ${orderId} is behind the journal's end`);
}
