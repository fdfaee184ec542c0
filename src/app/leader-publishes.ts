/**
 * Leader publishes: the leader's end of what sources publish at other members.
 *
 * A stream's messages are taken once each and in order of their numbers; a repeated one gets the first answer. So each
 * entry enters the sequencer at most once under this leader. What the log then has of it stands in the receipts.
 *
 * A source of a member is a source of its own here. It ends with its release, or when its member was silent for
 * `LEASE_MS`: then its instruments are stale, as if a connection had ended.
 * Bounds: members, their sources, bytes of entries that have not come whole, answers kept of a stream, receipts.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { SourceEntry } from '../base/contracts/core';
import type { SubmitResult } from '../base/contracts/submission';
import type { SliceQueue } from '../base/slice-queue';
import {
  decodeEvents,
  decodeEventsInParts,
  decodePublishRequest,
  encodePublishAnswer,
  ENTRY_HEAD_BYTES,
  entryHead,
  MESSAGE_ENTRIES_MAX,
  outcomeOf,
  refusedMessage,
  WANTED_MAX,
  type EntryKind,
  type PublishAnswer,
  type PublishHead,
  type Published,
} from '../cluster/publish-messages';
import { PASSING } from './leader-writes';
import type { Receipts } from './receipts';

/** A member that was not heard of for so long has gone. */
export const LEASE_MS = 5_000;
/** The answers of a stream that are kept; a member has fewer messages under way. */
const ANSWERS_MAX = 16;
const MEMBERS_MAX = 1_000;
const SOURCES_PER_MEMBER_MAX = 20_000;
/** Of entries that have not come whole. */
const BYTES_PER_MEMBER_MAX = 64 * 1024 * 1024;
const BYTES_MAX = 256 * 1024 * 1024;
/** The events of a longer entry are read in slices. */
const SLICED_BYTES = 32 * 1024;
/** When this leader itself stood still for so long, it cannot say who was silent. */
const STOOD_STILL_MS = 1_000;

export interface LeaderPublishesParts {
  readonly entry: SourceEntry;
  readonly epoch: number;
  readonly lastSeq: () => number;
  /** The events up to this one were there when this leader began. */
  readonly base: number;
  readonly receipts: Receipts;
  /** See `writeServer`. */
  readonly isProven: () => Promise<boolean>;
  /** The number of a new source of this process. @param client whose it is */
  readonly addSource: (client: () => string) => number;
  readonly endSource: (source: number) => void;
  /** The client of a source of this process; empty: unknown. */
  readonly clientOf: (source: number) => string;
  /** A source of this process is wanted: see `SourceEntry.challenge`. */
  readonly challenge: (source: number) => void;
  /** Where long entries are read. */
  readonly slices: Pick<SliceQueue, 'run'>;
  readonly nowMs: () => number;
}

export interface LeaderPublishesFigures {
  readonly members: number;
  readonly sources: number;
  readonly entries: number;
  readonly repeated: number;
  readonly refused: number;
  readonly expired: number;
}

/** What was not read when the source ended. */
const ENDED = fault('no-leader', 'the leader has released this source');

interface Member {
  readonly name: string;
  heardMs: number;
  /** No stream up to this one begins any more. */
  newestStream: number;
  /** Bytes that are reserved for entries that have not come whole. */
  bytes: number;
  readonly sources: Map<number, Source>;
  /** Its sources whose symbols another source of their client wants. */
  readonly wanted: Set<number>;
  /** Sources that have ended, until everything of them is in the journal. */
  readonly ending: Map<number, Promise<void>>;
}

interface Source {
  /** Its number in this process. */
  readonly id: number;
  owner: string;
  stream: number;
  /** Number of the newest message. */
  last: number;
  /** Of the newest messages. */
  readonly answers: Map<number, Promise<Uint8Array>>;
  /** Number of the newest publish. */
  publishes: number;
  /** An entry whose end has not come. */
  partial: { readonly kind: EntryKind; readonly body: Uint8Array; have: number } | undefined;
  /** Settles when a long entry has been read, and everything behind it was taken. */
  tail: Promise<void> | undefined;
  hasEnded: boolean;
}

