/** The stream of the page with a server of several shards, which come and go. */

import { expect, test } from 'bun:test';

import { SystemClock } from '../../src/base/clock';
import { LiveStream, type Link, type StreamEvents } from '../../src/gateway/page/live-stream';
import type { TabKey } from '../../src/gateway/page/tab-key';
import { ShardedServer } from '../client/sharded-server';
import { RealWire } from '../client/wires';
import { until } from '../support/until';

test('a part whose shard is away is refused, and served again when the shard is back', async () => {
  const server = new ShardedServer(['a', 'b']);
  const wire = new RealWire(server);
  const log: string[] = [];
  let link: Link | undefined;
  const events: StreamEvents = {
    link: (now) => (link = now),
    instrument: () => {},
    execution: () => {},
    clock: () => {},
    item: (item, part) => {
      const what = item.type === 'reset' ? `reset ${item.shard}` : item.type;
      log.push(`${part} ${what} ${stream.isNews(item) ? 'news' : ''}`.trim());
    },
    ready: (part) => log.push(`${part} ready`),
    refused: (part, { code }) => log.push(`${part} ${code}`),
  };
  const key: Pick<TabKey, 'value' | 'keep' | 'forget'> = {
    value: undefined,
    keep: () => {},
    forget: () => {},
  };
  const stream = new LiveStream(wire.url, new SystemClock(), key as TabKey, events);
  const positions = (): string[] =>
    link?.state === 'live' ? link.positions.map(({ shard, seq }) => `${shard} ${seq}`) : [];
  try {
    for (let i = 0; i < 9; i++) server.model('a').trade('A1');
    stream.start();
    await until(() => log.includes('all ready'), 'the page is ready');
    expect(positions()).toEqual(['a 9', 'b 0']);
    stream.follow('B1');
    await until(() => log.includes('chosen ready'), 'the chosen symbol is served');
    // The numbers of the other shard are no measure of what is new in this one.
    server.model('b').trade('B1');
    await until(() => log.includes('chosen trade news'), 'a trade');
    server.serve(['a']);
    await until(() => log.includes('chosen unknown-symbol'), 'a refusal');
    expect(log).toContain('all reset b');
    log.length = 0;
    server.serve(['a', 'b']);
    await until(() => log.includes('chosen ready'), 'the chosen symbol is served again');
    server.model('b').trade('B1');
    await until(() => log.includes('chosen trade news'), 'a trade of the shard that is back');
    server.shards.get('b')!.takeOver();
    const { epoch } = server.model('b');
    await until(
      () => link?.state === 'live' && link.positions[1]?.epoch === epoch,
      'the epoch of one shard',
    );
  } finally {
    stream.client?.close();
    await wire.stop();
  }
}, 30_000);
