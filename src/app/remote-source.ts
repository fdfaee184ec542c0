/**
 * Remote source: a source of this member on its way to the leader. Its entries go out in order, in messages of a
 * stream, some of them under way at once; each gets its outcome from the answer to its message, or from the log.
 *
 * A stream is bound to one leader. When that is gone, the log shows which entries it has; the others begin a new
 * stream at the next leader. An entry counts as done once this member has it from the log.
 */

import type { Receipt } from '../../protocol/batch';
import { fault, type Fault } from '../../protocol/codes';
import type { Instrument, Renumber, SourceEvent } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { SourceEntry } from '../base/contracts/core';
import type { SubmitOptions, SubmitResult } from '../base/contracts/submission';
import { Deque } from '../base/deque';
import {
  encodeEntry,
  encodePublish,
  decodePublishAnswer,
  ENTRY_HEAD_BYTES,
  MESSAGE_ENTRIES_MAX,
  resultOf,
  STREAM_BYTES_MAX,
  type EntryKind,
  type PublishAnswer,
} from '../cluster/publish-messages';
import type { Asked } from '../cluster/writes';

/** Messages of a source that may be under way. What comes meanwhile goes together into the next. */
const UNDER_WAY_MAX = 4;
/** A message without an answer is asked again so soon, beside the first try; and so soon after a try that failed. */
const ASK_AGAIN_MS = 500;
const AGAIN_MS = 50;
/** Both double with each try, up to eight times: where the leader or the broker is in trouble, more would not help. */
const DOUBLINGS_MAX = 3;
/** An entry that the leader may have taken waits so long for its outcome. */
export const OUTCOME_MS = 15_000;

/** A leader that says this does nothing more; another follows. */
const LEAVING: ReadonlySet<string> = new Set(['no-leader', 'shutting-down']);

export interface RemoteSourceParts {
  readonly member: string;
  readonly source: number;
  readonly leaderWaitMs: number;
  /** A number for a new stream, above all before. */
  readonly nextStream: () => number;
  readonly streamEnded: (stream: number) => void;
  /** The epoch that this member follows. */
  readonly epoch: () => number;
  /** The last number of the log under an epoch, as far as it is known; Infinity: of the present one. */
  readonly endOf: (epoch: number) => number;
  /** See `Replica.has`. */
  readonly has: (epoch: number, seq: number) => Promise<boolean>;
  readonly ask: (epoch: number, bytes: Uint8Array) => Promise<Asked>;
  readonly nowMs: () => number;
  readonly now: () => Nanos;
  readonly later: (ms: number, act: () => void) => () => void;
  /** An entry has its outcome, and everything before it in this source. */
  readonly settled: (entry: Entry, result: SubmitResult) => void;
}

export interface Entry {
  readonly kind: EntryKind;
  readonly events: readonly SourceEvent[];
  readonly options: SubmitOptions;
  readonly done: (result: SubmitResult) => void;
  readonly enteredMs: number;
  /** What it comes to, once that is known and the log has it. */
  result: SubmitResult | undefined;
  /** From the log, under the epoch of the stream. */
  receipt: Receipt | undefined;
  /** The message in which it ends; undefined: it was not sent. */
  message: Message | undefined;
  /** Its number in the stream; 0: it was not sent. */
  number: number;
}

interface Message {
  readonly stream: number;
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Entries that end in it. */
  readonly entries: readonly Entry[];
  /** Tries that have not ended, and whether the leader may have got one that has. */
  asking: number;
  tries: number;
  hasGone: boolean;
  isAnswered: boolean;
}

