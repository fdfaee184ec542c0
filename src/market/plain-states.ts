/**
 * Plain states: the newest message of each plain channel of a feed instrument (`protocol/plain.ts`), as published, and
 * the numbers of its source. Each channel has a numbering of its own.
 *
 * Bound: one message for each plain channel.
 */

import type { PlainChannel } from '../../protocol/channels';
import type { PlainMessage } from '../../protocol/messages';
import { asEvent, plainMessage, plainText } from '../../protocol/plain';
import type { RecordedPlain } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { MarketOutput } from './output';

/** A message in a checkpoint. */
export interface PlainCheckpoint {
  readonly channel: PlainChannel;
  readonly seq: number;
  readonly prevSeq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
  /** The time that orders it, if that is not its event time. */
  readonly asOf?: Nanos;
  /** The text that `plainText` writes. */
  readonly text: string;
}

/** The number that a source gave its newest numbered message of a channel. */
interface Numbered {
  readonly seq: number;
  readonly eventTime: Nanos;
}

export class PlainStates {
  private readonly newestOf = new Map<PlainChannel, RecordedPlain>();
  private readonly numbers = new Map<PlainChannel, Numbered>();

  /** The newest message of each channel that has one. */
  newest(): Iterable<RecordedPlain> {
    return this.newestOf.values();
  }

  /** Judges a message of the source; a number that goes back with a later time begins a new numbering. */
  judge(m: PlainMessage): 'next' | 'repeated' | 'renumbered' {
    const numbered = m.seq === 0 ? undefined : this.numbers.get(m.type);
    if (numbered !== undefined && m.seq <= numbered.seq) {
      return m.eventTime.compare(numbered.eventTime) <= 0 ? 'repeated' : 'renumbered';
    }
    // After a restart the numbers are unknown; what the source sends again is recognised by its content.
    const newest = this.newestOf.get(m.type);
    const isSame =
      newest?.eventTime.compare(m.eventTime) === 0 && plainText(newest) === plainText(m);
    return isSame ? 'repeated' : 'next';
  }

  /** Publishes a message of the source. @param at its time if its own is implausible */
  take(m: PlainMessage, at: Nanos, out: MarketOutput): void {
    if (m.seq !== 0) this.numbers.set(m.type, m);
    const message: RecordedPlain = {
      ...m,
      seq: out.nextSeq(),
      prevSeq: this.newestOf.get(m.type)?.seq ?? 0,
      receiveTime: out.receiveTime,
      count: 1,
      ...(at.compare(m.eventTime) !== 0 && { asOf: at }),
    };
    this.newestOf.set(message.type, message);
    out.push(asEvent(message));
  }

  /** The source begins new numbers. */
  forgetNumbers(): void {
    this.numbers.clear();
  }

  checkpoint(): PlainCheckpoint[] {
    return Array.from(this.newestOf.values(), (message) => {
      const { type: channel, seq, prevSeq, eventTime, receiveTime, asOf } = message;
      const head = { channel, seq, prevSeq, eventTime, receiveTime };
      return { ...head, ...(asOf !== undefined && { asOf }), text: plainText(message) };
    });
  }

  /** @throws Error if a text does not fit its channel */
  restore(symbol: string, states: readonly PlainCheckpoint[]): void {
    for (const { channel, text, asOf, ...opening } of states) {
      const message = plainMessage(channel, { symbol, ...opening }, text);
      if (message === undefined) throw new Error(`a state of ${symbol} does not read: ${text}`);
      this.recover(asOf === undefined ? message : { ...message, asOf });
    }
  }

  /** Recovery: applies an event of the journal. */
  recover(event: RecordedPlain): void {
    this.newestOf.set(event.type, event);
  }
}
