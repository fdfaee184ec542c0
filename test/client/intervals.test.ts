/** Topics that consumers want at most once in an interval: what is requested of the server, and when again. */

import { describe, expect, test } from 'bun:test';

import type { MessageOf } from '../../protocol/messages';
import { Bench, brief, drain, requests } from './support';
import { settled } from './wires';

/** `tick:AAA 500` for each topic that was subscribed to, in order. */
function asked(bench: Bench): string[] {
  const sent = requests(bench, 'subscribe') as MessageOf<'subscribe'>[];
  return sent.flatMap(({ topics, intervalMs }) => topics.map((t) => `${t} ${intervalMs ?? 0}`));
}

describe('[S9] intervals', () => {
  test('a topic is requested at the shortest interval of its consumers', async () => {
    const bench = new Bench();
    const client = await bench.connect();
    const slow = client.subscribe(['tick:AAA', 'bbo:AAA'], { intervalMs: 500 });
    await slow.ready;
    expect(asked(bench)).toEqual(['tick:AAA 500', 'bbo:AAA 500']);
    const slower = client.subscribe(['tick:AAA'], { intervalMs: 900 });
    await slower.ready;
    expect(asked(bench)).toHaveLength(2);
    const all = client.subscribe(['tick:AAA']);
    await all.ready;
    expect(asked(bench).slice(2)).toEqual(['tick:AAA 0']);
    await settled();
    all.close();
    slow.close();
    await settled();
    expect(asked(bench).slice(3)).toEqual(['tick:AAA 500', 'tick:AAA 900']);
    client.close();
  });

  test('a * sets the interval of the single topics that it covers, which is then set again', async () => {
    const bench = new Bench();
    const client = await bench.connect();
    const one = client.subscribe(['tick:AAA']);
    await one.ready;
    const all = client.subscribe(['tick:*'], { intervalMs: 500 });
    await all.ready;
    await settled();
    expect(asked(bench)).toEqual(['tick:AAA 0', 'tick:* 500', 'tick:AAA 0']);
    // What is sent again with it is a repetition.
    bench.model.tick('AAA');
    expect((await drain(one)).map(brief)).toEqual(['tick AAA 1']);
    client.close();
  });

  test('[R2] after a resume the interval is set again, and nothing is repeated', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const slow = client.subscribe(['tick:AAA', 'book:AAA'], { intervalMs: 500 });
    const trades = client.subscribe(['trade:AAA']);
    await Promise.all([slow.ready, trades.ready]);
    model.tick('AAA');
    model.book('AAA', [10, 1], [11, 1]);
    await settled();
    model.cutAll();
    model.tick('AAA');
    model.trade('AAA');
    model.book('AAA', [10, 2], [11, 1]);
    await bench.comeBack();
    expect(asked(bench)).toEqual(['tick:AAA 500', 'book:AAA 500']);
    expect(requests(bench, 'resume')).toHaveLength(1);
    model.tick('AAA');
    model.book('AAA', [10, 3], [11, 1]);
    expect((await drain(slow)).map(brief)).toEqual([
      'tick AAA 1',
      'book AAA snapshot 2',
      'tick AAA 3',
      'book AAA delta 5',
      'tick AAA 6',
      'book AAA delta 7',
    ]);
    expect(client.book('AAA')!.bids).toEqual([10, 3]);
    expect(bench.eventNames).toEqual(['disconnected', 'connected', 'resumed']);
    client.close();
  });

  test('a repeated state replaces what waited before it: one item that continues the chain', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const slow = client.subscribe(['tick:AAA', 'book:AAA'], { intervalMs: 500 });
    await slow.ready;
    model.tick('AAA');
    model.book('AAA', [10, 1], [11, 1]);
    await settled();
    const [peer] = [...model.peers];
    // Like a session that is behind: what waited is dropped where an answer has the state.
    for (const topic of ['tick:AAA', 'book:AAA']) peer!.topics.delete(topic);
    model.tick('AAA');
    model.tick('AAA');
    model.book('AAA', [10, 2], [11, 1]);
    model.book('AAA', [10, 3], [11, 1]);
    const all = client.subscribe(['tick:AAA', 'book:AAA']);
    await all.ready;
    await settled();
    model.tick('AAA');
    expect((await drain(slow)).map((m) => [brief(m), 'prevSeq' in m && m.prevSeq])).toEqual([
      ['tick AAA 1', 0],
      ['book AAA snapshot 2', 0],
      ['tick AAA 4', 1],
      ['book AAA snapshot 6', 2],
      ['tick AAA 7', 4],
    ]);
    expect(client.book('AAA')!.bids).toEqual([10, 3]);
    expect(bench.eventNames).toEqual([]);
    client.close();
  });
});