export class RemoteSource {
  owner = '';
  private readonly parts: RemoteSourceParts;
  /** What has no outcome yet, in order. */
  private readonly queue = new Deque<Entry>();
  /** How many of the queue are sent whole, and the rest of the one that is sent in part. */
  private sent = 0;
  private rest: { readonly entry: Entry; readonly bytes: Uint8Array } | undefined;
  /** 0: none has begun. */
  private stream = 0;
  private streamEpoch = 0;
  /** The epoch whose leader may have got something of it, last. */
  private knownIn = -1;
  private number = 0;
  private underWay = 0;
  private publishes = 0;
  /** Entries that were sent, by their number in the stream. */
  private readonly numbered = new Map<number, Entry>();
  /** Whether the stream was lost, and what became of its entries is not decided yet. */
  private isDeciding = false;
  /** Whether a later leader has brought numbers into the log of which nobody knows where they are from. */
  private isDoubtful = false;
  /** When a leader last showed that it is there. */
  private answeredMs = -Infinity;
  /** Symbols that leaders have taken events of. */
  readonly fed = new Set<string>();
  /** Those of them of which only leaders before this one have. */
  private carried = new Set<string>();
  /** Definitions that were refused, so the integers of their symbols mean something else. */
  private readonly misread = new Map<string, Instrument>();
  /** Symbols whose numbers are those of a server. */
  private readonly published = new Set<string>();
  /** Whether the leader has yet to be given these two. */
  private isNew = false;

  constructor(parts: RemoteSourceParts) {
    this.parts = parts;
  }

  get length(): number {
    return this.queue.length;
  }

  /** Whether the present leader may know it. */
  get isKnown(): boolean {
    return this.knownIn === this.parts.epoch();
  }

  /** Whether a leader that is gone may have taken something of it. */
  get mayHaveTaken(): boolean {
    for (const { result, message } of this.queue) {
      if (result === undefined && mayHaveCome(message)) return true;
    }
    return false;
  }

  add(
    kind: EntryKind,
    events: readonly SourceEvent[],
    options: SubmitOptions,
    done: Entry['done'],
  ): void {
    this.introduce();
    this.queue.push(this.entry(kind, events, options, done));
    this.pump();
  }

  /** The log has an entry, or a part of it. */
  receipt(stream: number, receipt: Receipt): void {
    const entry = stream === this.stream ? this.numbered.get(receipt.publish) : undefined;
    if (entry === undefined) return;
    const first = entry.receipt?.firstSeq ?? receipt.firstSeq;
    entry.receipt = { ...receipt, firstSeq: first };
  }

  /** The log has numbers of which nobody knows what they are of. */
  doubt(epoch: number): void {
    if (this.stream !== 0 && this.streamEpoch !== epoch) this.isDoubtful = true;
  }

  /** The epoch of the stream has ended: nothing more is sent until `decide`. */
  lose(): void {
    if (this.stream !== 0) this.isDeciding = true;
  }

  /**
   * Decides what became of the entries of a lost stream; the others begin a new one. This member has the whole log of
   * its epoch.
   * @param isInherited whether the next leader has numbers of that epoch that the log did not have
   */
  decide(isInherited: boolean): void {
    this.answeredMs = this.parts.nowMs(); // there is another leader
    if (this.isDeciding && this.streamEpoch !== this.parts.epoch()) this.conclude(isInherited);
  }

  private conclude(isInherited: boolean): void {
    this.judge(isInherited);
    this.reset();
    this.pump();
  }

  private judge(isInherited: boolean): void {
    const doubt = isInherited || this.isDoubtful;
    const end = this.parts.endOf(this.streamEpoch);
    let newest = 0;
    for (const { receipt, number } of this.queue) {
      if (receipt !== undefined && receipt.firstSeq <= end) newest = number;
    }
    for (const entry of this.queue) {
      const { message, receipt } = entry;
      if (entry.result !== undefined) continue;
      if (receipt !== undefined && receipt.firstSeq <= end) this.takeReceipt(entry, receipt, end);
      else if (entry.number > 0 && entry.number < newest) {
        entry.result = unknown('it was refused or without effect, and the answer is lost');
      } else if (doubt && mayHaveCome(message)) {
        entry.result = unknown('the next leader may have it, and does not know');
      }
    }
  }

