/** Topics: `channel:SYMBOL`, `bar:SYMBOL:interval`, `status`; `*` stands for every symbol. */

import { closest, distance } from 'fastest-levenshtein';

import { fieldFault, shown, type Fault } from './codes';
import {
  CHANNEL_TABLE,
  channelDef,
  CHANNELS,
  isChannel,
  topicForm,
  type Channel,
} from './channels';
import { BAR_INTERVALS } from './messages';
import type { Bar, Message, TopicMessage } from './messages';
import { isSymbol } from './units';

export interface Topic {
  readonly channel: Channel;
  /** A symbol, or `*`; empty for a channel of all symbols, such as `status`. */
  readonly symbol: string;
  /** Of a channel with intervals, such as `bar`; otherwise empty. */
  readonly interval: string;
}

/** Reads a topic; undefined when it is none. */
export function parseTopic(text: string): Topic | undefined {
  const parts = text.split(':');
  const channel = parts[0]!;
  if (!isChannel(channel)) return undefined;
  const { topic: form } = channelDef(channel);
  if (form === 'all') {
    return parts.length === 1 ? { channel, symbol: '', interval: '' } : undefined;
  }
  const symbol = parts[1] ?? '';
  if (symbol !== '*' && !isSymbol(symbol)) return undefined;
  if (form === 'symbol') {
    return parts.length === 2 ? { channel, symbol, interval: '' } : undefined;
  }
  const interval = BAR_INTERVALS.find((i) => i === parts[2]);
  return interval !== undefined && parts.length === 3 ? { channel, symbol, interval } : undefined;
}

/**
 * Why a text is no topic: the part of it that is at fault, and what may stand there. Of what is a topic
 * nothing is known here.
 * @param at what the text is called where it was given
 */
export function topicFault(text: string, at: string): Fault {
  const [channel = '', symbol, interval, ...more] = text.split(':');
  const wrong = (part: string, value: string, expected: string): Fault => ({
    code: 'unknown-topic',
    field: at,
    message: `${at} is ${shown(text)}: its ${part} is ${shown(value)}; expected ${expected}`,
  });
  const whole = (expected: string): Fault => fieldFault(at, text, expected, 'unknown-topic');
  if (text === '') return whole('a topic such as book:BTCUSDT');
  if (!isChannel(channel)) {
    return wrong('channel', channel, `${listed(CHANNELS)}${nearest(channel)}`);
  }
  if (channelDef(channel).topic === 'all') {
    return whole(`${channel} alone, which is of all instruments`);
  }
  const form = topicForm(channel);
  if (symbol === undefined) return whole(`${form}, or * as the symbol for all of them`);
  if (symbol !== '*' && !isSymbol(symbol)) return wrong('symbol', symbol, 'a symbol, or * for all');
  if (channelDef(channel).topic === 'symbol') return whole(`${form}; only bars have an interval`);
  if (more.length > 0) return whole(form);
  return wrong('interval', interval ?? '', listed(BAR_INTERVALS));
}

/** Names as they stand in a sentence: `tick, trade or bbo`. */
export function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Names the channel that is likely meant, where one is near. */
function nearest(given: string): string {
  const text = given.slice(0, 40).toLowerCase(); // a whole frame may stand there
  const channel = closest(text, CHANNELS);
  return distance(text, channel) > channel.length / 2 ? '' : `; the nearest is ${channel}`;
}

/** Whether a message is one of a topic. */
export function isTopicMessage(message: Message): message is TopicMessage {
  return isChannel(message.type);
}

/** The topic that a message belongs to; undefined for those of no topic. */
export function topicOf(message: Message): string | undefined {
  return isTopicMessage(message) ? topicOfMessage(message) : undefined;
}

function topicOfMessage(message: TopicMessage): string {
  const { type, symbol } = message;
  switch (CHANNEL_TABLE[type].topic) {
    case 'symbol':
      return `${type}:${symbol}`;
    case 'interval':
      return `${type}:${symbol}:${(message as Bar).interval}`;
    case 'all':
      return type;
  }
}
