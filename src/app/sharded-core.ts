/**
 * Sharded core: the market of several shards as one. Whatever is about a symbol goes to its shard; lists are those of all
 * shards together. A server without shards, or with one that has no name, serves its core itself.
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Instrument, SourceEvent } from '../../protocol/messages';
import type {
  CoreFigures,
  CoreInstruments,
  CoreStatistics,
  FeedState,
  InstrumentAdministration,
  ServedMarket,
  SourceEntry,
} from '../base/contracts/core';
import type { CheckpointFigures, JournalFigures, JournalHealth } from '../base/contracts/figures';
import type { SubmitOptions, SubmitResult } from '../base/contracts/submission';
import type { MarketInstrument } from '../market/instrument';
import { ShardedOrders } from './sharded-orders';
import type { Shard, Shards } from './shards';

/** The market that a server with named shards serves. */
export class ShardedCore implements ServedMarket<MarketInstrument> {
  readonly instruments: CoreInstruments<MarketInstrument>;
  readonly statistics: CoreStatistics;
  readonly entry: SourceEntry;
  readonly orders: ShardedOrders;
  readonly administration: InstrumentAdministration;
  readonly figures: Pick<CoreFigures, 'journal' | 'checkpoints' | 'recovery'>;
  private readonly shards: Shards;

  constructor(shards: Shards) {
    this.shards = shards;
    this.instruments = instrumentsOf(shards);
    this.statistics = statisticsOf(shards);
    this.entry = new ShardedEntry(shards);
    this.orders = new ShardedOrders(shards);
    this.administration = administrationOf(shards);
    this.figures = {
      journal: () => worst(shards.cores.map(({ figures }) => figures.journal())),
      checkpoints: () => slowest(shards.cores.map(({ figures }) => figures.checkpoints())),
      recovery: recoveryOf(shards),
    };
  }

  get warnings(): ServedMarket['warnings'] {
    return this.shards.cores.flatMap(({ warnings }) => warnings);
  }
}

function instrumentsOf(shards: Shards): CoreInstruments<MarketInstrument> {
  const each = function* <T>(
    of: (instruments: CoreInstruments<MarketInstrument>) => Iterable<T>,
  ): Generator<T> {
    for (const { instruments } of shards.cores) yield* of(instruments);
  };
  return {
    get size() {
      return shards.cores.reduce((sum, { instruments }) => sum + instruments.size, 0);
    },
    get: (symbol) => shards.of(symbol).core.instruments.get(symbol),
    known: (symbol) => shards.of(symbol).core.instruments.known(symbol),
    all: () => each((instruments) => instruments.all()),
    deleted: () => each((instruments) => instruments.deleted()),
    feeds: () => each<FeedState>((instruments) => instruments.feeds()),
  };
}

function statisticsOf(shards: Shards): CoreStatistics {
  return {
    of: (symbol) => shards.of(symbol).core.statistics.of(symbol),
    state: () => Object.assign({}, ...shards.cores.map(({ statistics }) => statistics.state())),
  };
}

/** Events of sources enter the shard of their symbols [H7]. */
class ShardedEntry implements SourceEntry {
  private readonly shards: Shards;

  constructor(shards: Shards) {
    this.shards = shards;
  }

  private get entries(): readonly SourceEntry[] {
    return this.shards.cores.map(({ entry }) => entry);
  }

  set challenge(act: (source: number) => void) {
    for (const entry of this.entries) entry.challenge = act;
  }

  get claim(): (client: string, symbol: string) => void {
    return (client, symbol) => this.of(symbol).claim?.(client, symbol);
  }

  refusal(): Fault | undefined {
    const refusals = this.entries.map((entry) => entry.refusal());
    return refusals.includes(undefined) ? undefined : refusals[0];
  }

  submit(
    source: number,
    events: readonly SourceEvent[],
    done: (result: SubmitResult) => void,
    options?: SubmitOptions,
  ): void {
    const shard = shardOf(events, this.shards);
    if ('fault' in shard) return done(shard);
    const plain = events.some(isNamed) ? events.map(withoutShard) : events;
    shard.core.entry.submit(source, plain, done, options);
  }

  async behind(source: number): Promise<void> {
    await Promise.all(this.entries.map((entry) => entry.behind(source)));
  }

  yield(source: number, owner: string): void {
    for (const entry of this.entries) entry.yield(source, owner);
  }

  release(source: number, owner: string): void {
    for (const entry of this.entries) entry.release(source, owner);
  }

  holderOf(symbol: string): number {
    return this.of(symbol).holderOf(symbol);
  }

  isCrowded(client: string | number): boolean {
    return this.entries.some((entry) => entry.isCrowded(client));
  }

