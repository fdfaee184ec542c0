/**
 * Trade chain: finds the newest trades of an instrument by following `prev_seq` from the newest
 * one.
 */

import { SQLiteError, type Database, type Statement } from 'bun:sqlite';

import type { Trade } from '../../../protocol/messages';
import { Proofs } from '../proofs';
import { rowToTrade, type RecordRow } from '../records';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOTS } from '../schema';

/**
 * The most blocks proven for one request. Each takes about a millisecond, and the caller has other
 * sources for older trades.
 */
const BLOCKS_MAX = 256;

/** Beyond it an id would not be a safe integer. */
const MAX_SEQ = Math.floor(Number.MAX_SAFE_INTEGER / SLOTS);

export class TradeChains {
  private readonly db: Database;
  private proofs: Proofs | null = null;
  private byId: Statement<RecordRow, [number]> | null = null;

  constructor(db: Database) {
    this.db = db;
  }

  /** Finalizes its statements, which would keep the database open. */
  finalize(): void {
    this.proofs?.finalize();
    this.proofs = null;
    this.byId?.finalize();
    this.byId = null;
  }

  /**
   * Up to `limit` trades with a seq below `before`, newest first. It ends at the first trade that
   * is not proven.
   */
  newest(instrument: number, symbol: string, before: number, limit: number): Trade[] {
    const { db } = this;
    const proofs = (this.proofs ??= new Proofs(db, { rowsAlone: true }));
    proofs.begin();
    const byId = (this.byId ??= db.prepare(`${SELECT_RECORD} WHERE id = ?`));
    const trades: Trade[] = [];
    try {
      // A caller that knows the newest seq asks from there.
      const first = before <= MAX_SEQ ? byId.get(idOf(before - 1)) : null;
      const isFirst = first?.kind === KIND.trade && first.instrument === instrument;
      let seq = isFirst ? before - 1 : newestTradeSeq(db, instrument, before);
      while (seq > 0 && trades.length < limit && proofs.covers(idOf(seq))) {
        const row = byId.get(idOf(seq));
        if (row === null || row.kind !== KIND.trade || row.instrument !== instrument) break;
        const trade = rowToTrade(row, symbol);
        if (trade === undefined) break;
        trades.push(trade);
        seq = row.prev_seq;
        if (proofs.reads >= BLOCKS_MAX) break;
      }
    } catch (e) {
      if (!(e instanceof SQLiteError)) throw e;
      // Damage in records that are older than what a start needs. A request for the past reports
      // it.
      return [];
    }
    return trades;
  }
}

/** Seq of the newest trade below a seq; 0 if there is none. */
function newestTradeSeq(db: Database, instrument: number, before: number): number {
  const below = Math.min(idOf(before), Number.MAX_SAFE_INTEGER);
  const inTail = db
    .query<{ id: number | null }, number[]>(
      `SELECT max(id) AS id FROM record WHERE id > (SELECT ifnull(max(last_id), -1) FROM block)
         AND id < ? AND kind = ${KIND.trade} AND instrument = ?`,
    )
    .get(below, instrument);
  if (typeof inTail?.id === 'number') return seqOf(inTail.id);
  // The newest block that has a trade of it and begins below; its newest trade may lie above.
  const part = db
    .query<{ first_id: number; last_id: number }, number[]>(
      `SELECT first_id, last_id FROM part WHERE instrument = ? AND first_id < ? AND trade_seq > 0
         ORDER BY last_id DESC LIMIT 1`,
    )
    .get(instrument, below);
  if (part === null) return 0;
  const inPart = db
    .query<{ id: number | null }, number[]>(
      `SELECT max(id) AS id FROM record WHERE id BETWEEN ? AND ? AND id < ?
         AND kind = ${KIND.trade} AND instrument = ?`,
    )
    .get(part.first_id, part.last_id, below, instrument);
  if (typeof inPart?.id === 'number') return seqOf(inPart.id);
  return newestTradeSeq(db, instrument, seqOf(part.first_id));
}
