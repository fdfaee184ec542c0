/** Topics: `channel:SYMBOL`, `bar:SYMBOL:interval`, `status`; `*` means every symbol. */

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
  /** For a channel with intervals, such as `bar`; otherwise empty. */
  readonly interval: string;
}

/** Reads a topic; undefined if it is none. */
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
 * Why a text is no topic: the part at fault, and what was expected there. The text must not be a topic.
 * @param at name of the field that has the text
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

/** Names joined for a sentence: `tick, trade or bbo`. */
export function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** The channel that was probably meant, if one is similar. */
function nearest(given: string): string {
  const text = given.slice(0, 40).toLowerCase(); // the text may be a whole frame
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