  private of(symbol: string): SourceEntry {
    return this.shards.of(symbol).core.entry;
  }
}

/** The shard of all these events; the shard that is named where the first of them defines a new symbol. */
function shardOf(
  events: readonly SourceEvent[],
  shards: Shards,
): Shard | { readonly index: number; readonly fault: Fault } {
  let found: Shard | undefined;
  for (const [index, event] of events.entries()) {
    const own = shardOfEvent(event, shards);
    if (own === undefined) continue; // it is new in this publish, or unknown to every shard
    if ('code' in own) return { index, fault: own };
    if (found !== undefined && found !== own) {
      const message = `${event.symbol} is of the shard ${own.name}; the events before it are of ${found.name}`;
      return { index, fault: fault('several-shards', message) };
    }
    found = own;
  }
  return found ?? shards.first;
}

function shardOfEvent(event: SourceEvent, shards: Shards): Shard | Fault | undefined {
  const known = shards.find(event.symbol);
  if (event.type !== 'instrument') return known;
  return known === undefined || event.shard !== null
    ? namedShard(event.shard, shards, known)
    : known;
}

/** @param known where the symbol is defined */
function namedShard(name: unknown, { all }: Shards, known?: Shard): Shard | Fault {
  if (name === null && all.length === 1) return all[0]!;
  const among = known === undefined ? all : [known];
  const shard = among.find((one) => one.name === name);
  const names = among.map((one) => one.name).join(' or ');
  return shard ?? fieldFault('shard', name, `the shard of the symbol: ${names}`);
}

function isNamed(event: SourceEvent): boolean {
  return event.type === 'instrument' && event.shard !== null;
}

/** The core of a shard does not know its name. */
function withoutShard(event: SourceEvent): SourceEvent {
  return event.type === 'instrument' ? { ...event, shard: null } : event;
}

function administrationOf(shards: Shards): InstrumentAdministration {
  const of = (symbol: string): InstrumentAdministration => shards.of(symbol).core.administration;
  return {
    define: async (fields) => {
      if (typeof fields !== 'object' || fields === null) return of('').define(fields);
      const { shard: name = null, ...rest } = fields as { symbol?: unknown; shard?: unknown };
      const known = shards.find(String(rest.symbol));
      if (known !== undefined && name === null) return known.core.administration.define(rest);
      const shard = namedShard(name, shards, known);
      return 'code' in shard ? shard : shard.core.administration.define(rest);
    },
    renumber: (symbol) => of(symbol).renumber(symbol),
    delete: (symbol) => of(symbol).delete(symbol),
  };
}

type Journal = JournalHealth & JournalFigures;

/** The health of the worst journal, with the sums of what is counted, and the oldest of what waits. */
function worst(journals: readonly Journal[]): Journal {
  const bad = journals.find(({ state }) => state !== 'ok') ?? journals[0]!;
  const sum = (of: (figures: Journal) => number): number =>
    journals.reduce((total, figures) => total + of(figures), 0);
  return {
    ...bad,
    waitingRows: sum(({ waitingRows }) => waitingRows),
    waitingBytes: sum(({ waitingBytes }) => waitingBytes),
    rows: sum(({ rows }) => rows),
    commits: sum(({ commits }) => commits),
    failures: sum(({ failures }) => failures),
    holes: sum(({ holes }) => holes),
    holeRecords: sum(({ holeRecords }) => holeRecords),
    committedSeq: sum(({ committedSeq }) => committedSeq),
    lagRecords: sum(({ lagRecords }) => lagRecords),
    lagMs: Math.max(...journals.map(({ lagMs }) => lagMs)),
  };
}

/** The oldest and longest cycle, with the sums of what is counted. */
function slowest(all: readonly CheckpointFigures[]): CheckpointFigures {
  const sum = (of: (figures: CheckpointFigures) => number): number =>
    all.reduce((total, figures) => total + of(figures), 0);
  return {
    cycles: sum(({ cycles }) => cycles),
    pieces: sum(({ pieces }) => pieces),
    bytes: sum(({ bytes }) => bytes),
    tookMs: Math.max(...all.map(({ tookMs }) => tookMs)),
    ageMs: Math.max(...all.map(({ ageMs }) => ageMs)),
    tailRecords: sum(({ tailRecords }) => tailRecords),
  };
}

function recoveryOf(shards: Shards): CoreFigures['recovery'] {
  const all = shards.cores.map(({ figures }) => figures.recovery);
  return {
    ms: all.reduce((sum, { ms }) => sum + ms, 0),
    records: all.reduce((sum, { records }) => sum + records, 0),
  };
}

/** A definition as it is published: with the name of its shard. */
export function namedDefinition(definition: Instrument, name: string | null): Instrument {
  return name === null ? definition : { ...definition, shard: name };
}