  /** The rest goes to the leader of this process. */
  moveTo(local: SourceEntry): void {
    const { source, settled } = this.parts;
    this.judge(false);
    this.reset();
    for (let entry = this.queue.shift(); entry !== undefined; entry = this.queue.shift()) {
      const { kind, events, options } = entry;
      const one = entry;
      if (kind === 'yield') local.yield(source, this.owner);
      if (kind === 'release') local.release(source, this.owner);
      if (kind === 'yield' || kind === 'release') {
        void local.behind(source).then(() => settled(one, NOTHING));
      } else {
        const more = { ...options, continues: this.continues(entry) };
        local.submit(source, events, (result) => settled(one, result), more);
      }
    }
  }

  /** It has ended. */
  close(): void {
    if (this.stream !== 0) this.parts.streamEnded(this.stream);
    this.stream = this.underWay = 0;
  }

  /** Nothing more is asked; what is under way gets what is known of it. */
  end(): void {
    this.close();
    for (const entry of this.queue) {
      if (entry.result !== undefined) continue;
      const isOpen = mayHaveCome(entry.message);
      const stopping = fault('shutting-down', 'the server is being stopped');
      entry.result = isOpen ? unknown('the server is being stopped') : refused(stopping);
    }
    this.flush();
  }

  /** Refuses what has waited for too long. To be called several times a second. */
  look(): void {
    const { nowMs, leaderWaitMs } = this.parts;
    const first = this.queue.at(0);
    if (first === undefined) return;
    const waitedMs = nowMs() - first.enteredMs;
    const alone = Math.min(waitedMs, nowMs() - this.answeredMs);
    if (first.kind === 'release') {
      if (this.isKnown) return; // the leader would hold its instruments for it
      first.result = NOTHING;
    } else if (!mayHaveCome(first.message)) {
      if (alone < leaderWaitMs) return;
      const message = `no leader was there for ${leaderWaitMs} ms`;
      first.result = refused(fault('no-leader', message));
    } else {
      if (waitedMs < Math.max(OUTCOME_MS, leaderWaitMs)) return;
      for (const entry of this.queue) {
        if (mayHaveCome(entry.message)) entry.result ??= unknown('no leader has answered');
      }
    }
    // What was refused must not be taken later: the leader drops the old stream for the new one.
    this.reset();
    this.pump();
  }

  // ── the stream ──────────────────────────────────────────────────────────────────────────────

  /** Ends the stream; what has no outcome is to go out in a new one. */
  private reset(): void {
    const had = this.stream !== 0;
    this.close();
    this.isDeciding = this.isDoubtful = false;
    this.rest = undefined;
    this.numbered.clear();
    this.flush();
    this.sent = 0;
    const entries = [...this.queue];
    while (this.queue.length > 0) this.queue.shift();
    if (had) {
      this.isNew = true;
      this.carried = new Set(this.fed);
    }
    if (entries.length > 0) this.introduce();
    for (const entry of entries) {
      entry.message = undefined;
      entry.receipt = undefined;
      entry.number = 0;
      this.queue.push(entry);
    }
  }

  /** Gives a leader that this source is new to what the one before knew of it; as entries of the server's own. */
  private introduce(): void {
    if (!this.isNew) return;
    this.isNew = false;
    const own = (event: SourceEvent): void =>
      this.queue.push(this.entry('publish', [event], {}, () => {}));
    for (const definition of this.misread.values()) own(definition); // it is refused again
    for (const symbol of this.published) own(publishedNumbers(symbol, this.parts.now()));
  }

  private pump(): void {
    while (!this.isDeciding && this.underWay < UNDER_WAY_MAX && this.hasMore()) {
      if (this.stream === 0) this.open();
      const message = this.next();
      if (message !== undefined) this.post(message);
    }
    this.flush();
  }

  private hasMore(): boolean {
    return this.rest !== undefined || this.sent < this.queue.length;
  }

  private open(): void {
    const { nextStream, epoch } = this.parts;
    this.stream = nextStream();
    this.streamEpoch = epoch();
    this.number = this.publishes = 0;
  }

