/**
 * Topics of the past: the trades, or the ticks, of an instrument, onwards and backwards.
 *
 * Within a block they are read along their chain (`prev_seq`), each by its id, where they are few, and
 * by going through the block where the last one had many: 1,024 rows are gone through in the time of
 * some 20 look-ups. A chain that is broken by a gap is taken up again on its other side, so what is
 * found is what is there. Must hold: a tick stands at the place behind its trade.
 * Bounded: the rows of one block at a time.
 */

import type { Database, Statement } from 'bun:sqlite';

import { ALWAYS, OPEN, type Blocks, type Stretch, type Times } from './blocks';
import { idOf, KIND, SLOTS } from '../schema';

/** What every row has that is read here. */
export interface TopicRow {
  id: number;
  prev_seq: number;
}

/** Of a block whose records of the topic are looked up one by one. */
export const FEW = 20;

export class Topic<R extends TopicRow> {
  private readonly blocks: Blocks;
  /** From the place of a trade to that of its record on this topic. */
  private readonly behindTrade: number;
  private readonly byId: Statement<R, [number, number]>;
  private readonly range: Statement<R, [number, number, number]>;
  private readonly newest: Statement<R, [number, number, number]>;

  /** @param select columns, of the table `record` */
  constructor(db: Database, blocks: Blocks, kind: 'trade' | 'tick', select: string) {
    this.blocks = blocks;
    this.behindTrade = kind === 'trade' ? 0 : 1;
    // The instrument first, since it rules out most rows.
    const own = `instrument = ? AND kind = ${KIND[kind]}`;
    this.byId = db.prepare(`${select} WHERE id = ? AND ${own}`);
    this.range = db.prepare(`${select} WHERE id >= ? AND id <= ? AND ${own} ORDER BY id`);
    this.newest = db.prepare(
      `${select} WHERE id >= ? AND id <= ? AND ${own} ORDER BY id DESC LIMIT 1`,
    );
  }

  /** From an id on, in order, a list for each block that may have some in the range of time. `last`: the id that it reaches to. */
  *from(
    id: number,
    of: number,
    times: Times,
  ): Generator<{ readonly rows: R[]; readonly last: number }> {
    // A block may hold a tick and not its trade.
    const holding = this.behindTrade === 0 ? 'trade' : 'anything';
    let few = true;
    for (const stretch of this.blocks.from(id, of, times, holding)) {
      const rows = this.read(stretch, of, few);
      few = rows.length <= FEW;
      yield { rows, last: stretch.last };
    }
  }

  /** Those of one stretch, in order. @param few whether there are hardly more than `FEW` */
  read(stretch: Stretch, of: number, few: boolean): R[] {
    return (few ? this.follow(stretch, of) : undefined) ?? this.goThrough(stretch, of);
  }

  /** Below a place, the newest first. */
  *below(seq: number, of: number): Generator<R> {
    const self = this.at(seq, of);
    for (let row = self === null ? this.newestBelow(idOf(seq), of) : this.before(self, of); row;) {
      yield row;
      row = this.before(row, of);
    }
  }

  private before({ id, prev_seq }: R, of: number): R | null {
    return this.at(prev_seq, of) ?? this.newestBelow(id, of);
  }

  /** The one at a place, if it is there and proven. */
  private at(seq: number, of: number): R | null {
    return this.blocks.proofs.covers(idOf(seq)) ? this.byId.get(idOf(seq), of) : null;
  }

  private newestBelow(id: number, of: number): R | null {
    for (const { first, last, tradeSeq } of this.blocks.upTo(id - 1, of, ALWAYS, 'trade')) {
      const told = tradeSeq === OPEN ? 0 : idOf(tradeSeq + this.behindTrade);
      const row =
        (told >= first && told <= last ? this.byId.get(told, of) : null) ??
        this.newest.get(first, last, of);
      if (row !== null) return row;
    }
    return null;
  }

  private goThrough({ first, last }: Stretch, of: number): R[] {
    return this.range.all(first, last, of);
  }

  /** Along the chain; undefined where it does not reach back to the beginning. */
  private follow(stretch: Stretch, of: number): R[] | undefined {
    const { first, last, tradeSeq } = stretch;
    if (tradeSeq === OPEN) return undefined;
    if (tradeSeq === 0) {
      // The tick of a trade that ends the block before.
      return this.goThrough({ ...stretch, last: Math.min(last, first + SLOTS) }, of);
    }
    const rows: R[] = [];
    for (let seq = tradeSeq + this.behindTrade; idOf(seq) >= first;) {
      const row = idOf(seq) <= last ? this.byId.get(idOf(seq), of) : this.at(seq, of);
      if (row === null) return undefined;
      if (row.id <= last) rows.push(row);
      seq = row.prev_seq;
    }
    return rows.reverse();
  }
}
