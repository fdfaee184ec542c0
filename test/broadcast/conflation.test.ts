/**
 * Conflation follows the table of channels alone: each channel, and one that only this test has, is given
 * each value of `conflation`. The server's backlog and the SDK's queue must do what the value says.
 */

import { describe, expect, test } from 'bun:test';

import {
  CHANNEL_TABLE,
  CHANNELS,
  topicForm,
  type Channel,
  type ChannelDef,
} from '../../protocol/channels';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Backlog } from '../../src/broadcast/backlog/backlog';
import { TopicState } from '../../src/broadcast/topics/mirror';
import { ItemQueue } from '../../src/client/item-queue';
import type { Item, TopicMessage } from '../../src/client/items';

type Conflation = ChannelDef['conflation'];
type Made = TopicMessage & { readonly count: number };

const TABLE = CHANNEL_TABLE as unknown as Record<string, ChannelDef>;
const MADE_UP = 'madeup' as Channel;
const ENTRY: ChannelDef = { ...CHANNEL_TABLE.trade, conflation: 'all' };

/** Calls `run` while a channel has this conflation. */
function withConflation(channel: Channel, conflation: Conflation, run: () => void): void {
  const before = TABLE[channel];
  TABLE[channel] = { ...(before ?? ENTRY), conflation };
  try {
    run();
  } finally {
    if (before === undefined) delete TABLE[channel];
    else TABLE[channel] = before;
  }
}

/** A message with what the message of any channel has. @param bar number of its bar */
function message(channel: Channel, seq: number, bar: number, isFinal: boolean): Made {
  const time = Nanos.fromSeconds(bar, 0);
  return {
    type: channel,
    symbol: 'AAA',
    interval: '1s',
    seq,
    prevSeq: seq - 1,
    eventTime: time,
    receiveTime: time,
    openTime: time,
    final: isFinal,
    bids: [],
    asks: [],
    count: 1,
  } as unknown as Made;
}

/** Seqs with the count of each and whether it is the state at present; gaps with their range. */
function summary(messages: readonly (Message | Item)[]): string[] {
  return messages.map((m) => {
    if (m.type === 'gap') return `gap ${m.from}-${m.to}`;
    const { seq, prevSeq, count } = m as Made;
    const own = 'isPresent' in m ? 'present' : 'message';
    return `${own} ${seq} behind ${prevSeq}, of ${count}`;
  });
}

/** Six messages in three bars, a second apart; then everything is taken, conflated. */
function served(channel: Channel, logBytesMax: number): string[] {
  const name = topicForm(channel).replace('SYMBOL', 'AAA').replace('INTERVAL', '1s');
  const topic = new TopicState(name);
  topic.read(logBytesMax).keep(60_000);
  const backlog = new Backlog({ outboxBytesMax: logBytesMax, staleMs: 1, tradeAgeMs: 2_500 });
  backlog.attach(topic, 0, 0);
  const isFinal = (seq: number): boolean => seq % 2 === 0;
  const made = (seq: number): Made => message(channel, seq, Math.ceil(seq / 2), isFinal(seq));
  topic.whole = () => ({ ...made(6), isPresent: true }) as never;
  for (let seq = 1; seq <= 6; seq++) {
    topic.head = seq;
    topic.log!.append([made(seq)], seq * 1_000);
  }
  return summary(backlog.take(1_000_000, 6_000));
}

/** Nine messages in three bars for a queue that has room for eight. */
function queued(channel: Channel): string[] {
  const made = (seq: number): Made => message(channel, seq, Math.ceil(seq / 3), seq % 3 === 0);
  const queue = new ItemQueue(8, {
    stateOf: () => [{ ...made(9), isPresent: true } as unknown as TopicMessage],
    topicCount: () => 1,
    shardOf: () => null,
    restart: () => [],
  });
  for (let seq = 1; seq <= 9; seq++) queue.push(made(seq));
  return summary(Array.from({ length: queue.length }, () => queue.shift()!));
}

const single = (from: number, to: number): string[] =>
  Array.from(
    { length: to - from + 1 },
    (_, i) => `message ${from + i} behind ${from + i - 1}, of 1`,
  );

const IN_LOG: Readonly<Record<Conflation, readonly string[]>> = {
  'newest': ['message 6 behind 0, of 6'],
  'whole-book': ['present 6 behind 0, of 6'],
  'each-bar': ['message 2 behind 0, of 2', 'message 4 behind 2, of 2', 'message 6 behind 4, of 2'],
  'fresh': ['gap 1-3', ...single(4, 6)],
  'all': single(1, 6),
};
const LOST_FROM_LOG: Readonly<Record<Conflation, readonly string[]>> = {
  'newest': IN_LOG.newest,
  'whole-book': IN_LOG['whole-book'],
  // Ends of bars stay; the state at present stands for the rest.
  'each-bar': ['message 2 behind 0, of 1', 'message 4 behind 2, of 1', 'present 6 behind 4, of 4'],
  'fresh': ['gap 1-5', ...single(6, 6)],
  'all': ['gap 1-5', ...single(6, 6)],
};
const IN_QUEUE: Readonly<Record<Conflation, readonly string[]>> = {
  'newest': ['message 9 behind 0, of 9'],
  'whole-book': ['present 9 behind 0, of 9'],
  'each-bar': ['message 3 behind 0, of 3', 'message 6 behind 3, of 3', 'message 9 behind 6, of 3'],
  'fresh': ['gap 1-5', ...single(6, 9)],
  'all': ['gap 1-5', ...single(6, 9)],
};

describe.each(Object.keys(IN_LOG) as Conflation[])('conflation %s', (conflation) => {
  test.each([...CHANNELS, MADE_UP])('%s: the server and the SDK do what it says', (channel) => {
    withConflation(channel, conflation, () => {
      expect(served(channel, 1_000_000)).toEqual([...IN_LOG[conflation]]);
      expect(served(channel, 1)).toEqual([...LOST_FROM_LOG[conflation]]);
      expect(queued(channel)).toEqual([...IN_QUEUE[conflation]]);
    });
  });
});