export class LeaderPublishes {
  private readonly parts: LeaderPublishesParts;
  private readonly members = new Map<string, Member>();
  /** Where the sources of other members are, by their numbers in this process. */
  private readonly remote = new Map<number, { readonly member: Member; readonly key: number }>();
  private bytes = 0;
  private lookedMs: number;
  private readonly counts = { entries: 0, repeated: 0, refused: 0, expired: 0 };

  constructor(parts: LeaderPublishesParts) {
    this.parts = parts;
    this.lookedMs = parts.nowMs();
  }

  figures(): LeaderPublishesFigures {
    let sources = 0;
    for (const member of this.members.values()) sources += member.sources.size;
    return { members: this.members.size, sources, ...this.counts };
  }

  /** Answers a request. Never rejects. */
  handle(bytes: Uint8Array): Promise<Uint8Array> {
    const request = decodePublishRequest(bytes);
    if ('code' in request) return this.refuse(request);
    const member = this.member(request.is.member);
    if ('code' in member) return this.refuse(member);
    if (request.kind === 'publish') return this.publish(member, request.is, request.bytes);
    if (request.kind === 'leave') {
      for (const key of member.sources.keys()) this.release(member, key);
    }
    const { epoch, base } = this.parts;
    const wanted = [...member.wanted].slice(0, WANTED_MAX);
    member.wanted.clear(); // if the answer is lost, the next publish wants them again
    return answered({ kind: 'alive', is: { epoch, base, wanted } });
  }

  /** Ends the sources of members that were silent. To be called several times a second. */
  look(): void {
    const nowMs = this.parts.nowMs();
    const stoodMs = nowMs - this.lookedMs;
    this.lookedMs = nowMs;
    for (const member of this.members.values()) {
      if (stoodMs > STOOD_STILL_MS) member.heardMs += stoodMs;
      if (member.sources.size === 0 || nowMs - member.heardMs < LEASE_MS) continue;
      this.counts.expired += 1;
      for (const key of member.sources.keys()) this.release(member, key);
    }
  }

  private member(name: string): Member | Fault {
    const nowMs = this.parts.nowMs();
    const known = this.members.get(name);
    if (known !== undefined) {
      known.heardMs = nowMs;
      return known;
    }
    if (this.members.size >= MEMBERS_MAX && !this.forgetOne()) {
      return fault('overloaded', `sources of ${MEMBERS_MAX} members publish already`);
    }
    const maps = { sources: new Map(), wanted: new Set<number>(), ending: new Map() };
    const member = { name, heardMs: nowMs, newestStream: 0, bytes: 0, ...maps };
    this.members.set(name, member);
    return member;
  }

  /** Forgets the member without sources that was silent for longest. @returns whether there was one */
  private forgetOne(): boolean {
    let oldest: Member | undefined;
    for (const member of this.members.values()) {
      if (member.sources.size > 0) continue;
      if (oldest === undefined || member.heardMs < oldest.heardMs) oldest = member;
    }
    return oldest !== undefined && this.members.delete(oldest.name);
  }

  private publish(member: Member, head: PublishHead, bytes: Uint8Array): Promise<Uint8Array> {
    const source = this.source(member, head);
    if (source === 'gone') return this.gone(member, head.source);
    if ('kind' in source) return answered(source);
    const { number } = head;
    if (number <= source.last) {
      this.counts.repeated += 1;
      const known = source.answers.get(number);
      return known ?? this.refuse(fault('internal', 'the answer to this message is not kept'));
    }
    const { epoch, receipts } = this.parts;
    if (number > source.last + 1) return answered({ kind: 'early', is: { epoch } });
    if (receipts.isFull) return this.refuse(overloaded('publishes wait for the batch log'));
    const bodies = this.cut(member, source, bytes);
    if ('code' in bodies) return this.refuse(bodies);
    source.last = number;
    source.owner = head.owner;
    const outcomes = bodies.map((entry) => this.take(member, head.source, source, entry));
    const answer = this.answerOf(outcomes);
    source.answers.set(number, answer);
    source.answers.delete(number - ANSWERS_MAX);
    return answer;
  }

