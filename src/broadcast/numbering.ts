/**
 * Numbering: the sequence numbers of one shard, and where messages that were published under them can be read again. A
 * server without shards has one numbering without a name.
 */

import type { Instrument, MessageOf } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { PastEpochs } from './resume/past-epochs';

/** A position of a reader in one numbering. */
export interface ReaderPosition {
  readonly numbering: Numbering;
  readonly epoch: number;
  /** The reader has everything up to this number. */
  readonly seq: number;
  /** The highest number that it has met. */
  readonly newest: number;
}

export class Numbering {
  /** Its index among the numberings of the server. */
  readonly index: number;
  /** Null: the server names none. */
  readonly shard: string | null;
  epoch = 0;
  /** The newest published sequence number. */
  lastSeq = 0;
  pastEpochs: PastEpochs = new PastEpochs(new Map());
  /** All events after a sequence number, in order; undefined: some of them are no longer in memory. */
  since: (seq: number) => Iterable<readonly BatchEvent[]> | undefined = () => undefined;

  constructor(shard: string | null = null, index = 0) {
    this.shard = shard;
    this.index = index;
  }

  /** A definition as readers are sent it. A journal does not know the shard. */
  named(definition: Instrument): Instrument {
    return this.shard === null ? definition : { ...definition, shard: this.shard };
  }
}

/** The numberings of a server, at least one. */
export class Numberings {
  readonly all: readonly Numbering[];
  /** Whether its shards have names. */
  readonly areNamed: boolean;

  /** @param shards names of the shards; none: one numbering without a name */
  constructor(shards: readonly string[] = []) {
    this.areNamed = shards.length > 0;
    this.all = this.areNamed ? shards.map((name, i) => new Numbering(name, i)) : [new Numbering()];
  }

  /** The only one; undefined: there are several. */
  get only(): Numbering | undefined {
    return this.all.length === 1 ? this.all[0] : undefined;
  }

  /** @throws TypeError when there is none of this index */
  at(index: number): Numbering {
    const found = this.all[index];
    if (found === undefined) throw new TypeError(`there is no numbering ${index}`);
    return found;
  }

  named(shard: string): Numbering | undefined {
    return this.all.find((numbering) => numbering.shard === shard);
  }

  /** The positions of `welcome`. */
  newest(): Pick<MessageOf<'welcome'>, 'epoch' | 'seq' | 'shards'> {
    const { epoch, lastSeq: seq } = this.only ?? { epoch: 0, lastSeq: 0 };
    return { epoch, seq, shards: this.areNamed ? this.all.map(positionOf) : null };
  }

  /** How many sequence numbers a request goes back, about. */
  behind(m: MessageOf<'resume'> | MessageOf<'replay'>): number {
    if (m.type === 'replay') return distance(this.find(m.shard)?.lastSeq ?? 0, m.fromSeq ?? 0);
    if (m.positions === null) return distance(this.only?.lastSeq ?? 0, m.seq);
    const each = m.positions.map(({ shard, seq }) =>
      distance(this.named(shard)?.lastSeq ?? 0, seq),
    );
    return each.reduce((sum, own) => sum + own, 0);
  }

  /** Of several the one with the most numbers, where none is named. */
  private find(shard: string | null): Numbering | undefined {
    if (shard !== null) return this.named(shard);
    return this.all.reduce((most, other) => (other.lastSeq > most.lastSeq ? other : most));
  }

  /** The positions of an `ack`, at present. @param among those that the request is about */
  ack(id: number, among: readonly Numbering[] = this.all): MessageOf<'ack'> {
    const seq = this.only?.lastSeq ?? 0;
    const shards = this.areNamed
      ? among.map(({ shard, lastSeq }) => ({ shard: shard!, seq: lastSeq }))
      : null;
    return { type: 'ack', id, seq, repeated: null, waiting: null, shards };
  }
}

function distance(lastSeq: number, seq: number): number {
  return Math.max(0, lastSeq - seq);
}

function positionOf({ shard, epoch, lastSeq }: Numbering) {
  return { shard: shard!, epoch, seq: lastSeq };
}
