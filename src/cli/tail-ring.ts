/**
 * `tapedeck tail --ring`: a line for each message of a ring. If the reader is lapped, or the server
 * of the ring is replaced by another, a line reports it, and the state is sent again.
 */

import { CHANNEL_TABLE, RING_CHANNELS } from '../../protocol/channels';
import { parseTopic } from '../../protocol/topics';
import type { Instrument, Message } from '../../protocol/messages';
import { StartFault } from '../base/start-fault';
import { followRing, type RingItem } from '../ipc/ring-follow';
import { RingReader } from '../ipc/ring-reader';
import { fail } from './failure';
import { topicsFault } from './refusal';
import { line, Output } from './tail-output';

export async function tailRing(
  path: string,
  topics: string[],
  json: boolean,
  owner?: number,
): Promise<void> {
  const unread = topicsFault(topics);
  if (unread !== undefined) return fail(unread);
  const wanted = new Set<string>();
  for (const text of topics) {
    const topic = parseTopic(text)!;
    if (CHANNEL_TABLE[topic.channel].ring === null) {
      const message = `the ring has no topic ${text}`;
      const hint = `It has ${RING_CHANNELS.map((c) => (CHANNEL_TABLE[c].topic === 'all' ? c : `${c}:SYM`)).join(', ')}; * stands for every symbol.`;
      return fail(new StartFault('bad-usage', message, hint));
    }
    wanted.add(`${topic.channel}:${topic.symbol || '*'}`);
  }
  const reader = RingReader.open(path, { owner }); // a fault at the start is reported; after later faults it waits
  if (reader instanceof StartFault) return fail(reader);
  if (reader.writer() === 'gone') {
    const message = `the server of the ring ${path} has ended`;
    return fail(new StartFault('ring-absent', message, 'Start it again; it makes a new ring.'));
  }
  const output = new Output();
  const instruments = new Map<string, Instrument>();
  for await (const item of followRing(path, { owner })) {
    if (item.type === 'instrument') instruments.set(item.symbol, item);
    const message = messageOf(item);
    if (!isWanted(message, wanted)) continue;
    output.write(line(message, (symbol) => instruments.get(symbol), json));
  }
}

/** Items that are not market messages become events of a connection. */
function messageOf(item: RingItem): Message {
  if (item.type === 'opened') {
    const { epoch, seq } = item;
    return { type: 'reset', topics: ['*'], epoch, seq, reason: 'other-epoch', shard: null };
  }
  if (item.type !== 'lapped') return item;
  const { from, seq: to, missed: count } = item;
  return { type: 'gap', topic: '*', from: from + 1, to, count, reason: 'slow-reader', shard: null };
}

/** Definitions, gaps and resets match every topic. */
function isWanted(message: Message, wanted: ReadonlySet<string>): boolean {
  if (wanted.size === 0 || !('symbol' in message) || message.type === 'instrument') return true;
  return wanted.has(`${message.type}:${message.symbol}`) || wanted.has(`${message.type}:*`);
}