  /** The source of a stream, which may begin with this message; or the answer that says why there is none. */
  private source(member: Member, head: PublishHead): Source | PublishAnswer | 'gone' {
    const { epoch, addSource } = this.parts;
    const known = member.sources.get(head.source);
    if (known?.stream === head.stream) return known;
    if (head.stream <= member.newestStream) return 'gone';
    if (head.number !== 1) {
      // A member that is not known may have been forgotten, and its stream with it.
      if (member.newestStream > 0) return { kind: 'early', is: { epoch } };
      member.newestStream = head.stream;
      return 'gone';
    }
    if (known === undefined && member.sources.size >= SOURCES_PER_MEMBER_MAX) {
      return refusedMessage(overloaded(`${SOURCES_PER_MEMBER_MAX} sources of this member publish`));
    }
    member.newestStream = head.stream;
    if (known !== undefined) this.drop(member, known);
    const owner = (): string => member.sources.get(head.source)?.owner ?? head.owner;
    const source: Source = {
      id: known?.id ?? addSource(owner),
      owner: head.owner,
      stream: head.stream,
      last: 0,
      answers: new Map(),
      publishes: 0,
      partial: undefined,
      tail: known?.tail,
      hasEnded: false,
    };
    member.sources.set(head.source, source);
    this.remote.set(source.id, { member, key: head.source });
    return source;
  }

  /** Once everything of the source is in the journal, the newest number is not below any of its own. */
  private async gone(member: Member, key: number): Promise<Uint8Array> {
    await member.ending.get(key);
    const { epoch, lastSeq } = this.parts;
    return encodePublishAnswer({ kind: 'gone', is: { epoch, seq: lastSeq() } });
  }

  /**
   * The entries that end in these bytes; what begins is kept. Changes nothing if it returns a fault.
   * Memory for a whole entry is reserved when it begins, so one that has begun can always end.
   */
  private cut(member: Member, source: Source, bytes: Uint8Array): Whole[] | Fault {
    const whole: Whole[] = [];
    const { partial } = source;
    let at = 0;
    if (partial !== undefined) at = Math.min(partial.body.length - partial.have, bytes.length);
    const rest: Whole[] = [];
    let begun: Source['partial'];
    for (let from = at; from < bytes.length;) {
      const head = entryHead(bytes, from);
      if ('code' in head) return head;
      const body = bytes.subarray(from + ENTRY_HEAD_BYTES, from + ENTRY_HEAD_BYTES + head.length);
      from += ENTRY_HEAD_BYTES + body.length;
      if (body.length === head.length) rest.push({ kind: head.kind, body });
      else {
        const { length, kind } = head;
        if (!this.hasRoom(member, length)) return overloaded('entries of other members');
        begun = { kind, body: new Uint8Array(length), have: body.length };
        begun.body.set(body);
      }
    }
    if (rest.length >= MESSAGE_ENTRIES_MAX) return overloaded(`${rest.length} entries`);
    if (partial !== undefined) {
      partial.body.set(bytes.subarray(0, at), partial.have);
      partial.have += at;
      if (partial.have === partial.body.length) {
        this.drop(member, source);
        whole.push(partial);
      }
    }
    if (begun !== undefined) {
      source.partial = begun;
      this.reserve(member, begun.body.length);
    }
    return [...whole, ...rest];
  }

  private hasRoom(member: Member, bytes: number): boolean {
    return member.bytes + bytes <= BYTES_PER_MEMBER_MAX && this.bytes + bytes <= BYTES_MAX;
  }

  private reserve(member: Member, bytes: number): void {
    member.bytes += bytes;
    this.bytes += bytes;
  }

  /** Drops what has not come whole. */
  private drop(member: Member, source: Source): void {
    this.reserve(member, -(source.partial?.body.length ?? 0));
    source.partial = undefined;
  }

