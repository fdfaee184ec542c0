/**
 * Shards: the cores of a server, one for each numbering. A server without shards has one; an edge that follows several
 * leaders has one for each of them, with instruments that no other has.
 */

import type { MarketInstrument } from '../market/instrument';
import type { Core } from '../base/contracts/core';
import type { Memtable } from '../cache/memtable';

export interface Shard<C extends Core<MarketInstrument> = Core<MarketInstrument>> {
  /** Null: the server names none. */
  readonly name: string | null;
  readonly core: C;
  readonly memtable: Memtable;
}

export class Shards<C extends Core<MarketInstrument> = Core<MarketInstrument>> {
  readonly all: readonly Shard<C>[];

  /** @param all at least one */
  constructor(all: readonly Shard<C>[]) {
    this.all = all;
  }

  get first(): Shard<C> {
    return this.all[0]!;
  }

  /** The names; none if the server has one numbering without a name. */
  get names(): readonly string[] {
    return this.all.flatMap(({ name }) => name ?? []);
  }

  get cores(): readonly C[] {
    return this.all.map(({ core }) => core);
  }

  /** The shard of a symbol, also of a deleted one; of an unknown symbol the first. */
  of(symbol: string): Shard<C> {
    return this.find(symbol) ?? this.first;
  }

  /** Undefined: no shard knows the symbol. */
  find(symbol: string): Shard<C> | undefined {
    const { all } = this;
    if (all.length === 1) return this.first;
    // An instrument that was deleted in one shard may be defined in another.
    const defined = all.find(({ core }) => core.instruments.get(symbol) !== undefined);
    return defined ?? all.find(({ core }) => core.instruments.known(symbol) !== undefined);
  }

  named(name: string | null): Shard<C> {
    return this.all.find((shard) => shard.name === name) ?? this.first;
  }
}
