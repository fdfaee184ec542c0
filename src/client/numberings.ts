/**
 * Numberings: one for each shard of the server [H1], and which of them each topic has a part in. `status` and topics with a
 * `*` have one in each; a topic of one symbol is in the numbering of its symbol, which `instrument.shard` names. Until that
 * is known, it is in all of them: the answer of its request begins with the definition [S3], and only the right one stays.
 *
 * Bound: shards of the server, and symbols.
 */

import type { MessageOf } from '../../protocol/messages';
import type { Topic } from '../../protocol/topics';
import { parseTopic } from '../../protocol/topics';
import type { Numbering } from './numbering';
import type { Asked } from './topic-table';
import { WantedTopics } from './wanted-topics';

/** A requested topic over all numberings. */
export type AskedTopic = Pick<Asked, 'name' | 'topic' | 'stage' | 'resuming'>;

export class Numberings {
  readonly wanted = new WantedTopics();
  /** The only numbering, if there is one. */
  private only: Numbering | undefined;
  private readonly byShard = new Map<string | null, Numbering>();
  /** The shard of each symbol, by the newest definition. */
  private readonly shards = new Map<string, string | null>();
  private readonly make: (shard: string | null) => Numbering;

  /** @param make creates the numbering of a shard */
  constructor(make: (shard: string | null) => Numbering) {
    this.make = make;
  }

  get all(): Iterable<Numbering> {
    return this.byShard.values();
  }

  get single(): Numbering | undefined {
    return this.only;
  }

  /** The numbering of a shard; undefined if the server has no such shard. */
  get(shard: string | null): Numbering | undefined {
    return this.byShard.get(shard);
  }

  /** The shard of a symbol; null if it has none, or it is not known. */
  shardOf(symbol: string): string | null {
    return this.only === undefined ? (this.shards.get(symbol) ?? null) : this.only.shard;
  }

  /** The numbering of a symbol's messages; undefined if it is not known. */
  of(symbol: string): Numbering | undefined {
    return this.only ?? this.byShard.get(this.shards.get(symbol) ?? null);
  }

  /** The numberings that a topic has a part in. */
  parts({ symbol }: Topic): Iterable<Numbering> {
    const own = symbol === '' || symbol === '*' ? undefined : this.of(symbol);
    return own === undefined ? this.all : [own];
  }

  isShared(name: string): boolean {
    if (this.only !== undefined) return false;
    const { symbol } = parseTopic(name)!;
    return symbol === '' || symbol === '*';
  }

  /** Gives each numbering those topics that it has a part in. */
  *split(names: readonly string[]): Generator<[Numbering, readonly string[]]> {
    if (this.only !== undefined) {
      yield [this.only, names];
      return;
    }
    const parts = new Map<Numbering, string[]>();
    for (const name of names) {
      for (const numbering of this.parts(parseTopic(name)!)) {
        const own = parts.get(numbering);
        if (own === undefined) parts.set(numbering, [name]);
        else own.push(name);
      }
    }
    yield* parts;
  }

  /** The shards of the server that the client is connected to now. @returns the numberings that it does not have */
  serve(shards: MessageOf<'welcome'>['shards']): Numbering[] {
    const names: readonly (string | null)[] = shards?.map(({ shard }) => shard) ?? [null];
    const gone = [...this.all].filter(({ shard }) => !names.includes(shard));
    for (const { shard } of gone) this.byShard.delete(shard);
    const added: Numbering[] = [];
    for (const name of names) {
      if (this.byShard.has(name)) continue;
      const numbering = this.make(name);
      this.byShard.set(name, numbering);
      added.push(numbering);
    }
    this.only = this.byShard.size === 1 ? [...this.byShard.values()][0] : undefined;
    for (const name of this.wanted.names) this.place(name);
    // Whoever had a topic before has to know from where on this shard is part of it.
    for (const { table } of added) for (const name of table.asked.keys()) table.replace(name);
    return gone;
  }

  /** A definition arrived. @returns topics of the symbol, if it is of another shard than was known */
  define({ symbol, shard }: MessageOf<'instrument'>): readonly string[] {
    if (shard === null && !this.shards.has(symbol)) return [];
    if (this.shards.get(symbol) === shard) return [];
    this.shards.set(symbol, shard);
    if (this.only !== undefined) return [];
    const names = this.wanted.ofSymbol(symbol);
    for (const name of names) this.place(name);
    return names;
  }

  /** Puts a topic into the numberings that it has a part in, and out of the others. */
  place(name: string): void {
    const topic = this.wanted.topic(name)!;
    const parts = new Set(this.parts(topic));
    let isReplaced = false;
    for (const numbering of this.all) {
      if (!parts.has(numbering) && numbering.leave(name)) isReplaced = true;
    }
    for (const { table } of parts) {
      table.want(name, topic);
      if (isReplaced) table.replace(name);
    }
  }

  /** A requested topic, as far as all of its parts are. */
  asked(name: string): AskedTopic | undefined {
    if (this.only !== undefined) return this.only.table.asked.get(name);
    const topic = this.wanted.topic(name);
    if (topic === undefined) return undefined;
    const parts = [...this.parts(topic)].flatMap(({ table }) => table.asked.get(name) ?? []);
    const stages = new Set(parts.map(({ stage }) => stage));
    const [stage] = stages.size === 1 ? stages : (['pending'] as const);
    return { name, topic, stage: stage!, resuming: parts.some(({ resuming }) => resuming) };
  }

  *allAsked(): Generator<AskedTopic> {
    for (const name of this.wanted.names) yield this.asked(name)!;
  }
}