  private take(member: Member, key: number, source: Source, whole: Whole): Promise<SubmitResult> {
    this.counts.entries += 1;
    source.publishes += 1;
    const taking = { member, key, source, whole, number: source.publishes };
    if (source.tail === undefined && whole.body.length <= SLICED_BYTES) return this.enter(taking);
    const { promise, resolve } = Promise.withResolvers<SubmitResult>();
    const tail = (source.tail ?? Promise.resolve()).then(async () => {
      const isLong = whole.body.length > SLICED_BYTES;
      const read = isLong
        ? await this.parts.slices.run(decodeEventsInParts(whole.body))
        : undefined;
      void this.enter(taking, read).then(resolve);
      if (source.tail === tail) source.tail = undefined;
    });
    source.tail = tail;
    return promise;
  }

  private enter(
    { member, key, source, whole: { kind, body }, number }: Taking,
    read?: Published | Fault,
  ): Promise<SubmitResult> {
    const { entry, lastSeq, receipts } = this.parts;
    const { id, owner, stream } = source;
    if (source.hasEnded) return Promise.resolve({ index: -1, fault: ENDED });
    if (kind === 'yield' || kind === 'release') {
      if (kind === 'yield') entry.yield(id, owner);
      else this.release(member, key);
      const done = { seq: lastSeq(), intake: { repeated: 0, waiting: 0 } };
      return entry.behind(id).then(() => done);
    }
    const published = read ?? decodeEvents(body);
    if ('code' in published) return Promise.resolve({ index: -1, fault: published });
    const { events, continues } = published;
    const worked = receipts.noting(member.name, stream, number);
    const options = {
      owner,
      continues: continues === true,
      isDecimal: kind === 'decimals',
      worked,
    };
    return new Promise((resolve) => {
      const done = (result: SubmitResult): void => {
        if ('fault' in result && result.fault.code === 'symbol-in-use') {
          this.claim(owner, events[result.index]?.symbol ?? '');
        }
        resolve(result);
      };
      entry.submit(id, events, done, options);
    });
  }

  /** A source of a client was refused: if the symbol belongs to another source of it, that has to show that it is alive. */
  claim(client: string, symbol: string): void {
    const { entry, clientOf, challenge } = this.parts;
    const holder = entry.holderOf(symbol);
    if (holder === 0 || client === '' || clientOf(holder) !== client) return;
    const found = this.remote.get(holder);
    if (found === undefined) challenge(holder);
    else found.member.wanted.add(found.key);
  }

  /** A refusal names no event that the member could wait for, so the log has to prove it (`writeServer`). */
  private async answerOf(outcomes: readonly Promise<SubmitResult>[]): Promise<Uint8Array> {
    const results = await Promise.all(outcomes);
    const refused = results.filter((result) => 'fault' in result);
    this.counts.refused += refused.length;
    const isOfState = refused.some((result) => !PASSING.has(result.fault.code));
    if (isOfState && !(await this.parts.isProven())) {
      const message = 'another leader has taken over from this one';
      return encodePublishAnswer(refusedMessage(fault('no-leader', message)));
    }
    const { epoch } = this.parts;
    return encodePublishAnswer({
      kind: 'outcomes',
      is: { epoch, outcomes: results.map(outcomeOf) },
    });
  }

  private release(member: Member, key: number): void {
    const source = member.sources.get(key);
    if (source === undefined) return;
    member.sources.delete(key);
    member.wanted.delete(key);
    this.remote.delete(source.id);
    source.hasEnded = true;
    this.drop(member, source);
    const { entry, endSource } = this.parts;
    entry.release(source.id, source.owner);
    endSource(source.id);
    const ended = entry.behind(source.id);
    member.ending.set(key, ended);
    void ended.then(() => {
      if (member.ending.get(key) === ended) member.ending.delete(key);
    });
  }

  private refuse(why: Fault): Promise<Uint8Array> {
    return answered(refusedMessage(why));
  }
}

interface Taking {
  readonly member: Member;
  /** The source at its member. */
  readonly key: number;
  readonly source: Source;
  readonly whole: Whole;
  /** Of the entry in its stream. */
  readonly number: number;
}

interface Whole {
  readonly kind: EntryKind;
  readonly body: Uint8Array;
}

function answered(answer: PublishAnswer): Promise<Uint8Array> {
  return Promise.resolve(encodePublishAnswer(answer));
}

function overloaded(what: string): Fault {
  return fault('overloaded', `too much waits already: ${what}`);
}
