/**
 * Shards: the cores of a server, one for each numbering. A server without shards has one; an edge that follows several
 * leaders has one for each of them, with instruments that no other has.
 */

import type { BatchEvent } from '../../protocol/records';
import { StartFault } from '../base/start-fault';
import type { MarketInstrument } from '../market/instrument';
import type { Core } from '../base/contracts/core';
import type { Memtable } from '../cache/memtable';

export interface Shard<C extends Core<MarketInstrument> = Core<MarketInstrument>> {
  /** Null: the server names none. */
  readonly name: string | null;
  readonly core: C;
  readonly memtable: Memtable;
}

export class Shards<
  C extends Core<MarketInstrument> = Core<MarketInstrument>,
  S extends Shard<C> = Shard<C>,
> {
  readonly all: readonly S[];

  /** @param all at least one */
  constructor(all: readonly S[]) {
    this.all = all;
  }

  get first(): S {
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
  of(symbol: string): S {
    return this.find(symbol) ?? this.first;
  }

  /** Undefined: no shard knows the symbol. */
  find(symbol: string): S | undefined {
    const { all } = this;
    if (all.length === 1) return this.first;
    return all.find(({ core }) => core.instruments.known(symbol) !== undefined);
  }

  named(name: string | null): S {
    return this.all.find((shard) => shard.name === name) ?? this.first;
  }

  /** An instrument that is in two shards. */
  conflict(): StartFault | undefined {
    for (const shard of this.all) {
      for (const { definition } of shard.core.instruments.all()) {
        const other = this.otherOf(shard, definition.symbol);
        if (other !== undefined) return conflictBetween(definition.symbol, shard, other);
      }
    }
    return undefined;
  }

  /** An instrument that these events of a shard define, and that is in another shard. */
  conflictOf(shard: S, events: readonly BatchEvent[]): StartFault | undefined {
    if (this.all.length === 1) return undefined;
    for (const { type, symbol } of events) {
      const other = type === 'instrument' ? this.otherOf(shard, symbol) : undefined;
      if (other !== undefined) return conflictBetween(symbol, shard, other);
    }
    return undefined;
  }

  private otherOf(shard: S, symbol: string): S | undefined {
    return this.all.find(
      (other) => other !== shard && other.core.instruments.known(symbol) !== undefined,
    );
  }
}

function conflictBetween(symbol: string, one: Shard, other: Shard): StartFault {
  return new StartFault(
    'shard-conflict',
    `the instrument ${symbol} is in two shards: ${one.name} and ${other.name}`,
    'Let one leader define it, and give cluster.symbols at each leader; then begin with new journals where it was wrong.',
  );
}