  /** The next message: as many entries as fit. Undefined: those that were left had their outcome already. */
  private next(): Message | undefined {
    const pieces: Uint8Array[] = [];
    const entries: Entry[] = [];
    let room = STREAM_BYTES_MAX;
    while (this.hasMore() && entries.length < MESSAGE_ENTRIES_MAX - 1) {
      if (this.rest === undefined && room < ENTRY_HEAD_BYTES) break;
      const rest = this.rest ?? this.encoded(this.queue.at(this.sent)!);
      this.rest = undefined;
      if (rest === undefined) {
        this.sent += 1;
        continue;
      }
      const { entry, bytes } = rest;
      pieces.push(bytes.subarray(0, room));
      if (bytes.length > room) {
        this.rest = { entry, bytes: bytes.subarray(room) };
        break;
      }
      room -= bytes.length;
      entries.push(entry);
      this.sent += 1;
    }
    if (pieces.length === 0) return undefined;
    const number = ++this.number;
    const { stream } = this;
    const { member, source } = this.parts;
    const head = { member, source, stream, number, owner: this.owner };
    const bytes = encodePublish(head, Buffer.concat(pieces));
    const blank = { asking: 0, tries: 0, hasGone: false, isAnswered: false };
    const message: Message = { stream, number, bytes, entries, ...blank };
    for (const entry of entries) entry.message = message;
    return message;
  }

  private encoded(entry: Entry): { entry: Entry; bytes: Uint8Array } | undefined {
    if (entry.result !== undefined) return undefined;
    const { kind, events } = entry;
    const bytes = encodeEntry(kind, events, this.continues(entry));
    if ('code' in bytes) {
      entry.result = refused(bytes);
      return undefined;
    }
    entry.number = ++this.publishes;
    this.numbered.set(entry.number, entry);
    return { entry, bytes };
  }

  private post(message: Message): void {
    this.underWay += 1;
    this.try(message);
  }

  /** Asks, and again while there is no answer: the leader answers a repeated message with the first answer. */
  private try(message: Message): void {
    const { parts, streamEpoch } = this;
    if (!this.isAwaited(message)) return;
    message.asking += 1;
    const factor = 2 ** Math.min(message.tries++, DOUBLINGS_MAX);
    const stop = parts.later(factor * ASK_AGAIN_MS, () => this.try(message));
    void parts.ask(streamEpoch, message.bytes).then((asked) => {
      message.asking -= 1;
      if (asked.outcome !== 'nobody') {
        message.hasGone = true;
        this.knownIn = streamEpoch;
      }
      if (!this.isAwaited(message)) return stop();
      if (this.answer(message, asked)) {
        message.isAnswered = true;
        return stop();
      }
      this.look();
      if (message.asking > 0) return; // the newest try goes on
      stop();
      parts.later(factor * AGAIN_MS, () => this.try(message));
    });
  }

  private isAwaited({ stream, isAnswered }: Message): boolean {
    return stream === this.stream && !isAnswered && !this.isDeciding;
  }

  /** @returns whether it is one; else the message is to be sent again */
  private answer(message: Message, asked: Asked): boolean {
    if (asked.outcome !== 'answered') return false;
    const answer = decodePublishAnswer(asked.bytes);
    if ('code' in answer) return false;
    if (answer.kind === 'refused') {
      if (!LEAVING.has(answer.is.code)) this.answeredMs = this.parts.nowMs();
      return false;
    }
    this.answeredMs = this.parts.nowMs();
    if (answer.kind === 'outcomes') return this.takeOutcomes(message, answer.is);
    if (answer.kind !== 'gone') return false;
    this.isDeciding = true;
    const { stream } = message;
    void this.parts.has(answer.is.epoch, answer.is.seq).then((has) => {
      // If not, that epoch has ended, and the next one decides.
      if (!has || this.stream !== stream) return;
      this.knownIn = -1;
      this.conclude(false);
    });
    return true;
  }

