/**
 * Chaos readers, a process of its own: readers of the SDK that move between servers with each connection. Each writes
 * down what it gets, one line an item, for a checker that knows nothing of the SDK.
 *
 * Arguments: a file, a number of readers, the servers. Lines: reader, time in ms, what, and its fields. It ends when its
 * standard input does, with `end` in the file.
 */

import { createWriteStream } from 'node:fs';

import { TapedeckClient } from '../../src/client/client';
import type { Environment, SocketConstructor } from '../../src/client/environment';
import type { Item } from '../../src/client/items';
import { Prng } from '../../src/base/prng';

const [, , path, count, seed, ...urls] = process.argv;
const file = createWriteStream(path!);
const random = new Prng(Number(seed));

/** Every connection goes to one of the servers, by chance. */
function Moving(_url: string, protocols: string[]): WebSocket {
  const url = urls[random.int(0, urls.length - 1)]!;
  return new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, protocols);
}

function line(reader: number, ...fields: readonly (string | number)[]): void {
  file.write(`${reader}\t${Date.now()}\t${fields.join('\t')}\n`);
}

function note(reader: number, item: Item): void {
  switch (item.type) {
    case 'trade': {
      const { symbol, seq, prevSeq, price, quantity, tradeId } = item;
      return line(
        reader,
        'item',
        `trade:${symbol}`,
        seq,
        prevSeq,
        `${price}/${quantity}/${tradeId}`,
      );
    }
    case 'book': {
      const { symbol, seq, prevSeq, crc } = item;
      return line(reader, 'item', `book:${symbol}`, seq, prevSeq, String(crc));
    }
    case 'gap':
      return line(
        reader,
        'gap',
        item.topic,
        item.from,
        item.to,
        `${item.reason}${item.local ? ' local' : ''}`,
      );
    case 'reset':
      return line(
        reader,
        'reset',
        item.topics.join(' '),
        item.seq,
        0,
        `${item.reason}${item.local ? ' local' : ''}`,
      );
    default:
  }
}

async function connected(): Promise<TapedeckClient> {
  const environment: Partial<Environment> = {
    WebSocket: Moving as unknown as SocketConstructor,
  };
  for (;;) {
    try {
      const reconnect = { baseMs: 20, maxMs: 200 };
      return await TapedeckClient.connect(urls[0]!, { environment, reconnect, timeoutMs: 700 });
    } catch {
      await Bun.sleep(20);
    }
  }
}

async function read(reader: number): Promise<void> {
  const client = await connected();
  line(reader, 'connected', client.welcome!.epoch, client.welcome!.seq, 0, '');
  client.on('connected', ({ epoch, seq }) => line(reader, 'connected', epoch, seq, 0, ''));
  client.on('epoch', ({ epoch, seq }) => line(reader, 'epoch', epoch, seq, 0, ''));
  client.on('chain-break', ({ topic, seq }) => line(reader, 'chain-break', topic, seq, 0, ''));
  client.on('book-mismatch', ({ topic, seq }) => line(reader, 'book-mismatch', topic, seq, 0, ''));
  client.on('closed', ({ error }) => line(reader, 'closed', String(error), 0, 0, ''));
  const topics = reader % 4 === 0 ? (['trade:*', 'book:*'] as const) : (['trade:*'] as const);
  for await (const item of client.subscribe(topics, { queueMax: 1_000_000 })) note(reader, item);
}

for (let reader = 0; reader < Number(count); reader++) void read(reader);
await new Response(Bun.stdin.stream()).text();
file.end('end\n', () => process.exit(0));
