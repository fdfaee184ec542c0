/** Topics: `channel:SYMBOL`, `bar:SYMBOL:interval`, `status`; `*` stands for every symbol. */

import { BAR_INTERVALS } from './messages';
import type { Message } from './messages';
import { isSymbol } from './units';

export const CHANNELS = ['tick', 'trade', 'bbo', 'book', 'bar', 'stats', 'status'] as const;
export type Channel = (typeof CHANNELS)[number];

export interface Topic {
  readonly channel: Channel;
  /** A symbol, or `*`; empty for `status`. */
  readonly symbol: string;
  /** Of a bar only, else empty. */
  readonly interval: string;
}

/** Reads a topic; undefined when it is none. */
export function parseTopic(text: string): Topic | undefined {
  const parts = text.split(':');
  const channel = CHANNELS.find((c) => c === parts[0]);
  if (channel === undefined) return undefined;
  if (channel === 'status') {
    return parts.length === 1 ? { channel, symbol: '', interval: '' } : undefined;
  }
  const symbol = parts[1] ?? '';
  if (symbol !== '*' && !isSymbol(symbol)) return undefined;
  if (channel !== 'bar') {
    return parts.length === 2 ? { channel, symbol, interval: '' } : undefined;
  }
  const interval = BAR_INTERVALS.find((i) => i === parts[2]);
  return interval !== undefined && parts.length === 3 ? { channel, symbol, interval } : undefined;
}

/** The topic that a message belongs to; undefined for those of no topic. */
export function topicOf(message: Message): string | undefined {
  switch (message.type) {
    case 'tick':
    case 'trade':
    case 'bbo':
    case 'book':
    case 'stats':
      return `${message.type}:${message.symbol}`;
    case 'bar':
      return `bar:${message.symbol}:${message.interval}`;
    case 'status':
      return 'status';
    default:
      return undefined;
  }
}