  private takeOutcomes(
    { entries, stream }: Message,
    { epoch, outcomes }: Extract<PublishAnswer, { kind: 'outcomes' }>['is'],
  ): boolean {
    if (outcomes.length !== entries.length || epoch !== this.streamEpoch) return false;
    this.underWay -= 1;
    const results = outcomes.map(resultOf);
    let newest = -1;
    for (const [i, entry] of entries.entries()) {
      const result = results[i]!;
      if ('fault' in result) entry.result ??= result;
      else newest = Math.max(newest, result.seq);
    }
    if (newest >= 0) {
      void this.parts.has(epoch, newest).then((has) => {
        // If not, the epoch has ended before it, and what the log has decides.
        if (!has || this.stream !== stream) return;
        for (const [i, entry] of entries.entries()) entry.result ??= results[i]!;
        this.flush();
      });
    }
    this.pump();
    return true;
  }

  private takeReceipt(entry: Entry, receipt: Receipt, end: number): void {
    const { firstSeq, lastSeq, isWhole, repeated, waiting } = receipt;
    if (!isWhole || lastSeq > end) {
      entry.result = unknown(`its beginning is recorded, from ${firstSeq}`);
      return;
    }
    entry.result = { seq: lastSeq, intake: { repeated, waiting } };
  }

  /** Hands out outcomes, in order. */
  private flush(): void {
    for (let first = this.queue.at(0); first?.result !== undefined; first = this.queue.at(0)) {
      this.queue.shift();
      this.numbered.delete(first.number);
      if (this.sent > 0) this.sent -= 1;
      this.note(first, first.result);
      this.parts.settled(first, first.result);
    }
    this.queue.fit();
  }

  // ── what a leader knows of its sources ──────────────────────────────────────────────────────

  /** Keeps what the next leader has to be given. */
  private note({ events }: Entry, result: SubmitResult): void {
    if ('fault' in result) {
      const event = events[result.index];
      if (event?.type !== 'instrument' || result.fault.code !== 'definition-conflict') return;
      this.misread.set(event.symbol, event);
      return;
    }
    for (const event of events) {
      const { symbol } = event;
      if (event.type === 'instrument') {
        this.misread.delete(symbol);
        continue;
      }
      this.fed.add(symbol);
      this.carried.delete(symbol);
      if (event.type !== 'renumber' || event.numbers === 'trades') continue;
      if (event.numbers === 'published') this.published.add(symbol);
      else this.published.delete(symbol);
    }
  }

  /** Whether its numbers go on: also for another leader, for which the session is a new one. */
  private continues({ events, options }: Entry): boolean {
    if (options.continues === true) return true;
    const { carried, fed } = this;
    if (carried.size === 0 || !events.some(({ symbol }) => carried.has(symbol))) return false;
    return events.every(({ type, symbol }) => type === 'instrument' || fed.has(symbol));
  }

  private entry(
    kind: EntryKind,
    events: readonly SourceEvent[],
    options: SubmitOptions,
    done: Entry['done'],
  ): Entry {
    const blank = { result: undefined, receipt: undefined, message: undefined, number: 0 };
    return { kind, events, options, done, enteredMs: this.parts.nowMs(), ...blank };
  }
}

/** Whether the leader may have got a message. */
function mayHaveCome(message: Message | undefined): boolean {
  return message !== undefined && (message.hasGone || message.asking > 0);
}

/** Says that the numbers of a symbol are those of a server. */
function publishedNumbers(symbol: string, eventTime: Nanos): Renumber {
  const receiveTime = eventTime;
  return {
    type: 'renumber',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime,
    receiveTime,
    numbers: 'published',
  };
}

const NOTHING: SubmitResult = { seq: 0, intake: { repeated: 0, waiting: 0 } };

function refused(why: Fault): SubmitResult {
  return { index: -1, fault: why };
}

function unknown(reason: string): SubmitResult {
  const message = `it is not known what became of the events: ${reason}`;
  return { index: -1, fault: fault('unknown-outcome', message) };
}
